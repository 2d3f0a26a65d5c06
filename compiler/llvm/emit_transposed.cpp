#include <algorithm>
#include <bit>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/llvm/emitter.h>

namespace lazuli {

using kir::Block;
using llvm::Value;

// An input that lies in memory the other way round (a transposed view) is read a square tile at a time: as
// many vectors along its own contiguous dimension as a vector has lanes, transposed in registers, and kept in
// a buffer in the first-level cache, from which rows are then computed as if the input lay like the others.
// Many tiles along the input's contiguous dimension follow each other, a page of it: memory is read in the
// order it likes, and each page is looked up once. What is written goes a line here and a line there, which
// costs less; narrow tiles are put side by side until they fill a line.

namespace {

/// Bytes along the input's contiguous dimension that are read before the next position along the vector
/// dimension.
constexpr int64_t bytes_abreast = 4096;
constexpr int64_t line_bytes = 64;

/// Tiles along the vector dimension that are kept side by side, of a kernel that stores elements of `size`
/// bytes.
int64_t tiles_along(int64_t lanes, int64_t size) {
  return std::clamp<int64_t>(line_bytes / (lanes * size), 1, 4);
}

/// Tiles that one load reads of a row, where elements are small: a line would be gone from the first-level
/// cache before the next tile came to it.
int64_t tiles_a_load(const Target& target, int64_t lanes, int64_t size) {
  return std::max<int64_t>(std::min<int64_t>(line_bytes, target.vector_bits / 8) / (lanes * size), 1);
}

}  // namespace

/// Walks the outer points: blocks of rows where as many follow each other along the transposed dimension,
/// single ones elsewhere.
void KernelEmitter::emit_transposed_outer() {
  llvm::IRBuilder<>& ir = b_.ir;
  const int dim = schedule_.outer_dims.back();
  const int64_t lanes = schedule_.lanes;
  int64_t widest = 1;
  int64_t narrowest = 8;
  for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
    const int64_t size = kernel_.accesses[a].dtype.size();
    if (schedule_.transposed[a]) widest = std::max(widest, size);
    if (kernel_.accesses[a].kind == kir::Access::Kind::output) narrowest = std::min(narrowest, size);
  }
  const int64_t along = tiles_along(lanes, narrowest);
  const int64_t tiles = tiles_a_load(b_.target(), lanes, widest);
  for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
    if (!schedule_.transposed[a]) continue;
    llvm::Type* element = b_.memory_type(kernel_.accesses[a].dtype);
    transposed_[a] = b_.stack(element, lanes * tiles * lanes * along, 64);
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
  Value* most = b_.i64(bytes_abreast / widest);
  Value* rows = ir.CreateAnd(ir.CreateSelect(ir.CreateICmpSLT(left, most), left, most), b_.i64(-lanes));
  ir.CreateCondBr(ir.CreateICmpSGT(rows, b_.i64(0)), many, one);

  ir.SetInsertPoint(many);
  emit_transposed_rows(rows, static_cast<int>(along), static_cast<int>(tiles));
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

/// Rows from the current point on, a multiple of the lanes, with so many tiles side by side and so many read
/// by one load.
void KernelEmitter::emit_transposed_rows(Value* rows, int most_along, int most_tiles) {
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
  // As many tiles side by side as fill a line, then single ones.
  Value* wide = b_.ir.CreateAdd(begin, b_.ir.CreateAnd(size, b_.i64(-lanes * most_along)));
  const auto tile_rows = [&](Value* column, Value* from, Value* to, int along, int tiles) {
    b_.loop(
        from, to, int64_t{lanes} * tiles,
        [&](Value* row) {
          for (int tile = 0; tile < along; ++tile) load_transposed_tiles(row, column, tile, along, tiles);
          b_.loop(
              b_.i64(0), b_.i64(int64_t{lanes} * tiles), 1,
              [&](Value* n) {
                at_row(b_.ir.CreateAdd(row, n), [&] {
                  width_ = {lanes, along, nullptr};
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
  };
  Value* in_loads = b_.ir.CreateAnd(rows, b_.i64(-int64_t{lanes} * most_tiles));
  const auto columns = [&](Value* from, Value* to, int along) {
    b_.loop(
        from, to, int64_t{lanes} * along,
        [&](Value* column) {
          tile_rows(column, b_.i64(0), in_loads, along, most_tiles);
          if (most_tiles > 1) tile_rows(column, in_loads, rows, along, 1);
        },
        "columns");
  };
  columns(begin, wide, most_along);
  if (most_along > 1) columns(wide, whole, 1);
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

/// Fills the buffers with tile `tile` of `along` side by side, and the `tiles` that follow each other down
/// from it; the corner of the first is `row` rows from the current point, at `column`.
void KernelEmitter::load_transposed_tiles(Value* row, Value* column, int tile, int along, int tiles) {
  const int lanes = schedule_.lanes;
  for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
    if (!schedule_.transposed[a]) continue;
    const int64_t size = kernel_.accesses[a].dtype.size();
    llvm::Type* element = b_.memory_type(kernel_.accesses[a].dtype);
    Value* stride = strides_[a][schedule_.vector_dim];
    Value* from = b_.offset_bytes(pointers_[a], b_.times(row, size));
    Value* first = b_.ir.CreateAdd(column, b_.i64(int64_t{tile} * lanes));
    from = b_.offset_bytes(from, b_.ir.CreateMul(first, stride));
    llvm::SmallVector<Value*, 64> vectors;
    Value* ahead = b_.ir.CreateMul(stride, b_.i64(int64_t{lanes} * along));
    for (int n = 0; n < lanes; ++n) {
      vectors.push_back(b_.load_raw(element, from, lanes * tiles));
      // No prefetcher of the processor's follows such strides.
      b_.prefetch(b_.offset_bytes(from, ahead), 2);
      from = b_.offset_bytes(from, stride);
    }
    b_.transpose(vectors);
    const int64_t tile_bytes = lanes * size;
    for (int down = 0; down < tiles; ++down) {
      llvm::SmallVector<int, 64> part;
      for (int i = 0; i < lanes; ++i) part.push_back(down * lanes + i);
      for (int n = 0; n < lanes; ++n) {
        Value* vector = vectors[static_cast<size_t>(n)];
        if (tiles > 1) vector = b_.ir.CreateShuffleVector(vector, part);
        const int64_t place = (int64_t{down} * lanes + n) * along + tile;
        b_.store_raw(vector, b_.offset_bytes(transposed_[a], place * tile_bytes));
      }
    }
  }
}

}  // namespace lazuli
