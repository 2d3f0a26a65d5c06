#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

namespace lazuli {

namespace half_detail {

/// IEEE 754 binary16 from binary32, rounding to nearest even.
constexpr uint16_t float_to_float16_bits(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  }
  if (magnitude >= 0x47800000u) {  // at least 65536, so past the largest half however it is rounded
    return static_cast<uint16_t>(sign | 0x7c00u);
  }
  if (magnitude < 0x38800000u) {  // subnormal or zero: let float addition do the rounding
    constexpr float shift = 0.5f;
    const float rounded = std::bit_cast<float>(magnitude) + shift;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(rounded) - std::bit_cast<uint32_t>(shift)));
  }
  const uint32_t odd = (magnitude >> 13) & 1u;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

constexpr float float16_bits_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) {
    // A signalling NaN becomes a quiet one, as the hardware's conversion makes it.
    const uint32_t quiet = magnitude > 0x7c00u ? 0x400000u : 0u;
    return std::bit_cast<float>(sign | 0x7f800000u | quiet | ((magnitude & 0x3ffu) << 13));
  }
  if (magnitude < 0x400u) {
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(value));
  }
  return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
}

/// bfloat16 from binary32, rounding to nearest even; NaN stays NaN (quiet).
constexpr uint16_t float_to_bfloat16_bits(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return static_cast<uint16_t>((bits >> 16) | 0x40u);
  }
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

constexpr float bfloat16_bits_to_float(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

}  // namespace half_detail

/// IEEE 754 binary16 as stored; arithmetic happens in float32.
struct float16_t {
  uint16_t bits = 0;

  float16_t() = default;
  template <typename T>
  requires std::is_arithmetic_v<T>
  constexpr float16_t(T value) : bits(half_detail::float_to_float16_bits(static_cast<float>(value))) {}
  constexpr operator float() const { return half_detail::float16_bits_to_float(bits); }
  static constexpr float16_t from_bits(uint16_t bits) {
    float16_t result;
    result.bits = bits;
    return result;
  }
};

/// The upper half of a float32 as stored; arithmetic happens in float32.
struct bfloat16_t {
  uint16_t bits = 0;

  bfloat16_t() = default;
  template <typename T>
  requires std::is_arithmetic_v<T>
  constexpr bfloat16_t(T value) : bits(half_detail::float_to_bfloat16_bits(static_cast<float>(value))) {}
  constexpr operator float() const { return half_detail::bfloat16_bits_to_float(bits); }
  static constexpr bfloat16_t from_bits(uint16_t bits) {
    bfloat16_t result;
    result.bits = bits;
    return result;
  }
};

static_assert(sizeof(float16_t) == 2 && sizeof(bfloat16_t) == 2);

}  // namespace lazuli
