#include <algorithm>
#include <bit>
#include <numeric>

#include <llvm/IR/Intrinsics.h>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/llvm/emitter.h>

namespace lazuli {

using kir::Block;
using llvm::Value;

// An input that lies in memory the other way round (a transposed view) is read a square tile at a time: as
// many vectors along its own contiguous dimension as a vector has lanes, transposed in registers. Rows are
// then computed from those, or, where they would not stay in registers, from a buffer in the first-level
// cache, as if the input lay like the others. Many tiles along the input's contiguous dimension follow each
// other, and those beside them are asked for meanwhile, one row of the input after the other: memory is read
// in the order it likes. What is written goes a line or two here and a line or two there, which costs less.

namespace {

/// Bytes along the input's contiguous dimension that are read before the next positions along the vector
/// dimension. (With those to come, they stay in the second-level cache.)
constexpr int64_t bytes_abreast = 2048;
/// And of all rows of a tile together.
constexpr int64_t tile_row_bytes = 65536;
/// And of several runs of rows that follow each other in the input.
constexpr int64_t runs_bytes = 8192;
constexpr int64_t line_bytes = 64;
/// Lines that are asked for in one step.
constexpr int64_t lines_a_step = 4;

/// Instructions up to which rows are computed from registers.
constexpr int little_work = 6;

/// Within which shuffles cost least.
constexpr int part_bytes = 16;

/// Binary places of a fraction of a row.
constexpr int share_bits = 20;

/// Tiles along the vector dimension that are taken side by side, of a kernel that stores elements of `size`
/// bytes: a line, two where lines go past the caches.
int64_t tiles_along(int64_t lanes, int64_t size, bool streaming) {
  const int64_t bytes = streaming && size > 1 ? 2 * line_bytes : line_bytes;
  return std::clamp<int64_t>(bytes / (lanes * size), 1, 4);
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
  const int64_t along = tiles_along(lanes, narrowest, options_.streaming);
  const int64_t tiles = tiles_a_load(b_.target(), lanes, widest);
  for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
    if (!schedule_.transposed[a]) continue;
    llvm::Type* element = b_.memory_type(kernel_.accesses[a].dtype);
    transposed_[a] = b_.stack(element, lanes * tiles * lanes * along, 64);
    if (transposes_in_parts(a) && lines_ == nullptr)
      lines_ = b_.stack(b_.ir.getInt8Ty(), lanes * line_bytes, 64);
  }
  const bool joined = joins_lines();
  const int64_t most_rows = std::min(bytes_abreast, tile_row_bytes / (lanes * along)) / widest;
  if (joined) prepare_joined(most_rows);
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
  Value* most = b_.i64(most_rows);
  Value* rows = ir.CreateAnd(ir.CreateSelect(ir.CreateICmpSLT(left, most), left, most), b_.i64(-lanes));
  ir.CreateCondBr(ir.CreateICmpSGT(rows, b_.i64(0)), many, one);

