#pragma once

#include <cstddef>
#include <cstdint>

#include <lazuli/array/dtype.h>
#include <lazuli/compiler/holes.h>

/// Kernel templates: the blocked, packed loops below matmul, quantized_matmul and
/// scaled_dot_product_attention, as plain functions over memory. They know nothing of arrays or graphs.
/// They run on up to `num_threads()` threads and return when the result is complete.
namespace lazuli::templates {

/// A matrix to read: element (i, j) lies at `data + (i * row_stride + j * column_stride) * dtype.size()`.
/// Strides count elements and may be zero (broadcast) or negative; a transpose is two strides exchanged.
struct MatrixView {
  const std::byte* data = nullptr;
  Dtype dtype = float32;
  int64_t row_stride = 0;
  int64_t column_stride = 0;
};

/// Where the matrices of a batch lie: matrix i starts at element `offsets[i]`, or at `i * stride` where
/// `offsets` is null.
struct BatchOffsets {
  int64_t stride = 0;
  const int64_t* offsets = nullptr;

  int64_t operator[](int64_t i) const { return offsets != nullptr ? offsets[i] : i * stride; }
};

/// out[i] = alpha * a[i] · b[i] + beta * c[i], for every i below `batch`.
///
/// `a` (m × k), `b` (k × n), `c` (m × n) and `out` are each float16, bfloat16, float32, float64 or
/// complex64, in any mixture; they are read as stored and widened on the way into registers or packed
/// panels. Products are accumulated in float32; in float64 where `a`, `b` or `out` is float64; in complex
/// float32 (complex float64 with a float64 among them) where `a` or `b` is complex. The result is rounded
/// once, to `out_dtype`; a complex result stored in a real dtype keeps its real part.
///
/// With k == 0 the product is zero. With beta == 0, `c` is not read. `out` must not overlap an input,
/// except that it may be `c` itself (same layout and dtype).
struct MatmulProblem {
  int64_t batch = 1;
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  MatrixView a;
  MatrixView b;
  BatchOffsets a_batch;
  BatchOffsets b_batch;

  std::byte* out = nullptr;
  Dtype out_dtype = float32;
  int64_t out_row_stride = 0;  ///< in elements; columns are contiguous
  BatchOffsets out_batch;

  double alpha = 1;
  double beta = 0;
  MatrixView c;
  BatchOffsets c_batch;

  /// `make`, where given, makes the rows of `a`, which has a dtype only then. `take`, where given, gets the
  /// products in blocks instead of `out`, unrounded; `alpha` is 1 then and `beta` 0. For both, rows of matrix
  /// i follow those of matrix i - 1. With either, nothing is complex.
  Holes holes;
  int64_t first_made_row = 0;  ///< from which `make` counts
};

/// Solves `problem`; throws std::invalid_argument for dtypes other than those above.
void matmul(const MatmulProblem& problem);

}  // namespace lazuli::templates
