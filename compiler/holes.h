#pragma once

#include <cstddef>
#include <cstdint>

#include <lazuli/compiler/thread_pool.h>

/// The holes of templates: where fused kernels make an operand as it is needed, and take the result as it
/// comes.
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

/// Rows [row, row + rows) of an operand, all of its axes but the last flattened to rows: where they are to be
/// written.
struct OperandRows {
  std::byte* data = nullptr;  ///< elements of the operand's dtype
  int64_t row_stride = 0;     ///< in elements; a row is contiguous
  int64_t row = 0;
  int64_t rows = 0;
};

/// Makes rows of an operand when a template is about to use them; called from many threads, for each row
/// once.
using MakeRows = FunctionRef<void(const OperandRows&)>;

/// What a template's holes are filled with; null where they are not.
struct Holes {
  const MakeRows* make = nullptr;   ///< makes the left operand, which has no memory then
  const TakeBlock* take = nullptr;  ///< takes the result, which has no memory then
};

}  // namespace lazuli
