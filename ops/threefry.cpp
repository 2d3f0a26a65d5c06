#include <lazuli/ops/threefry.h>

#include <array>
#include <bit>
#include <numeric>

#include <lazuli/ops/rules.h>
#include <lazuli/ops/shape.h>

namespace lazuli::random {

namespace {

// Constants of Threefry-2x32-20 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3").
constexpr uint32_t key_parity = 0x1bd11bda;
constexpr std::array<std::array<int, 4>, 2> rotations{{{13, 15, 26, 6}, {17, 29, 16, 24}}};
constexpr int groups_of_rounds = 5;

/// The rounds, for numbers and for values of a kernel alike: `Word` needs +, ^, and `rotate`.
template <typename Word, typename Rotate, typename Constant>
std::pair<Word, Word> rounds(Word key0, Word key1, Word x0, Word x1, Rotate rotate, Constant constant) {
  const std::array<Word, 3> schedule{key0, key1, key0 ^ key1 ^ constant(key_parity)};
  x0 = x0 + key0;
  x1 = x1 + key1;
  for (int group = 0; group < groups_of_rounds; ++group) {
    for (int distance : rotations[static_cast<size_t>(group % 2)]) {
      x0 = x0 + x1;
      x1 = rotate(x1, distance) ^ x0;
    }
    x0 = x0 + schedule[static_cast<size_t>((group + 1) % 3)];
    x1 = x1 + schedule[static_cast<size_t>((group + 2) % 3)] + constant(static_cast<uint32_t>(group + 1));
  }
  return {x0, x1};
}

/// A uint32 value of a kernel.
struct Word {
  kir::Builder* builder;
  kir::Value value;

  friend Word operator+(Word a, Word b) { return {a.builder, a.builder->add(a.value, b.value)}; }
  friend Word operator-(Word a, Word b) { return {a.builder, a.builder->sub(a.value, b.value)}; }
  friend Word operator^(Word a, Word b) { return a.binary(kir::Opcode::bit_xor, b); }
  friend Word operator|(Word a, Word b) { return a.binary(kir::Opcode::bit_or, b); }
  friend Word operator&(Word a, Word b) { return a.binary(kir::Opcode::bit_and, b); }
  friend Word operator<<(Word a, Word b) { return a.binary(kir::Opcode::shift_left, b); }
  friend Word operator>>(Word a, Word b) { return a.binary(kir::Opcode::shift_right, b); }
  friend kir::Value operator<(Word a, Word b) { return a.builder->lt(a.value, b.value); }

  Word binary(kir::Opcode op, Word b) const { return {builder, builder->binary(op, value, b.value)}; }
};

}  // namespace

std::pair<uint32_t, uint32_t> threefry2x32(std::pair<uint32_t, uint32_t> key,
                                           std::pair<uint32_t, uint32_t> counter) {
  return rounds(
      key.first, key.second, counter.first, counter.second,
      [](uint32_t word, int distance) { return std::rotl(word, distance); },
      [](uint32_t number) { return number; });
}

void RandomBits::attributes(AttributeWriter& writer) const {
  writer.write("shape", shape_);
  writer.write("width", width_);
  writer.write("batch_rank", batch_rank_);
}

std::vector<ArraySpec> RandomBits::infer(std::span<const ArraySpec>) const {
  return {{shape_, width_ == 4 ? uint32 : width_ == 2 ? uint16 : uint8}};
}

std::vector<array> RandomBits::vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                                    Dim batch) const {
  std::vector<array> words;
  for (size_t i = 0; i < inputs.size(); ++i) {
    std::vector<int> added;
    if (batched[i]) {
      added.resize(shape_.size() + 1 - inputs[i].ndim());
      std::iota(added.begin(), added.end(), 1);
    }
    words.push_back(expand_dims(inputs[i], added));
  }
  return {lazuli::apply(make_ref<RandomBits>(with_batch(shape_, batch), width_, batch_rank_ + 1), words)};
}

kir::Value RandomBits::expression(ExpressionContext& context, std::span<const kir::Value> inputs) const {
  kir::Builder& b = context.builder();
  const auto constant = [&](uint32_t number) { return Word{&b, b.constant_bits(uint32, number)}; };
  const auto choose = [&](kir::Value condition, Word x, Word y) {
    return Word{&b, b.select(condition, x.value, y.value)};
  };

  // How many words there are in all, and which one this element is in.
  kir::Value bytes = b.constant(int64, width_);
  for (size_t d = batch_rank_; d < shape_.size(); ++d) bytes = b.mul(bytes, context.extent(shape_[d]));
  const kir::Value rounded = b.add(bytes, b.constant(int64, 3));
  const Word words{&b, b.cast(b.binary(kir::Opcode::shift_right, rounded, b.constant(int64, 2)), uint32)};
  const int log2_per_word = width_ == 4 ? 0 : width_ == 2 ? 1 : 2;
  const auto place_in_member = [&] {
    kir::Value place = b.constant(int64, 0);
    for (size_t d = batch_rank_; d < shape_.size(); ++d) {
      place = b.add(b.mul(place, context.extent(shape_[d])), context.coordinate(static_cast<int>(d)));
    }
    return place;
  };
  const kir::Value element = batch_rank_ == 0 ? context.linear_index() : place_in_member();
  const Word word{
      &b, b.cast(b.binary(kir::Opcode::shift_right, element, b.constant(int64, log2_per_word)), uint32)};

  // The middle word of an odd number counts as the last of the first half, with a partner of 0.
  const Word half = words >> constant(1);
  const Word first_half = half + (words & constant(1));
  const kir::Value is_first = word < first_half;
  const kir::Value has_partner = word < half;
  const Word low = choose(is_first, word, word - first_half);
  const Word high = choose(has_partner, word + first_half, choose(is_first, constant(0), word));

  const auto rotate = [&](Word x, int distance) {
    return (x << constant(static_cast<uint32_t>(distance))) |
           (x >> constant(static_cast<uint32_t>(32 - distance)));
  };
  const auto [x0, x1] = rounds(Word{&b, inputs[0]}, Word{&b, inputs[1]}, low, high, rotate, constant);
  const Word bits = choose(is_first, x0, x1);
  if (width_ == 4) return bits.value;

  // Elements lie in their word from the least significant end.
  const Word place{&b, b.cast(element, uint32)};
  const Word within = place & constant(static_cast<uint32_t>(4 / width_ - 1));
  const Word shifted =
      bits >> Word{&b, b.mul(within.value, constant(static_cast<uint32_t>(8 * width_)).value)};
  const Word masked = shifted & constant((uint32_t{1} << (8 * width_)) - 1);
  return b.cast(masked.value, width_ == 2 ? uint16 : uint8);
}

}  // namespace lazuli::random
