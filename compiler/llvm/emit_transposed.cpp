#include <algorithm>
#include <bit>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/llvm/emitter.h>

namespace lazuli {

using kir::Block;
using llvm::Value;

// An input that lies in memory the other way round (a transposed view) is read a square tile at a time: as
// many vectors along its own contiguous dimension as a vector has lanes, transposed in registers, and kept in
// a buffer in the first-level cache, from which the tile's rows are then computed as if the input lay like
// the others. Several tiles along the input's contiguous dimension follow each other, so that whole lines and
// pages are used while they are at hand.

namespace {

/// Tiles side by side.
constexpr int64_t tiles_abreast = 4;

}  // namespace

/// Walks the outer points: blocks of rows where as many follow each other along the transposed dimension,
/// single ones elsewhere.
void KernelEmitter::emit_transposed_outer() {
  llvm::IRBuilder<>& ir = b_.ir;
  const int dim = schedule_.outer_dims.back();
  const int64_t lanes = schedule_.lanes;
  for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
    if (!schedule_.transposed[a]) continue;
    llvm::Type* element = b_.memory_type(kernel_.accesses[a].dtype);
    transposed_[a] = b_.stack(element, lanes * lanes, 64);
  }
  Value* begin = b_.function().getArg(2);
  Value* end = b_.function().getArg(3);
  llvm::BasicBlock* before = ir.GetInsertBlock();
  llvm::BasicBlock* head = b_.block("rows");
  llvm::BasicBlock* many = b_.block("many");
  llvm::BasicBlock* one = b_.block("one");
  llvm::BasicBlock* latch = b_.block("next");
  llvm::BasicBlock* after = b_.block("done");
  ir.CreateCondBr(ir.CreateICmpSLT(begin, end), head, after);

  ir.SetInsertPoint(head);
  llvm::PHINode* row = ir.CreatePHI(ir.getInt64Ty(), 2, "row");
  row->addIncoming(begin, before);
  const std::vector<Value*> saved = pointers_;
  use_odometer(start_odometer(row));
  Value* left = ir.CreateSub(extents_[dim], index_[dim]);
  Value* until_end = ir.CreateSub(end, row);
  left = ir.CreateSelect(ir.CreateICmpSLT(left, until_end), left, until_end);
  Value* most = b_.i64(lanes * tiles_abreast);
  Value* rows = ir.CreateAnd(ir.CreateSelect(ir.CreateICmpSLT(left, most), left, most), b_.i64(-lanes));
  ir.CreateCondBr(ir.CreateICmpSGT(rows, b_.i64(0)), many, one);

  ir.SetInsertPoint(many);
  emit_transposed_rows(rows);
  Value* after_many = ir.CreateAdd(row, rows);
  llvm::BasicBlock* end_of_many = ir.GetInsertBlock();
  ir.CreateBr(latch);

  ir.SetInsertPoint(one);
  emit_point();
  Value* after_one = ir.CreateAdd(row, b_.i64(1));
  llvm::BasicBlock* end_of_one = ir.GetInsertBlock();
  ir.CreateBr(latch);

  ir.SetInsertPoint(latch);
  llvm::PHINode* next = ir.CreatePHI(ir.getInt64Ty(), 2);
  next->addIncoming(after_many, end_of_many);
  next->addIncoming(after_one, end_of_one);
  row->addIncoming(next, latch);
  ir.CreateCondBr(ir.CreateICmpSLT(next, end), head, after);
  ir.SetInsertPoint(after);
  pointers_ = saved;
}

/// Rows from the current point on, a multiple of the lanes.
void KernelEmitter::emit_transposed_rows(Value* rows) {
  const int lanes = schedule_.lanes;
  const int dim = schedule_.outer_dims.back();
  Value* begin = b_.function().getArg(4);
  Value* end = b_.function().getArg(5);
  Value* size = b_.ir.CreateSub(end, begin);
  Value* whole = b_.ir.CreateAdd(begin, b_.ir.CreateAnd(size, b_.i64(-lanes)));
  Value* first = index_[dim];
  const auto at_row = [&](Value* row, llvm::function_ref<void()> body) {
    at_position(dim, row, [&] {
      index_[dim] = b_.ir.CreateAdd(first, row);
      for (const Block& block : kernel_.blocks) emit_level(block, 1);
      body();
      return Carried();
    });
  };
  b_.loop(
      begin, whole, lanes,
      [&](Value* column) {
        b_.loop(
            b_.i64(0), rows, lanes,
            [&](Value* row) {
              load_transposed_tile(row, column);
              b_.loop(
                  b_.i64(0), b_.i64(lanes), 1,
                  [&](Value* n) {
                    at_row(b_.ir.CreateAdd(row, n), [&] {
                      width_ = {lanes, 1, nullptr};
                      tile_row_ = n;
                      at_position(schedule_.vector_dim, column, [&] {
                        for (const Block& block : kernel_.blocks) emit_level(block, schedule_.vector_level);
                        return Carried();
                      });
                      tile_row_ = nullptr;
                      width_ = {};
                    });
                  },
                  "tile_rows");
            },
            "tiles");
      },
      "columns");
  // Columns that do not fill a tile, lane by lane.
  b_.if_then(b_.ir.CreateICmpSLT(whole, end), [&] {
    b_.loop(
        b_.i64(0), rows, 1,
        [&](Value* row) {
          at_row(row, [&] {
            emit_vector_range(whole, end, 1, {}, [&](const Carried&) {
              for (const Block& block : kernel_.blocks) emit_level(block, schedule_.vector_level);
              return Carried();
            });
          });
        },
        "rest");
  });
  index_[dim] = first;
}

/// Fills the buffers with the tile whose corner is `row` rows from the current point, at `column`.
void KernelEmitter::load_transposed_tile(Value* row, Value* column) {
  const int lanes = schedule_.lanes;
  for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
    if (!schedule_.transposed[a]) continue;
    const int64_t size = kernel_.accesses[a].dtype.size();
    llvm::Type* element = b_.memory_type(kernel_.accesses[a].dtype);
    Value* stride = strides_[a][schedule_.vector_dim];
    Value* from = b_.offset_bytes(pointers_[a], b_.times(row, size));
    from = b_.offset_bytes(from, b_.ir.CreateMul(column, stride));
    llvm::SmallVector<Value*, 64> vectors;
    Value* ahead = b_.ir.CreateMul(stride, b_.i64(lanes));
    for (int n = 0; n < lanes; ++n) {
      vectors.push_back(b_.load_raw(element, from, lanes));
      // No prefetcher of the processor's follows such strides.
      b_.prefetch(b_.offset_bytes(from, ahead), 2);
      from = b_.offset_bytes(from, stride);
    }
    b_.transpose(vectors);
    for (int n = 0; n < lanes; ++n) {
      b_.store_raw(vectors[static_cast<size_t>(n)],
                   b_.offset_bytes(transposed_[a], int64_t{n} * lanes * size));
    }
  }
}

}  // namespace lazuli
