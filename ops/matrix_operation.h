#pragma once

#include <string>

#include <lazuli/compiler/lapack/matrices.h>
#include <lazuli/compiler/operations.h>
#include <lazuli/ops/rules.h>

namespace lazuli {

/// A function of matrices, which are the last two dimensions of its inputs; the others are a batch that all
/// of them have. float32, float64 or complex64.
class MatrixOperation : public HostOperation {
 public:
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                          Dim batch) const override;

 protected:
  /// Calls `f` with the type of a dtype's elements.
  template <typename F>
  static void with_element_type(Dtype dtype, F&& f) {
    if (dtype == float32) {
      f(std::type_identity<float>{});
    } else if (dtype == float64) {
      f(std::type_identity<double>{});
    } else {
      f(std::type_identity<complex64_t>{});
    }
  }
};

/// The elements of member `i` of an output, each of which has `size`.
template <typename T>
T* member_of(const TensorView& output, int64_t i, int64_t size) {
  return reinterpret_cast<T*>(output.data) + i * size;
}

/// The dtype of norms, singular values and eigenvalues of hermitian matrices of a dtype.
inline Dtype real_dtype(Dtype dtype) {
  return dtype == complex64 ? float32 : dtype;
}

/// A batch of matrices, or of vectors, in other extents.
Shape matrices_of(const Shape& like, Dim rows, Dim columns);
Shape vectors_of(const Shape& like, Dim length);

/// The conjugate transposed matrices.
array adjoint(const array& a);

/// Throws std::invalid_argument `[linalg::name] ...` unless `a` has matrices of float32, float64 or
/// complex64; with `square`, unless these are square.
void require_matrices(const array& a, const char* name, bool square);

/// Throws std::invalid_argument for complex matrices, of which `what` has no gradient here.
void require_real_gradient(const array& a, const char* what);

}  // namespace lazuli
