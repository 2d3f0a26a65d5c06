#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include <lazuli/compiler/lapack/routines.h>
#include <lazuli/compiler/operations.h>
#include <lazuli/compiler/thread_pool.h>

/// The matrices over a tensor's last two dimensions, and work on each.
namespace lazuli::lapack {

/// One matrix in memory.
template <Element T>
struct Matrix {
  const T* data;
  int rows;
  int columns;
  int64_t row_stride;
  int64_t column_stride;
};

/// The matrices of a tensor, its other dimensions being a batch.
template <Element T>
class Matrices {
 public:
  explicit Matrices(const TensorView& tensor) : tensor_(tensor), rank_(tensor.shape.size()) {}

  int64_t count() const {
    int64_t result = 1;
    for (size_t d = 0; d + 2 < rank_; ++d) result *= tensor_.shape[d].hint();
    return result;
  }
  int rows() const { return tensor_.shape[rank_ - 2].hint(); }
  int columns() const { return tensor_.shape[rank_ - 1].hint(); }

  Matrix<T> operator[](int64_t i) const {
    int64_t offset = 0;
    for (size_t d = rank_ - 2; d-- > 0;) {
      const int64_t extent = tensor_.shape[d].hint();
      offset += i % extent * tensor_.strides[d];
      i /= extent;
    }
    return {reinterpret_cast<const T*>(tensor_.data) + offset, rows(), columns(), tensor_.strides[rank_ - 2],
            tensor_.strides[rank_ - 1]};
  }

 private:
  const TensorView& tensor_;
  size_t rank_;
};

/// Copies a matrix so that its columns lie behind one another (with `by_rows`: its rows). Whether all
/// elements are finite: LAPACK need not come to an end where they aren't.
template <Element T>
bool copy_matrix(const Matrix<T>& from, bool by_rows, T* to);

/// Copies one triangle of a matrix (the upper one, where it has more columns than rows), the diagonal
/// included, so that its rows lie behind one another, with zeros beyond. Whether all elements of the triangle
/// are finite.
template <Element T>
bool copy_triangle(const Matrix<T>& from, bool upper, T* to);

/// Sets elements to what marks that there is no result: NaN.
template <typename T>
void fill_nan(T* data, int64_t count) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  if constexpr (std::is_same_v<T, complex64_t>) {
    std::fill_n(data, count, T(nan, nan));
  } else {
    std::fill_n(data, count, T(nan));
  }
}

/// Calls `f(i)` for each of `count` matrices that take about `work` operations each: in threads of their own
/// where they are many or small, while LAPACK keeps to one thread; else in turn, each on all threads.
void for_each_matrix(int64_t count, double work, FunctionRef<void(int64_t)> f);

}  // namespace lazuli::lapack
