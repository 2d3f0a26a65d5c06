#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include <lazuli/array/io/gguf_blocks.h>

using namespace lazuli;

namespace {

/// Packs codes and scales into a block the way quantizers go: over the elements, in the order in which the
/// format puts them.
class Block {
 public:
  Block(uint32_t type, std::mt19937& random) : type_(*gguf::find_tensor_type(type)), random_(random) {
    bytes_.resize(type_.block_bytes);
    expected_.resize(type_.block_elements);
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }
  const std::vector<float>& expected() const { return expected_; }

  int draw(int count) { return static_cast<int>(random_() % static_cast<unsigned>(count)); }
  float scale(size_t at) {
    const float16_t value(0.001f * static_cast<float>(1 + draw(999)));
    std::memcpy(bytes_.data() + at, &value, 2);
    return value;
  }
  void add_bits(size_t at, int value, int shift) { bytes_[at] |= static_cast<std::byte>(value << shift); }
  void put(size_t at, int value) { bytes_[at] = static_cast<std::byte>(value); }

  /// Q4_0 to Q5_1: a scale, perhaps a minimum, perhaps a word of fifth bits, then pairs of codes.
  void legacy(bool has_minimum, bool has_fifth) {
    const float d = scale(0);
    const float m = has_minimum ? scale(2) : 0;
    const size_t fifth_at = has_minimum ? 4 : 2;
    const size_t codes_at = fifth_at + (has_fifth ? 4 : 0);
    const int zero = has_minimum ? 0 : has_fifth ? 16 : 8;
    for (size_t pair = 0; pair < 16; ++pair) {
      for (const size_t upper : {0, 1}) {
        const size_t element = pair + 16 * upper;
        const int code = draw(has_fifth ? 32 : 16);
        add_bits(codes_at + pair, code & 15, upper == 0 ? 0 : 4);
        if (has_fifth) add_bits(fifth_at + element / 8, code >> 4, static_cast<int>(element % 8));
        expected_[element] = d * static_cast<float>(code - zero) + m;
      }
    }
  }

  void bytes_with_scale(float d, size_t at) {
    for (size_t i = 0; i < expected_.size(); ++i) {
      const int code = draw(256) - 128;
      put(at + i, code);
      expected_[i] = d * static_cast<float>(code);
    }
  }
  void q8_k() {
    const float d = 0.0123f;
    std::memcpy(bytes_.data(), &d, 4);
    bytes_with_scale(d, 4);
  }

  /// Two halves of four stripes of 32, each stripe having its own two bits of the same 32 bytes.
  template <typename Store>
  void stripes(Store store) {
    size_t element = 0;
    for (size_t half = 0; half < 2; ++half) {
      for (int stripe = 0; stripe < 4; ++stripe) {
        for (size_t i = 0; i < 32; ++i, ++element) store(element, half, stripe, i);
      }
    }
  }

  void q2_k() {
    const float d = scale(80);
    const float m = scale(82);
    int scales[16], minima[16];
    for (size_t i = 0; i < 16; ++i) {
      scales[i] = draw(16);
      minima[i] = draw(16);
      put(i, scales[i] | minima[i] << 4);
    }
    stripes([&](size_t element, size_t half, int stripe, size_t i) {
      const int code = draw(4);
      add_bits(16 + 32 * half + i, code, 2 * stripe);
      const size_t group = element / 16;
      expected_[element] = d * static_cast<float>(scales[group]) * static_cast<float>(code) -
                           m * static_cast<float>(minima[group]);
    });
  }

  void q3_k() {
    const float d = scale(108);
    int scales[16];
    // Six bits: the lower four in two rows of bytes, the upper two in four bytes below them.
    for (size_t i = 0; i < 16; ++i) {
      scales[i] = draw(64);
      add_bits(96 + i % 8, scales[i] & 15, i < 8 ? 0 : 4);
      add_bits(104 + i % 4, scales[i] >> 4, static_cast<int>(2 * (i / 4)));
    }
    stripes([&](size_t element, size_t half, int stripe, size_t i) {
      const int code = draw(8);
      add_bits(32 + 32 * half + i, code & 3, 2 * stripe);
      add_bits(i, code >> 2, static_cast<int>(4 * half) + stripe);
      expected_[element] = d * static_cast<float>(scales[element / 16] - 32) * static_cast<float>(code - 4);
    });
  }