  ir.SetInsertPoint(many);
  Value* runs = b_.i64(1);
  if (schedule_.outer_dims.size() > 1 && !joined) {
    // Where a run of rows is all that there is along the dimension, several follow each other in the input.
    const int outer = schedule_.outer_dims[schedule_.outer_dims.size() - 2];
    Value* several = ir.CreateUDiv(b_.i64(runs_bytes / widest), rows);
    several = b_.intrinsic(llvm::Intrinsic::smin, {several, ir.CreateSub(extents_[outer], index_[outer])});
    several = b_.intrinsic(llvm::Intrinsic::smin, {several, ir.CreateUDiv(until_end, rows)});
    several = b_.intrinsic(llvm::Intrinsic::smax, {several, runs});
    runs = ir.CreateSelect(ir.CreateICmpEQ(rows, extents_[dim]), several, runs);
  }
  emit_transposed_rows(rows, runs, static_cast<int>(along), static_cast<int>(tiles));
  Value* after_many = ir.CreateAdd(row, ir.CreateMul(rows, runs));
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

/// Whether rows of a tile are computed from the registers in which it was transposed: where there is one such
/// input, little is done with it, and what a vector stores is a line.
bool KernelEmitter::computes_tiles_in_registers() const {
  if (std::count(schedule_.transposed.begin(), schedule_.transposed.end(), true) != 1) return false;
  for (const kir::Access& access : kernel_.accesses) {
    const bool output = access.kind == kir::Access::Kind::output;
    if (output && schedule_.lanes * access.dtype.size() < line_bytes) return false;
  }
  int work = 0;
  for (const Block& block : kernel_.blocks) work += work_of(block);
  return work <= little_work;
}

/// `runs` runs of `rows` rows (a multiple of the lanes) from the current point on, with so many tiles side by
/// side and so many read by one load.
void KernelEmitter::emit_transposed_rows(Value* rows, Value* runs, int most_along, int most_tiles) {
  const int lanes = schedule_.lanes;
  const int dim = schedule_.outer_dims.back();
  Value* begin = b_.function().getArg(4);
  Value* end = b_.function().getArg(5);
  Value* size = b_.ir.CreateSub(end, begin);
  Value* whole = b_.ir.CreateAdd(begin, b_.ir.CreateAnd(size, b_.i64(-lanes)));
  Value* first = index_[dim];
  const auto each_run = [&](llvm::function_ref<void(Value*)> body) {
    if (schedule_.outer_dims.size() == 1) return body(b_.i64(0));
    const int outer = schedule_.outer_dims[schedule_.outer_dims.size() - 2];
    Value* first_run = index_[outer];
    b_.loop(
        b_.i64(0), runs, 1,
        [&](Value* run) {
          at_position(outer, run, [&] {
            index_[outer] = b_.ir.CreateAdd(first_run, run);
            body(run);
            return Carried();
          });
        },
        "runs");
    index_[outer] = first_run;
  };
  const auto at_row = [&](Value* row, llvm::function_ref<void()> body) {
    at_position(dim, row, [&] {
      index_[dim] = b_.ir.CreateAdd(first, row);
      for (const Block& block : kernel_.blocks) emit_level(block, 1);
      body();
      return Carried();
    });
  };
  // As many tiles side by side as make whole lines, then single ones.
  Value* wide = b_.ir.CreateAdd(begin, b_.ir.CreateAnd(size, b_.i64(-lanes * most_along)));
  const bool straight = computes_tiles_in_registers();
  const auto tile_rows = [&](Value* column, Value* from, Value* to, int along, int tiles) {
    b_.loop(
        from, to, int64_t{lanes} * tiles,
        [&](Value* row) {
          fetch_next_tiles(row, rows, int64_t{lanes} * along, int64_t{lanes} * tiles);
          if (tiles == 1 && straight) {
            // (A loop: side by side, tiles would compete for registers.)
            b_.loop(
                column, b_.ir.CreateAdd(column, b_.i64(int64_t{along} * lanes)), lanes,
                [&](Value* at) { compute_tile(row, at, first); }, "side_by_side");
            return;
          }
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
    const std::vector<Value*> start = pointers_;
    b_.loop(
        from, to, int64_t{lanes} * along,
        [&](Value* column) {
          each_run([&](Value* run) {
            find_next_tiles(start, {rows, runs, run, column, b_.i64(int64_t{lanes} * along)});
            tile_rows(column, b_.i64(0), in_loads, along, most_tiles);
            if (most_tiles > 1) tile_rows(column, in_loads, rows, along, 1);
          });
        },
        "columns");
  };
  if (joins_lines()) {
    start_joined();
    Value* first_end = b_.intrinsic(llvm::Intrinsic::smin, {b_.ir.CreateAdd(begin, b_.i64(lanes)), whole});
    joined_first_ = true;
    columns(begin, first_end, 1);
    joined_first_ = false;
    columns(first_end, whole, 1);
    b_.if_then(b_.ir.CreateICmpSLT(begin, whole), [&] { finish_joined(rows, whole); });
  } else {
    columns(begin, wide, most_along);
    if (most_along > 1) columns(wide, whole, 1);
  }
  // Columns that do not fill a tile, lane by lane.
  b_.if_then(b_.ir.CreateICmpSLT(whole, end), [&] {
    each_run([&](Value*) {
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
  });
  index_[dim] = first;
}

/// Computes the tile whose corner is `row` rows from the current point, `first` along the transposed
/// dimension, at `column`.
void KernelEmitter::compute_tile(Value* row, Value* column, Value* first) {
  const int dim = schedule_.outer_dims.back();
  const auto a =
      static_cast<size_t>(std::find(schedule_.transposed.begin(), schedule_.transposed.end(), true) -
                          schedule_.transposed.begin());
  const bool in_parts = transposes_in_parts(a);
  const int known = in_parts ? part_bytes / kernel_.accesses[a].dtype.size() : schedule_.lanes;
  if (in_parts) {
    keep_lines(a, row, column);
  } else {
    tile_vectors_ = load_transposed_vectors(a, row, column, 1);
  }
  at_position(dim, row, [&] {
    for (int n = 0; n < schedule_.lanes; ++n) {
      tile_vector_ = n % known;
      if (in_parts && tile_vector_ == 0) tile_vectors_ = transpose_part(a, n / known);
      index_[dim] = b_.ir.CreateAdd(first, b_.ir.CreateAdd(row, b_.i64(n)));
      for (const Block& block : kernel_.blocks) emit_level(block, 1);
      width_ = {schedule_.lanes, 1, nullptr};
      if (joined_order_ != nullptr) joined_row_ = row;
      at_position(schedule_.vector_dim, column, [&] {
        for (const Block& block : kernel_.blocks) emit_level(block, schedule_.vector_level);
        return Carried();
      });
      joined_row_ = nullptr;
      width_ = {};
      for (size_t other = 0; other < pointers_.size(); ++other) {
        Value* stride = strides_[other][dim];
        if (stride != nullptr) pointers_[other] = b_.offset_bytes(pointers_[other], stride);
      }
    }
    return Carried();
  });
  tile_vectors_.clear();
}

/// Finds where the tiles begin that follow those at hand: in the next run of rows, else the next columns,
/// else the first columns of the rows that follow. `start` is where the accesses stand at the first run.
void KernelEmitter::find_next_tiles(const std::vector<Value*>& start, const TilesAtHand& hand) {
  llvm::IRBuilder<>& ir = b_.ir;
  Value* begin = b_.function().getArg(4);
  Value* end = b_.function().getArg(5);
  Value* next_run = ir.CreateAdd(hand.run, b_.i64(1));
  Value* next_column = ir.CreateAdd(hand.column, hand.columns);
  Value* same_columns = ir.CreateICmpSLT(next_run, hand.runs);
  Value* same_rows = ir.CreateICmpSLE(ir.CreateAdd(next_column, hand.columns), end);
  // Of those columns, what falls to each row at hand.
  Value* wholes = ir.CreateShl(hand.columns, b_.i64(share_bits));
  next_share_ = ir.CreateUDiv(ir.CreateAdd(wholes, ir.CreateSub(hand.rows, b_.i64(1))), hand.rows);
  next_tiles_.assign(kernel_.accesses.size(), nullptr);
  for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
    if (!schedule_.transposed[a]) continue;
    const int64_t size = kernel_.accesses[a].dtype.size();
    Value* stride = strides_[a][schedule_.vector_dim];
    Value* place = ir.CreateMul(next_column, stride);
    Value* rows_on = b_.times(ir.CreateMul(hand.rows, hand.runs), size);
    place = ir.CreateSelect(same_rows, place, ir.CreateAdd(rows_on, ir.CreateMul(begin, stride)));
    if (schedule_.outer_dims.size() > 1) {
      Value* run_stride = strides_[a][schedule_.outer_dims[schedule_.outer_dims.size() - 2]];
      Value* run_on = run_stride == nullptr ? b_.i64(0) : ir.CreateMul(next_run, run_stride);
      place = ir.CreateSelect(same_columns, ir.CreateAdd(run_on, ir.CreateMul(hand.column, stride)), place);
    }
    next_tiles_[a] = b_.offset_bytes(start[a], place);
  }
}

/// Asks for a share of the tiles to come, row by row of the input, while those at `row` of `rows` are
/// computed: no prefetcher of the processor's follows such strides.
void KernelEmitter::fetch_next_tiles(Value* row, Value* rows, int64_t columns, int64_t step) {
  llvm::IRBuilder<>& ir = b_.ir;
  const auto reached = [&](Value* rows_done) {
    Value* share = ir.CreateLShr(ir.CreateMul(rows_done, next_share_), b_.i64(share_bits));
    return b_.intrinsic(llvm::Intrinsic::smin, {share, b_.i64(columns)});
  };
  Value* from = reached(row);
  Value* to = reached(ir.CreateAdd(row, b_.i64(step)));
  for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
    if (!schedule_.transposed[a]) continue;
    Value* bytes = b_.times(rows, kernel_.accesses[a].dtype.size());
    b_.loop(
        from, to, 1,
        [&](Value* column) {
          Value* place =
              b_.offset_bytes(next_tiles_[a], ir.CreateMul(column, strides_[a][schedule_.vector_dim]));
          b_.loop(
              b_.i64(0), bytes, lines_a_step * line_bytes,
              [&](Value* at) {
                for (int64_t line = 0; line < lines_a_step; ++line) {
                  b_.prefetch(b_.offset_bytes(place, ir.CreateAdd(at, b_.i64(line * line_bytes))), 2);
                }
              },
              "lines_to_come");
        },
        "rows_to_come");
  }
}

/// The vectors of `tiles` tiles that follow each other down from the one whose corner is `row` rows from the
/// current point, at `column`.
llvm::SmallVector<Value*, 64> KernelEmitter::load_transposed_vectors(size_t a, Value* row, Value* column,
                                                                     int tiles) {
  const int lanes = schedule_.lanes;
  llvm::Type* element = b_.memory_type(kernel_.accesses[a].dtype);
  Value* stride = strides_[a][schedule_.vector_dim];
  Value* from = b_.offset_bytes(pointers_[a], b_.times(row, kernel_.accesses[a].dtype.size()));
  from = b_.offset_bytes(from, b_.ir.CreateMul(column, stride));
  llvm::SmallVector<Value*, 64> vectors;
  for (int n = 0; n < lanes; ++n) {
    vectors.push_back(b_.load_raw(element, from, lanes * tiles));
    from = b_.offset_bytes(from, stride);
  }
  b_.transpose(vectors);
  return vectors;
}

/// Whether a tile of an input is transposed part by part: of small elements it has so many vectors that they
/// would not stay in registers. Its rows, a line of each, are copied side by side first (as far apart as they
/// lie, they may push each other out of the first-level cache), and read from there in parts that shuffles
/// do not leave: a vector of those of four rows, as many vectors as a part has elements.
bool KernelEmitter::transposes_in_parts(size_t a) const {
  const int64_t size = kernel_.accesses[a].dtype.size();
  return size <= 2 && schedule_.lanes * size == line_bytes && target_.vector_bytes() == line_bytes;
}

/// Copies the lines of a tile, whose corner is `row` rows from the current point, at `column`.
void KernelEmitter::keep_lines(size_t a, Value* row, Value* column) {
  constexpr int lines_a_turn = 8;
  Value* stride = strides_[a][schedule_.vector_dim];
  Value* from = b_.offset_bytes(pointers_[a], b_.times(row, kernel_.accesses[a].dtype.size()));
  from = b_.offset_bytes(from, b_.ir.CreateMul(column, stride));
  // (A loop also keeps LLVM from taking the parts out of registers.)
  b_.loop(
      b_.i64(0), b_.i64(schedule_.lanes), lines_a_turn,
      [&](Value* line) {
        Value* at = b_.offset_bytes(from, b_.ir.CreateMul(line, stride));
        Value* to = b_.offset_bytes(lines_, b_.times(line, line_bytes));
        for (int n = 0; n < lines_a_turn; ++n) {
          b_.store_raw(b_.load_raw(b_.ir.getInt8Ty(), at, line_bytes), b_.offset_bytes(to, n * line_bytes));
          at = b_.offset_bytes(at, stride);
        }
      },
      "lines");
}

/// Part `part` of the lines kept, transposed: as many rows of the tile as it has elements.
llvm::SmallVector<Value*, 64> KernelEmitter::transpose_part(size_t a, int part) {
  llvm::Type* element = b_.memory_type(kernel_.accesses[a].dtype);
  const int size = part_bytes / kernel_.accesses[a].dtype.size();
  llvm::SmallVector<int, 64> order(static_cast<size_t>(schedule_.lanes));
  std::iota(order.begin(), order.end(), 0);
  const llvm::ArrayRef<int> all(order);
  const llvm::ArrayRef<int> half = all.take_front(order.size() / 2);
  llvm::SmallVector<Value*, 64> vectors;
  for (int i = 0; i < size; ++i) {
    const auto line = [&](int n) {
      return b_.load_raw(element, b_.offset_bytes(lines_, (n * size + i) * line_bytes + part * part_bytes),
                         size);
    };
    Value* low = b_.ir.CreateShuffleVector(line(0), line(1), half);
    Value* high = b_.ir.CreateShuffleVector(line(2), line(3), half);
    vectors.push_back(b_.ir.CreateShuffleVector(low, high, all));
  }
  b_.transpose(vectors);
  return vectors;
}

/// Fills the buffers with tile `tile` of `along` side by side, and the `tiles` that follow each other down
/// from it; the corner of the first is `row` rows from the current point, at `column`.
void KernelEmitter::load_transposed_tiles(Value* row, Value* column, int tile, int along, int tiles) {
  const int lanes = schedule_.lanes;
  Value* first = b_.ir.CreateAdd(column, b_.i64(int64_t{tile} * lanes));
  for (size_t a = 0; a < kernel_.accesses.size(); ++a) {
    if (!schedule_.transposed[a]) continue;
    const int64_t tile_bytes = lanes * kernel_.accesses[a].dtype.size();
    if (transposes_in_parts(a)) {
      keep_lines(a, row, first);
      const int known = part_bytes / kernel_.accesses[a].dtype.size();
      for (int part = 0; part < line_bytes / part_bytes; ++part) {
        const auto vectors = transpose_part(a, part);
        for (int n = 0; n < known; ++n) {
          const int64_t place = (int64_t{part} * known + n) * along + tile;
          b_.store_raw(vectors[static_cast<size_t>(n)], b_.offset_bytes(transposed_[a], place * tile_bytes));
        }
      }
      continue;
    }
    const auto vectors = load_transposed_vectors(a, row, first, tiles);
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
