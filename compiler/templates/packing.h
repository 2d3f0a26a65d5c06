#pragma once

#include <cstdint>

#include <lazuli/compiler/templates/matmul.h>

/// Packing of operands into panels, widening from what is stored to what is computed in. See `PackPanels`.
namespace lazuli::templates {

/// An operand seen as lanes (rows of the left, columns of the right one) by depths. Strides count elements.
struct LanesView {
  const std::byte* data = nullptr;
  Dtype dtype = float32;
  int64_t lane_stride = 0;
  int64_t k_stride = 0;
};

inline LanesView left_lanes(const MatrixView& a) {
  return {a.data, a.dtype, a.row_stride, a.column_stride};
}
inline LanesView right_lanes(const MatrixView& b) {
  return {b.data, b.dtype, b.column_stride, b.row_stride};
}

/// T is float (operands float16, bfloat16 or float32) or double (any real operands).
template <typename T>
void pack_panels(const LanesView& view, int64_t first, int64_t count, int64_t k_first, int64_t k_count,
                 int64_t width, T* panels);

/// For kernels of bfloat16 pairs: `view` is of bfloat16 and has `k` depths, of which pairs
/// [k_first, k_first + k_count) are packed, each as one element. A pair that ends behind the last depth ends
/// in zero.
void pack_bfloat16_pairs(const LanesView& view, int64_t k, int64_t first, int64_t count, int64_t k_first,
                         int64_t k_count, int64_t width, float* panels);

/// Complex products are done in real arithmetic. A left row a[0], a[1], ... is read as re a[0], im a[0],
/// re a[1], ...: twice the depths. A right column b becomes two, for the real and the imaginary part of the
/// result: (re b[0], -im b[0], re b[1], ...) and (im b[0], re b[0], im b[1], ...). The product's columns are
/// then the complex result as it lies in memory. Lanes, depths and `width` count real ones here.
template <typename T>
void pack_complex_left(const LanesView& view, int64_t first, int64_t count, int64_t k_first, int64_t k_count,
                       int64_t width, T* panel);
template <typename T>
void pack_complex_right(const LanesView& view, int64_t first, int64_t count, int64_t k_first, int64_t k_count,
                        int64_t width, T* panel);

/// Calls `f(std::type_identity<T>{})` with the type of the elements of a matrix: one of the five dtypes.
template <typename F>
void dispatch_inexact(Dtype dtype, F&& f) {
  switch (dtype.val()) {
    case Dtype::Val::float16:
      return f(std::type_identity<float16_t>{});
    case Dtype::Val::bfloat16:
      return f(std::type_identity<bfloat16_t>{});
    case Dtype::Val::float64:
      return f(std::type_identity<double>{});
    case Dtype::Val::complex64:
      return f(std::type_identity<complex64_t>{});
    default:
      return f(std::type_identity<float>{});
  }
}

/// An element as a real number (of its real part) or as a complex one.
template <typename T, typename S>
T real_value(const S& value) {
  if constexpr (std::is_same_v<S, complex64_t>) {
    return static_cast<T>(value.real());
  } else if constexpr (std::is_same_v<S, double>) {
    return static_cast<T>(value);
  } else {
    return static_cast<T>(static_cast<float>(value));
  }
}

template <typename T, typename S>
T imaginary_value(const S& value) {
  if constexpr (std::is_same_v<S, complex64_t>) {
    return static_cast<T>(value.imag());
  } else {
    return T{0};
  }
}

}  // namespace lazuli::templates
