#pragma once

#include <cstdint>

#include <lazuli/compiler/templates/matmul.h>

namespace lazuli::templates {

/// The last step of a product: alpha * product + beta * c, rounded and stored.
struct MatmulResult {
  std::byte* out = nullptr;
  Dtype dtype = float32;
  int64_t row_stride = 0;
  double alpha = 1;
  double beta = 0;
  MatrixView c;
  bool complex_product = false;     ///< the product's columns are pairs of real and imaginary parts
  const TakeBlock* take = nullptr;  ///< gets the product instead, its rows counted from `first_row`
  int64_t first_row = 0;

  /// Where products of type T can be computed in place; null if something is left to be done to them.
  template <typename T>
  T* in_place() const;
  /// In elements of T.
  int64_t in_place_row_stride() const { return row_stride * (complex_product ? 2 : 1); }

  /// The result of rows from `row` on.
  MatmulResult from_row(int64_t row) const;

  /// Stores the block of rows [row, row + rows) × columns [column, column + columns); where the product is
  /// complex, columns count real numbers.
  template <typename T>
  void store(const T* block, int64_t block_row_stride, int64_t row, int64_t rows, int64_t column,
             int64_t columns) const;
};

}  // namespace lazuli::templates