  /// Q4_K and Q5_K.
  void groups_of_32(bool has_fifth) {
    const float d = scale(0);
    const float m = scale(2);
    int scales[8], minima[8];
    for (size_t i = 0; i < 8; ++i) {
      scales[i] = draw(64);
      minima[i] = draw(64);
      if (i < 4) {
        add_bits(4 + i, scales[i], 0);
        add_bits(8 + i, minima[i], 0);
      } else {
        add_bits(8 + i, scales[i] & 15, 0);
        add_bits(8 + i, minima[i] & 15, 4);
        add_bits(i, scales[i] >> 4, 6);
        add_bits(4 + i, minima[i] >> 4, 6);
      }
    }
    const size_t codes_at = has_fifth ? 48 : 16;
    size_t element = 0;
    for (size_t group = 0; group < 8; ++group) {
      for (size_t i = 0; i < 32; ++i, ++element) {
        const int code = draw(has_fifth ? 32 : 16);
        add_bits(codes_at + group / 2 * 32 + i, code & 15, group % 2 == 0 ? 0 : 4);
        if (has_fifth) add_bits(16 + i, code >> 4, static_cast<int>(group));
        expected_[element] = d * static_cast<float>(scales[group]) * static_cast<float>(code) -
                             m * static_cast<float>(minima[group]);
      }
    }
  }

  void q6_k() {
    const float d = scale(208);
    int scales[16];
    for (size_t i = 0; i < 16; ++i) {
      scales[i] = draw(256) - 128;
      put(192 + i, scales[i]);
    }
    stripes([&](size_t element, size_t half, int stripe, size_t i) {
      const int code = draw(64);
      // Four bits: the first two stripes below, the others above.
      add_bits(64 * half + 32 * static_cast<size_t>(stripe % 2) + i, code & 15, stripe < 2 ? 0 : 4);
      add_bits(128 + 32 * half + i, code >> 4, 2 * stripe);
      expected_[element] = d * static_cast<float>(scales[element / 16]) * static_cast<float>(code - 32);
    });
  }

  void fill() {
    switch (type_.id) {
      case 2:
        return legacy(false, false);
      case 3:
        return legacy(true, false);
      case 6:
        return legacy(false, true);
      case 7:
        return legacy(true, true);
      case 8:
        return bytes_with_scale(scale(0), 2);
      case 9:
        return bytes_with_scale(scale(0), 4);
      case 10:
        return q2_k();
      case 11:
        return q3_k();
      case 12:
        return groups_of_32(false);
      case 13:
        return groups_of_32(true);
      case 14:
        return q6_k();
      default:
        return q8_k();
    }
  }

 private:
  const gguf::TensorType& type_;
  std::mt19937& random_;
  std::vector<std::byte> bytes_;
  std::vector<float> expected_;
};

TEST(GGUFBlocks, GiveWhatWasPacked) {
  std::mt19937 random(7);
  for (const uint32_t id : {2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}) {
    const gguf::TensorType& type = *gguf::find_tensor_type(id);
    std::vector<std::byte> blocks;
    std::vector<float> expected;
    for (int i = 0; i < 20; ++i) {
      Block block(id, random);
      block.fill();
      blocks.insert(blocks.end(), block.bytes().begin(), block.bytes().end());
      expected.insert(expected.end(), block.expected().begin(), block.expected().end());
    }
    std::vector<float> out(expected.size());
    dequantize_gguf_blocks(type, blocks.data(), 20, out.data());
    for (size_t i = 0; i < out.size(); ++i) {
      ASSERT_NEAR(out[i], expected[i], 1e-6f * std::abs(expected[i]) + 1e-6f) << type.name << " " << i;
    }
  }
}

}  // namespace
