#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli {

/// A reduction in two kernels: the first reduces parts of the outermost reduce dimension, each by itself, so
/// that many threads have work where there are few results; the second reduces the parts' results and does
/// what followed.
struct SplitReduction {
  static constexpr int part_counts = std::numeric_limits<int>::min();
  /// A kernel whose operands are those of the original or partial results.
  struct Half {
    kir::Kernel kernel;
    std::vector<int64_t> extents;
    std::vector<std::vector<int64_t>> strides;
    /// For each access: the access of the original, or of partial result k as -1 - k, or `part_counts`.
    std::vector<int> operands;
    /// Which accesses stay at the first element even in `rest`; empty: none.
    std::vector<bool> at_first;
    /// How many elements along the split dimension each access begins further on; empty: none.
    std::vector<int64_t> moved;
  };
  Half first;
  /// The first half again for what is left over when the dimension is divided into equal parts, if anything
  /// is.
  std::optional<Half> rest;
  Half second;

  int64_t parts = 0;    ///< `rest`'s included
  int64_t results = 0;  ///< elements of each part's result
  /// Of each partial result: [parts, results], row-major. Those of reductions come first, then, for each one
  /// that finds a position, the value there.
  std::vector<Dtype> partial_dtypes;
  int64_t rest_offset = 0;  ///< where, along the reduce dimension, `rest` begins
  int split_dim = 0;
  std::vector<int64_t> counts;  ///< elements that each part reduces, where kernels ask for them
};

/// Splits a kernel that gives `threads` threads too little to do side by side; nothing where it would not
/// pay, or where the kernel goes over its elements more than once or computes with their positions. `strides`
/// as for bind_kernel.
std::optional<SplitReduction> split_reduction(const kir::Kernel& kernel, std::span<const int64_t> extents,
                                              std::span<const std::vector<int64_t>> strides, int threads);

/// The same for a kernel over columns that goes over its elements twice, for sums and for sums of squared
/// distances from what the sums give, as a variance does: each part is gone over once, and has a mean of its
/// own.
std::optional<SplitReduction> split_variance(const kir::Kernel& kernel, std::span<const int64_t> extents,
                                             std::span<const std::vector<int64_t>> strides);

}  // namespace lazuli
