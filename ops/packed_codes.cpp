#include <lazuli/ops/packed_codes.h>

#include <algorithm>
#include <vector>

#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/index.h>
#include <lazuli/ops/powers_of_two.h>
#include <lazuli/ops/reduce.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

int codes_per_block(int bits) {
  return is_power_of_2(bits) ? bits_per_word / bits : bits_per_word;
}

array pack_codes(const array& codes, int bits, StreamOrDevice s) {
  const int count = codes_per_block(bits);
  const int words = count * bits / bits_per_word;
  // Code i has a share in word j: shifted left, or right where it begins in an earlier word. A shift by the
  // width or more leaves nothing.
  std::vector<uint32_t> left;
  std::vector<uint32_t> right;
  for (int j = 0; j < words; ++j) {
    for (int i = 0; i < count; ++i) {
      const int shift = i * bits - j * bits_per_word;
      left.push_back(static_cast<uint32_t>(std::max(shift, 0)));
      right.push_back(static_cast<uint32_t>(std::max(-shift, 0)));
    }
  }
  array shares = left_shift(expand_dims(codes, -2, s), array(left.begin(), {words, count}), s);
  if (words > 1) shares = right_shift(shares, array(right.begin(), {words, count}), s);
  return sum(shares, -1, false, s);  // no bit is in two shares
}

array unpack_codes(const array& words, int bits, StreamOrDevice s) {
  const int count = codes_per_block(bits);
  const array mask((uint32_t{1} << bits) - 1);
  std::vector<uint32_t> first;
  std::vector<uint32_t> second;
  std::vector<uint32_t> right;
  std::vector<uint32_t> left;
  for (int i = 0; i < count; ++i) {
    const int word = i * bits / bits_per_word;
    const int shift = i * bits % bits_per_word;
    first.push_back(static_cast<uint32_t>(word));
    second.push_back(static_cast<uint32_t>(std::min(word + 1, count * bits / bits_per_word - 1)));
    right.push_back(static_cast<uint32_t>(shift));
    left.push_back(static_cast<uint32_t>(bits_per_word - shift));
  }
  const auto constant = [&](const std::vector<uint32_t>& values) { return array(values.begin(), {count}); };
  if (is_power_of_2(bits)) return bitwise_and(right_shift(words, constant(right), s), mask, s);
  const array low = right_shift(take(words, constant(first), -1, s), constant(right), s);
  const array high = left_shift(take(words, constant(second), -1, s), constant(left), s);
  return bitwise_and(bitwise_or(low, high, s), mask, s);
}

Shape with_last(const array& a, std::initializer_list<Dim> last) {
  Shape shape(a.shape().begin(), a.shape().end() - 1);
  shape.insert(shape.end(), last.begin(), last.end());
  return shape;
}

}  // namespace lazuli
