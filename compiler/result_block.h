#pragma once

#include <cstddef>
#include <cstdint>

#include <lazuli/compiler/thread_pool.h>

namespace lazuli {

/// A finished part of a result with `columns` along its last axis and all other axes flattened to rows: rows
/// [row, row + rows) × columns [column, column + columns).
struct ResultBlock {
  const std::byte* data = nullptr;  ///< elements of the type they were computed in
  int64_t row_stride = 0;           ///< in elements; columns are contiguous
  int64_t row = 0;
  int64_t rows = 0;
  int64_t column = 0;
  int64_t columns = 0;
};

/// Takes what a template has computed, a block at a time, while it is in the caches; called from many
/// threads.
using TakeBlock = FunctionRef<void(const ResultBlock&)>;

}  // namespace lazuli
