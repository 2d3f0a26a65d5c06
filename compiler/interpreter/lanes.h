#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <xsimd/xsimd.hpp>

#include <lazuli/compiler/interpreter/steps.h>
#include <lazuli/compiler/kernel_ir/scalar.h>

/// Operations on a unit of 16 elements, in xsimd batches where xsimd has the operation with the meaning the
/// IR gives it, else element by element in a loop of fixed length. Included by the files that are compiled
/// once an instruction set; nothing here is visible outside of them.
namespace lazuli::interpreter {
namespace {

using Arch = xsimd::default_arch;

template <typename T>
inline constexpr bool has_batch = std::is_floating_point_v<T> || (std::is_integral_v<T> && sizeof(T) >= 4);

template <typename T>
using Batch = xsimd::batch<T, Arch>;

/// Whether xsimd has the instruction. (For AVX-512 it multiplies and adds, rounding twice.)
#if defined(__FMA__) && !defined(__AVX512F__)
inline constexpr bool has_fma = true;
#else
inline constexpr bool has_fma = false;
#endif
/// Whether the machine rounds to integers; xsimd's emulation loses the sign of zero.
#if defined(__SSE4_1__) || defined(__ARM_NEON)
inline constexpr bool has_rounding = true;
#else
inline constexpr bool has_rounding = false;
#endif

/// An operation of `kir::scalar` on batches; `of<T>` tells whether there is one.
template <typename Operation>
struct OnBatches {
  template <typename T>
  static constexpr bool of = false;
};

template <>
struct OnBatches<kir::scalar::Add> {
  template <typename T>
  static constexpr bool of = has_batch<T>;
  template <typename B>
  static B apply(B a, B b) {
    return a + b;
  }
};
template <>
struct OnBatches<kir::scalar::Sub> {
  template <typename T>
  static constexpr bool of = has_batch<T>;
  template <typename B>
  static B apply(B a, B b) {
    return a - b;
  }
};
template <>
struct OnBatches<kir::scalar::Mul> {
  template <typename T>
  static constexpr bool of = std::is_floating_point_v<T>;
  template <typename B>
  static B apply(B a, B b) {
    return a * b;
  }
};
template <>
struct OnBatches<kir::scalar::Div> {
  template <typename T>
  static constexpr bool of = std::is_floating_point_v<T>;
  template <typename B>
  static B apply(B a, B b) {
    return a / b;
  }
};
template <>
struct OnBatches<kir::scalar::Min> {
  template <typename T>
  static constexpr bool of = std::is_floating_point_v<T>;
  template <typename B>
  static B apply(B a, B b) {
    return xsimd::select(a == a, xsimd::select(a < b, a, b), a);  // != is false for NaN in xsimd
  }
};
template <>
struct OnBatches<kir::scalar::Max> {
  template <typename T>
  static constexpr bool of = std::is_floating_point_v<T>;
  template <typename B>
  static B apply(B a, B b) {
    return xsimd::select(a == a, xsimd::select(b < a, a, b), a);
  }
};
template <>
struct OnBatches<kir::scalar::BitAnd> {
  template <typename T>
  static constexpr bool of = has_batch<T>;
  template <typename B>
  static B apply(B a, B b) {
    return a & b;
  }
};
template <>
struct OnBatches<kir::scalar::BitOr> {
  template <typename T>
  static constexpr bool of = has_batch<T>;
  template <typename B>
  static B apply(B a, B b) {
    return a | b;
  }
};
template <>
struct OnBatches<kir::scalar::BitXor> {
  template <typename T>
  static constexpr bool of = has_batch<T>;
  template <typename B>
  static B apply(B a, B b) {
    return a ^ b;
  }
};
template <>
struct OnBatches<kir::scalar::Sqrt> {
  template <typename T>
  static constexpr bool of = std::is_floating_point_v<T>;
  template <typename B>
  static B apply(B a) {
    return xsimd::sqrt(a);
  }
};
template <>
struct OnBatches<kir::scalar::Floor> {
  template <typename T>
  static constexpr bool of = std::is_floating_point_v<T>&& has_rounding;
  template <typename B>
  static B apply(B a) {
    return xsimd::floor(a);
  }
};
template <>
struct OnBatches<kir::scalar::Ceil> {
  template <typename T>
  static constexpr bool of = std::is_floating_point_v<T>&& has_rounding;
  template <typename B>
  static B apply(B a) {
    return xsimd::ceil(a);
  }
};
template <>
struct OnBatches<kir::scalar::Trunc> {
  template <typename T>
  static constexpr bool of = std::is_floating_point_v<T>&& has_rounding;
  template <typename B>
  static B apply(B a) {
    return xsimd::trunc(a);
  }
};
template <>
struct OnBatches<kir::scalar::Rint> {
  template <typename T>
  static constexpr bool of = std::is_floating_point_v<T>&& has_rounding;
  template <typename B>
  static B apply(B a) {
    return xsimd::nearbyint(a);
  }
};

/// a * b + c, rounded once.
struct Fma {
  template <typename T>
  static T apply(T a, T b, T c) {
    return kir::scalar::fused_multiply_add(a, b, c);
  }
};
template <>
struct OnBatches<Fma> {
  template <typename T>
  static constexpr bool of = std::is_floating_point_v<T>&& has_fma;
  template <typename B>
  static B apply(B a, B b, B c) {
    return xsimd::fma(a, b, c);
  }
};

/// A comparison and a choice between two values of the same type.
template <typename Comparison>
struct CompareSelect {
  template <typename T, typename V>
  static V apply(T a, T b, V x, V y) {
    return Comparison::apply(a, b) ? x : y;
  }
};
template <typename Comparison>
struct OnBatches<CompareSelect<Comparison>> {
  template <typename T>
  static constexpr bool of = std::is_floating_point_v<T>;
  template <typename B>
  static B apply(B a, B b, B x, B y) {
    if constexpr (Comparison::opcode == kir::Opcode::lt)
      return xsimd::select(a < b, x, y);
    else if constexpr (Comparison::opcode == kir::Opcode::le)
      return xsimd::select(a <= b, x, y);
    else if constexpr (Comparison::opcode == kir::Opcode::eq)
      return xsimd::select(a == b, x, y);
    else
      return xsimd::select(a == b, y, x);
  }
};

/// What registers hold: bools are bytes, since the lanes that pad a block may hold anything.
template <typename T>
using Stored = std::conditional_t<kir::scalar::is_bool<T>, uint8_t, T>;

template <typename T>
T value_of(Stored<T> stored) {
  if constexpr (kir::scalar::is_bool<T>)
    return stored != 0;
  else
    return stored;
}

/// Applies an operation to one unit. The result lies apart from the operands.
template <typename Operation, typename Result, typename First, typename... Others>
inline void apply_unit(Stored<Result>* __restrict result, const Stored<First>* first,
                       const Stored<Others>*... others) {
  if constexpr (OnBatches<Operation>::template of<First> && std::is_same_v<Result, First> &&
                (std::is_same_v<Others, First> && ...)) {
    constexpr size_t size = Batch<First>::size;
    for (size_t i = 0; i < unit; i += size) {
      OnBatches<Operation>::apply(Batch<First>::load_aligned(first + i),
                                  Batch<First>::load_aligned(others + i)...)
          .store_aligned(result + i);
    }
  } else {
    for (int i = 0; i < unit; ++i) {
      result[i] = Operation::apply(value_of<First>(first[i]), value_of<Others>(others[i])...);
    }
  }
}

}  // namespace
}  // namespace lazuli::interpreter
