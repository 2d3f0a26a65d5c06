#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <limits>
#include <tuple>
#include <type_traits>

#include <lazuli/array/half.h>
#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/kernel_ir/math_tables.h>

// Some files that include this are compiled for more than the baseline instruction set. Their copies of
// these functions must not be taken for those of the others, so each set has its own inline namespace.
#if defined(__AVX512F__)
#define LAZULI_INSTRUCTION_SET avx512
#elif defined(__AVX2__)
#define LAZULI_INSTRUCTION_SET avx2
#else
#define LAZULI_INSTRUCTION_SET baseline
#endif

/// What the basic instructions mean for one element: the reference for constant folding, the interpreter
/// and tests.
namespace lazuli::kir::scalar {
inline namespace LAZULI_INSTRUCTION_SET {

/// The unsigned integer in which integer arithmetic wraps. (Small types would be promoted to int.)
template <typename T>
using Wrapping = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

template <typename T>
constexpr T wrap(Wrapping<T> value) {
  return static_cast<T>(value);
}

template <typename T>
inline constexpr bool is_bool = std::is_same_v<T, bool>;

template <typename T>
constexpr bool is_nan(T a) {
  if constexpr (std::floating_point<T>) {
    return a != a;
  } else {
    return false;
  }
}

/// The product a * b + c rounded once on hardware without FMA too.
inline float fused_multiply_add(float a, float b, float c) {
#ifdef __FMA__
  return __builtin_fmaf(a, b, c);
#else
  // The product is exact in double. The sum is rounded to odd there, so that rounding it again to float
  // gives what one rounding would.
  const double product = static_cast<double>(a) * b;
  const double sum = product + c;
  const double back = sum - product;
  const double error = (product - (sum - back)) + (c - back);
  uint64_t bits = std::bit_cast<uint64_t>(sum);
  if (error != 0 && (bits & 1) == 0 && std::abs(sum) <= std::numeric_limits<double>::max()) {
    // Step towards the true sum: up in magnitude if the error has the sum's sign.
    bits += (error > 0) == (sum > 0) ? uint64_t{1} : ~uint64_t{0};
  }
  return static_cast<float>(std::bit_cast<double>(bits));
#endif
}
inline double fused_multiply_add(double a, double b, double c) {
  return std::fma(a, b, c);
}

template <typename To, typename From>
To convert(From a) {
  if constexpr (is_bool<To>) {
    return a != From{0};
  } else if constexpr (std::floating_point<From> && std::integral<To>) {
    // 2^digits and the lowest value are exact in either floating-point type.
    constexpr int digits = std::numeric_limits<To>::digits;
    const From upper = static_cast<From>(uint64_t{1} << (digits - 1)) * From{2};
    if (!(a == a)) return To{0};
    if (a >= upper) return std::numeric_limits<To>::max();
    if (a < static_cast<From>(std::numeric_limits<To>::lowest())) return std::numeric_limits<To>::lowest();
    return static_cast<To>(a);
  } else {
    return static_cast<To>(a);
  }
}

struct Add {
  static constexpr Opcode opcode = Opcode::add;
  template <typename T>
  static T apply(T a, T b) {
    if constexpr (std::floating_point<T>)
      return a + b;
    else
      return wrap<T>(static_cast<Wrapping<T>>(a) + static_cast<Wrapping<T>>(b));
  }
};
struct Sub {
  static constexpr Opcode opcode = Opcode::sub;
  template <typename T>
  static T apply(T a, T b) {
    if constexpr (std::floating_point<T>)
      return a - b;
    else
      return wrap<T>(static_cast<Wrapping<T>>(a) - static_cast<Wrapping<T>>(b));
  }
};
struct Mul {
  static constexpr Opcode opcode = Opcode::mul;
  template <typename T>
  static T apply(T a, T b) {
    if constexpr (std::floating_point<T>)
      return a * b;
    else
      return wrap<T>(static_cast<Wrapping<T>>(a) * static_cast<Wrapping<T>>(b));
  }
};
struct Div {
  static constexpr Opcode opcode = Opcode::div;
  template <typename T>
  static T apply(T a, T b) {
    if constexpr (std::floating_point<T>) {
      return a / b;
    } else {
      if (b == 0) return 0;
      if constexpr (std::is_signed_v<T>) {
        if (b == -1) return Sub::apply<T>(0, a);
      }
      return static_cast<T>(a / b);
    }
  }
};
struct Rem {
  static constexpr Opcode opcode = Opcode::rem;
  template <typename T>
  static T apply(T a, T b) {
    if constexpr (std::floating_point<T>) {
      return std::fmod(a, b);
    } else {
      if (b == 0) return 0;
      if constexpr (std::is_signed_v<T>) {
        if (b == -1) return 0;
      }
      return static_cast<T>(a % b);
    }
  }
};
struct Min {
  static constexpr Opcode opcode = Opcode::min;
  template <typename T>
  static T apply(T a, T b) {
    return a < b || is_nan(a) ? a : b;
  }
};
struct Max {
  static constexpr Opcode opcode = Opcode::max;
  template <typename T>
  static T apply(T a, T b) {
    return b < a || is_nan(a) ? a : b;
  }
};
struct BitAnd {
  static constexpr Opcode opcode = Opcode::bit_and;
  template <typename T>
  static T apply(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct BitOr {
  static constexpr Opcode opcode = Opcode::bit_or;
  template <typename T>
  static T apply(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct BitXor {
  static constexpr Opcode opcode = Opcode::bit_xor;
  template <typename T>
  static T apply(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};
struct ShiftLeft {
  static constexpr Opcode opcode = Opcode::shift_left;
  template <typename T>
  static T apply(T a, T b) {
    using U = std::make_unsigned_t<T>;
    constexpr U width = 8 * sizeof(T);
    return static_cast<U>(b) < width ? wrap<T>(static_cast<Wrapping<T>>(a) << b) : T{0};
  }
};
struct ShiftRight {
  static constexpr Opcode opcode = Opcode::shift_right;
  template <typename T>
  static T apply(T a, T b) {
    using U = std::make_unsigned_t<T>;
    constexpr U width = 8 * sizeof(T);
    if (static_cast<U>(b) < width) return static_cast<T>(a >> b);
    return static_cast<T>(a < 0 ? -1 : 0);
  }
};
struct Eq {
  static constexpr Opcode opcode = Opcode::eq;
  template <typename T>
  static bool apply(T a, T b) {
    return a == b;
  }
};
struct Ne {
  static constexpr Opcode opcode = Opcode::ne;
  template <typename T>
  static bool apply(T a, T b) {
    return a != b;
  }
};
struct Lt {
  static constexpr Opcode opcode = Opcode::lt;
  template <typename T>
  static bool apply(T a, T b) {
    return a < b;
  }
};
struct Le {
  static constexpr Opcode opcode = Opcode::le;
  template <typename T>
  static bool apply(T a, T b) {
    return a <= b;
  }
};

struct Neg {
  static constexpr Opcode opcode = Opcode::neg;
  template <typename T>
  static T apply(T a) {
    if constexpr (std::floating_point<T>)
      return -a;
    else
      return Sub::apply<T>(0, a);
  }
};
struct Abs {
  static constexpr Opcode opcode = Opcode::abs;
  template <typename T>
  static T apply(T a) {
    if constexpr (std::floating_point<T>)
      return std::abs(a);
    else if constexpr (std::is_signed_v<T>)
      return a < 0 ? Neg::apply<T>(a) : a;
    else
      return a;
  }
};
struct Floor {
  static constexpr Opcode opcode = Opcode::floor;
  template <typename T>
  static T apply(T a) {
    return std::floor(a);
  }
};
struct Ceil {
  static constexpr Opcode opcode = Opcode::ceil;
  template <typename T>
  static T apply(T a) {
    return std::ceil(a);
  }
};
struct Trunc {
  static constexpr Opcode opcode = Opcode::trunc;
  template <typename T>
  static T apply(T a) {
    return std::trunc(a);
  }
};
struct Rint {
  static constexpr Opcode opcode = Opcode::rint;
  template <typename T>
  static T apply(T a) {
    return std::nearbyint(a);
  }
};
struct Sqrt {
  static constexpr Opcode opcode = Opcode::sqrt;
  template <typename T>
  static T apply(T a) {
    return std::sqrt(a);
  }
};
struct BitNot {
  static constexpr Opcode opcode = Opcode::bit_not;
  template <typename T>
  static T apply(T a) {
    if constexpr (is_bool<T>)
      return !a;
    else
      return static_cast<T>(~a);
  }
};

using UnaryOperations = std::tuple<Neg, Abs, Floor, Ceil, Trunc, Rint, Sqrt, BitNot>;
using BinaryOperations = std::tuple<Add, Sub, Mul, Div, Rem, Min, Max, BitAnd, BitOr, BitXor, ShiftLeft,
                                    ShiftRight, Eq, Ne, Lt, Le>;

/// The dtype of a compute type's values.
template <typename T>
consteval Dtype compute_dtype() {
  if constexpr (is_bool<T>)
    return bool_;
  else if constexpr (std::is_same_v<T, float>)
    return float32;
  else if constexpr (std::is_same_v<T, double>)
    return float64;
  else if constexpr (sizeof(T) == 1)
    return std::is_signed_v<T> ? int8 : uint8;
  else if constexpr (sizeof(T) == 2)
    return std::is_signed_v<T> ? int16 : uint16;
  else if constexpr (sizeof(T) == 4)
    return std::is_signed_v<T> ? int32 : uint32;
  else
    return std::is_signed_v<T> ? int64 : uint64;
}

/// Whether the operation is defined for T.
template <typename Operation, typename T>
inline constexpr bool defined_for = accepts(Operation::opcode, compute_dtype<T>());

/// A float32 value rounded to a 16-bit dtype and back.
inline float round_to(float a, Dtype dtype) {
  return dtype == float16 ? static_cast<float>(float16_t(a)) : static_cast<float>(bfloat16_t(a));
}

/// An entry of one of the tables, by the low bits of `index`.
inline float look_up(Table table, int32_t index) {
  return entries_of(table)[static_cast<uint32_t>(index) % table_size];
}

/// a * 2^floor(b), rounded once, by two factors: 2^floor(b) alone may be out of range though the result is
/// not.
struct Scalb {
  static constexpr Opcode opcode = Opcode::scalb;
  static float apply(float a, float b) {
    const float floor = std::floor(b);
    const float above = floor > -252.0F ? floor : -252.0F;  // NaN too, lest it be converted
    const auto exponent = static_cast<int32_t>(above < 252.0F ? above : 252.0F);
    const int32_t half = exponent >> 1;
    const auto power = [](int32_t n) { return std::bit_cast<float>(static_cast<uint32_t>(n + 127) << 23); };
    return a * power(half) * power(exponent - half);
  }
};

/// A value as the immediate of a constant: its bytes, extended by zeros.
template <typename T>
uint64_t to_bits(T value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}
template <typename T>
T from_bits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace LAZULI_INSTRUCTION_SET
}  // namespace lazuli::kir::scalar
