#include <lazuli/array/io/gguf_blocks.h>

#include <cstring>

// Layouts of blocks as in ggml (ggml-common.h), described there. `q` is a code, `d` the block's scale, `m`
// its minimum. Blocks of 256 elements have scales of their own for each 16 or 32.

namespace lazuli {

namespace {

using Byte = uint8_t;

float half_at(const Byte* at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  return float16_t::from_bits(bits);
}

uint32_t word_at(const Byte* at) {
  uint32_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

/// Codes of 4 bits: the lower halves of 16 bytes, then the upper ones.
int nibble(const Byte* codes, int i) {
  return i < 16 ? codes[i] & 15 : codes[i - 16] >> 4;
}

void q4_0(const Byte* block, float* out) {
  const float d = half_at(block);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(nibble(block + 2, i) - 8);
}

void q4_1(const Byte* block, float* out) {
  const float d = half_at(block);
  const float m = half_at(block + 2);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(nibble(block + 4, i)) + m;
}

/// The fifth bits of 32 codes are one word.
int five_bits(const Byte* codes, uint32_t fifth, int i) {
  return nibble(codes, i) | static_cast<int>(fifth >> i & 1) << 4;
}

void q5_0(const Byte* block, float* out) {
  const float d = half_at(block);
  const uint32_t fifth = word_at(block + 2);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(five_bits(block + 6, fifth, i) - 16);
}

void q5_1(const Byte* block, float* out) {
  const float d = half_at(block);
  const float m = half_at(block + 2);
  const uint32_t fifth = word_at(block + 4);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(five_bits(block + 8, fifth, i)) + m;
}

void bytes_by_scale(const Byte* codes, int count, float d, float* out) {
  for (int i = 0; i < count; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(codes[i]));
}

void q8_0(const Byte* block, float* out) {
  bytes_by_scale(block + 2, 32, half_at(block), out);
}

/// Behind the scale stands the sum of the elements, for dot products.
void q8_1(const Byte* block, float* out) {
  bytes_by_scale(block + 4, 32, half_at(block), out);
}

void q2_k(const Byte* block, float* out) {
  const Byte* scales = block;
  const Byte* codes = block + 16;
  const float d = half_at(block + 80);
  const float m = half_at(block + 82);
  for (int i = 0; i < 256; ++i) {
    // 128 elements share 32 bytes: each byte has the codes of elements 32 apart.
    const int q = codes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
    const int scale = scales[i / 16];
    out[i] = d * static_cast<float>(scale & 15) * static_cast<float>(q) - m * static_cast<float>(scale >> 4);
  }
}

void q3_k(const Byte* block, float* out) {
  const Byte* third = block;
  const Byte* codes = block + 32;
  const Byte* packed = block + 96;
  const float d = half_at(block + 108);
  float scales[16];
  for (int i = 0; i < 16; ++i) {
    const int low = i < 8 ? packed[i] & 15 : packed[i - 8] >> 4;
    const int high = packed[8 + i % 4] >> (i / 4 * 2) & 3;
    scales[i] = d * static_cast<float>((low | high << 4) - 32);
  }
  for (int i = 0; i < 256; ++i) {
    const int low = codes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
    const int high = third[i % 32] >> (i / 32) & 1;
    out[i] = scales[i / 16] * static_cast<float>((low | high << 2) - 4);
  }
}

/// Scales and minima of 6 bits for eight groups of 32, in 12 bytes.
struct GroupScales {
  float scales[8];
  float minima[8];
  GroupScales(const Byte* packed, float d, float m) {
    for (int i = 0; i < 8; ++i) {
      const int scale = i < 4 ? packed[i] & 63 : (packed[i + 4] & 15) | packed[i - 4] >> 6 << 4;
      const int minimum = i < 4 ? packed[i + 4] & 63 : packed[i + 4] >> 4 | packed[i] >> 6 << 4;
      scales[i] = d * static_cast<float>(scale);
      minima[i] = m * static_cast<float>(minimum);
    }
  }
};

void q4_k(const Byte* block, float* out) {
  const GroupScales groups(block + 4, half_at(block), half_at(block + 2));
  const Byte* codes = block + 16;
  for (int i = 0; i < 256; ++i) {
    const int group = i / 32;
    const int q = codes[i / 64 * 32 + i % 32] >> (group % 2 * 4) & 15;
    out[i] = groups.scales[group] * static_cast<float>(q) - groups.minima[group];
  }
}

void q5_k(const Byte* block, float* out) {
  const GroupScales groups(block + 4, half_at(block), half_at(block + 2));
  const Byte* fifth = block + 16;
  const Byte* codes = block + 48;
  for (int i = 0; i < 256; ++i) {
    const int group = i / 32;
    const int low = codes[i / 64 * 32 + i % 32] >> (group % 2 * 4) & 15;
    const int q = low | (fifth[i % 32] >> group & 1) << 4;
    out[i] = groups.scales[group] * static_cast<float>(q) - groups.minima[group];
  }
}

void q6_k(const Byte* block, float* out) {
  const Byte* low_bits = block;
  const Byte* high_bits = block + 128;
  const Byte* scales = block + 192;
  const float d = half_at(block + 208);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128;
    const int within = i % 128;
    const int low = low_bits[half * 64 + within % 64] >> (within / 64 * 4) & 15;
    const int high = high_bits[half * 32 + within % 32] >> (within / 32 * 2) & 3;
    const float scale = d * static_cast<float>(static_cast<int8_t>(scales[i / 16]));
    out[i] = scale * static_cast<float>((low | high << 4) - 32);
  }
}

/// Behind the codes stand sums of 16 each, for dot products.
void q8_k(const Byte* block, float* out) {
  float d;
  std::memcpy(&d, block, sizeof(d));
  bytes_by_scale(block + 4, 256, d, out);
}

using Dequantize = void (*)(const Byte* block, float* out);

Dequantize function_of(uint32_t type) {
  switch (type) {
    case 2:
      return q4_0;
    case 3:
      return q4_1;
    case 6:
      return q5_0;
    case 7:
      return q5_1;
    case 8:
      return q8_0;
    case 9:
      return q8_1;
    case 10:
      return q2_k;
    case 11:
      return q3_k;
    case 12:
      return q4_k;
    case 13:
      return q5_k;
    case 14:
      return q6_k;
    default:
      return q8_k;
  }
}

}  // namespace

void dequantize_gguf_blocks(const gguf::TensorType& type, const std::byte* blocks, size_t count, float* out) {
  const Dequantize dequantize = function_of(type.id);
  const Byte* block = reinterpret_cast<const Byte*>(blocks);
  for (size_t i = 0; i < count; ++i) {
    dequantize(block, out);
    block += type.block_bytes;
    out += type.block_elements;
  }
}

}  // namespace lazuli
