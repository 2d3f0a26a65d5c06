#pragma once

#include <cstdint>

#include <lazuli/array/dtype.h>

/// The inner loops of cumulative operations, in the widest vectors that may be used.
namespace lazuli::templates {

/// The type in which elements of type T are combined.
template <typename T>
struct AccumulatedType {
  using type = T;
};
template <>
struct AccumulatedType<float16_t> {
  using type = float;
};
template <>
struct AccumulatedType<bfloat16_t> {
  using type = float;
};
template <typename T>
using Accumulated = typename AccumulatedType<T>::type;

/// How a loop goes over its elements.
struct ScanWalk {
  bool reverse = false;    ///< from the last element of a row to the first
  bool exclusive = false;  ///< a result is the combination of what came before
  bool stream = false;     ///< results are written past the caches, where they are aligned
  int64_t ahead = 0;      ///< how many elements after it is read an element is to be fetched; may be negative
  int64_t far_ahead = 0;  ///< the same, into the second-level cache only
  int64_t next = 0;  ///< how many elements on those are that the loop combines with `sums` while it walks
};

/// Loops of one operation on elements of type T. in == out is fine.
template <typename T>
struct ScanLoops {
  using A = Accumulated<T>;
  /// Combines `carry` with the elements of a row, one after the other: `out` gets each result, `carry` the
  /// last. Meanwhile combines the elements that are `walk.next` further with `sums`, unless that is 0.
  void (*row)(const T* in, T* out, int64_t count, A* carry, ScanWalk walk, A* sums) = nullptr;
  /// The combination of all.
  A (*total)(const T* in, int64_t count) = nullptr;
  /// The same down `columns` columns at once, each of which has its carry. Rows are `step` elements apart.
  void (*columns)(const T* in, T* out, int64_t rows, int64_t columns, int64_t step, A* carry, ScanWalk walk,
                  A* sums) = nullptr;
  /// Combines the elements of each column with its carry.
  void (*column_totals)(const T* in, int64_t rows, int64_t columns, int64_t step, A* carry) = nullptr;
  /// before[j] = carry[j]; carry[j] = carry[j] ∘ own[j].
  void (*pass_on)(A* carry, const A* own, A* before, int64_t columns) = nullptr;
};

/// By ScanKind: sum, prod, max, min, and log_sum_exp, which integers have no loops for.
template <typename T>
struct ScanTable {
  ScanLoops<T> loops[5];
};

struct ScanKernels {
  ScanTable<float> float32;
  ScanTable<double> float64;
  ScanTable<int32_t> int32;
  ScanTable<int64_t> int64;
  ScanTable<float16_t> float16;
  ScanTable<bfloat16_t> bfloat16;
};

/// Those for the widest vectors that may be used, and each of them.
const ScanKernels& scan_kernels();
const ScanKernels& baseline_scan_kernels();
const ScanKernels& avx2_scan_kernels();
const ScanKernels& avx512_scan_kernels();

}  // namespace lazuli::templates
