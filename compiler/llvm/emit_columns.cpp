#include <algorithm>
#include <bit>
#include <functional>
#include <utility>
#include <vector>

#include <llvm/IR/Constants.h>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/llvm/emitter.h>

namespace lazuli {

using kir::Block;
using kir::Instruction;
using kir::Opcode;
using kir::ValueId;
using llvm::Value;

// Columns are reduced a tile of V at a time: each row of the tile is read from end to end, as memory is read
// best, and added to what the rows before gave, which lies in a buffer that stays in the first-level cache.
// Each block goes over the tile by itself; what it leaves to later blocks goes through buffers too.

namespace {

/// Rows that are added to the buffers together, where a row is little work: what is in the buffers is then
/// loaded and stored once for all of them, and the processor fetches several rows at a time. More where there
/// is more in the buffers.
constexpr int rows_abreast = 4;
constexpr int rows_abreast_of_several_buffers = 8;
constexpr int little_work = 8;

/// Bytes of buffers that a tile may take: the first-level cache. (With less of a row at a time, memory is
/// read in pieces too short: of argmax, half as fast.)
constexpr int64_t tile_bytes = 32768;

/// Rows of so few bytes are fetched further ahead, or they would be needed before they are there.
constexpr int64_t short_row_bytes = 2048;
constexpr int64_t steps_ahead_of_short_rows = 4;

/// Rows that follow each other are taken one at a time from so many bytes on, up to so many: results so far
/// of longer ones are not near any more when the next row comes. Where the processor fetches late, what it
/// gains by being asked along one stream is more than that.
constexpr int64_t least_row_bytes_alone = 256;
constexpr int64_t most_row_bytes_alone = 2048;

/// So few rows are taken all at once, their results in registers: as many streams as the processor follows.
constexpr int64_t few_rows = 32;
/// How far ahead lines of each of them are asked for.
constexpr int64_t bytes_ahead_of_few_rows = 4096;

}  // namespace

/// Whether some of a per-element block is the same for all points of the reduce dimensions and costs more
/// than loading: that is computed once for a tile, before the block.
bool KernelEmitter::has_prologue(const Block& block) const {
  if (!block.per_element) return false;
  for (ValueId id = block.begin; id < block.end; ++id) {
    if (crosses_blocks_[id] && !is_reduce(kernel_.instructions[id].op)) return true;
  }
  return false;
}

/// Finds the values that need buffers, and how many elements of each fit.
void KernelEmitter::plan_tiles() {
  const size_t count = kernel_.instructions.size();
  crosses_blocks_.assign(count, false);
  tile_buffers_.assign(count, {});
  best_buffers_.assign(count, {});
  for (const Block& block : kernel_.blocks) {
    for (ValueId id = block.begin; id < block.end; ++id) {
      const Instruction& instruction = kernel_.instructions[id];
      if (is_reduce(instruction.op)) crosses_blocks_[id] = true;
      for (const ValueId operand : instruction.operands) {
        if (!schedule_.is_vector[operand] || is_reduce(kernel_.instructions[operand].op)) continue;
        const bool earlier_block = operand < block.begin;
        const bool made_once = block.per_element && schedule_.is_reduced[id] &&
                               !schedule_.is_reduced[operand] && !is_load(kernel_.instructions[operand].op);
        // (A reduction uses its operand at every point, though its own value is made once.)
        const bool reduced_each_time = is_reduce(instruction.op) && !schedule_.is_reduced[operand] &&
                                       !is_load(kernel_.instructions[operand].op);
        if (earlier_block || made_once || reduced_each_time) crosses_blocks_[operand] = true;
      }
    }
  }
  int64_t bytes = 0;
  const auto element_of = [&](llvm::Type* element) {
    if (element->isIntegerTy(1)) element = b_.ir.getInt8Ty();
    bytes += element->getScalarSizeInBits() / 8;
    return element;
  };
  std::vector<std::pair<ValueId, ValueId>> shared;  // extrema, and the positions they are found with
  for (const Block& block : kernel_.blocks) {
    for (ValueId id = block.begin; id < block.end; ++id) {
      if (const auto position = position_with_extremum(block, id)) shared.emplace_back(id, *position);
    }
  }
  const auto is_shared = [&](ValueId id) {
    return std::any_of(shared.begin(), shared.end(), [&](const auto& pair) { return pair.first == id; });
  };
  for (ValueId id = 0; id < count; ++id) {
    if (!crosses_blocks_[id] || is_shared(id)) continue;
    const Instruction& instruction = kernel_.instructions[id];
    const bool position = finds_position(instruction.op);
    const auto scalar_of = [&](Dtype type) {
      return b_.compute_type(type, schedule_.lanes)->getScalarType();
    };
    tile_buffers_[id].element = element_of(position ? position_type() : scalar_of(instruction.type));
    if (position) best_buffers_[id].element = element_of(scalar_of(operand_type(instruction)));
  }
  tile_ = std::clamp<int64_t>(
      static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(tile_bytes / std::max<int64_t>(bytes, 1)))),
      256, 4096);
  for (std::vector<TileBuffer>* buffers : {&tile_buffers_, &best_buffers_}) {
    for (TileBuffer& buffer : *buffers) {
      if (buffer.element != nullptr) buffer.memory = b_.stack(buffer.element, tile_, 64);
    }
  }
  for (const auto& [extremum, position] : shared) tile_buffers_[extremum] = best_buffers_[position];
}

void KernelEmitter::emit_columns() {
  plan_tiles();
  Value* end = b_.function().getArg(5);
  b_.loop(
      b_.function().getArg(4), end, tile_,
      [&](Value* begin) {
        Value* full = b_.ir.CreateAdd(begin, b_.i64(tile_));
        Value* stop = b_.ir.CreateSelect(b_.ir.CreateICmpSLT(full, end), full, end);
        tile_begin_ = begin;
        for (size_t n = 0; n < kernel_.blocks.size(); ++n) emit_column_block(n, begin, stop);
      },
      "tiles");
}

void KernelEmitter::emit_column_block(size_t number_of_block, Value* begin, Value* end) {
  const Block& block = kernel_.blocks[number_of_block];
  const auto go_over_tile = [&](bool prologue) {
    emit_vector_range(begin, end, schedule_.unroll[number_of_block], {}, [&](const Carried&) {
      emit_column_body(block, prologue);
      return Carried();
    });
  };
  if (!block.per_element) return go_over_tile(false);
  const auto row_after_row = [&] {
    start_accumulators(block, b_.ir.CreateSub(end, begin));
    if (has_prologue(block)) go_over_tile(true);
    const std::function<void(size_t)> nest = [&](size_t n) {
      const int dim = schedule_.loops[n];
      if (dim == schedule_.vector_dim) return go_over_tile(false);
      const int level = 2 + static_cast<int>(n);
      Value* done = b_.i64(0);
      const bool innermost = schedule_.loops[n + 1] == schedule_.vector_dim;
      Value* sequential =
          innermost ? rows_follow_each_other(block, dim, b_.ir.CreateSub(end, begin)) : nullptr;
      if (innermost && work_of(block) <= little_work) {
        const int abreast = buffers_of(block) > 1 ? rows_abreast_of_several_buffers : rows_abreast;
        done = b_.ir.CreateAnd(extents_[dim], b_.i64(-abreast));
        if (sequential != nullptr) done = b_.ir.CreateSelect(sequential, b_.i64(0), done);
        b_.loop(
            b_.i64(0), done, abreast,
            [&](Value* i) {
              at_position(dim, i, [&] {
                rows_ = {dim, level, abreast, nullptr};
                number_rows(block, i);
                go_over_tile(false);
                rows_ = {};
                return Carried();
              });
            },
            "rows");
      }
      if (sequential != nullptr && target_.bytes_ahead > 0) {
        const auto if_sequential = [&](int64_t bytes) {
          return b_.ir.CreateSelect(sequential, b_.i64(bytes), b_.i64(0));
        };
        rows_ = {dim, level, 1, if_sequential(target_.bytes_ahead),
                 if_sequential(bytes_ahead_from_second_cache)};
      }
      b_.loop(
          done, extents_[dim], 1,
          [&](Value* i) {
            at_position(dim, i, [&] {
              emit_level(block, level);
              if (innermost) number_rows(block, i);
              nest(n + 1);
              return Carried();
            });
          },
          "reduce");
      rows_ = {};
    };
    nest(0);
  };
  if (schedule_.loops.size() != 2 || has_prologue(block) || work_of(block) > little_work)
    return row_after_row();
  const int rows = schedule_.loops[0];
  Value* few = b_.ir.CreateICmpSLE(extents_[rows], b_.i64(few_rows));
  b_.if_then(few, [&] {
    rows_ = {rows, 2, 0, b_.i64(bytes_ahead_of_few_rows)};
    go_over_tile(false);
    rows_ = {};
  });
  b_.if_then(b_.ir.CreateNot(few), row_after_row);
}

/// Notes the numbers of the rows of a step, the first of which is `first`, where positions are found.
void KernelEmitter::number_rows(const Block& block, Value* first) {
  rows_.numbers.clear();
  rows_.position = nullptr;
  if (!finds_positions(block)) return;
  for (int row = 0; row < rows_.count; ++row) {
    Value* in_lane = b_.ir.CreateTrunc(b_.ir.CreateAdd(first, b_.i64(row)), position_type());
    rows_.numbers.push_back(b_.splat(in_lane, schedule_.lanes));
  }
}

/// Whether the rows along `dim`, `size` elements of each, lie one after the other in memory: one at a time,
/// the processor sees a single stream, which it fetches better than we do. (Rows of a few vectors are better
/// taken together all the same.) Null where that is known not to be.
Value* KernelEmitter::rows_follow_each_other(const Block& block, int dim, Value* size) {
  Value* result = nullptr;
  const bool up_to_a_tile = target_.bytes_ahead > 0 && !finds_positions(block);
  for (ValueId id = block.begin; id < block.end; ++id) {
    const Instruction& instruction = kernel_.instructions[id];
    if (!is_load(instruction.op)) continue;
    const auto a = static_cast<size_t>(instruction.imm);
    const kir::Access& access = kernel_.accesses[a];
    Value* stride = strides_[a][dim];
    if (access.strides[schedule_.vector_dim] != kir::StrideClass::unit || stride == nullptr) continue;
    if (access.kind != kir::Access::Kind::input || access.dynamic_indices > 0) return nullptr;
    Value* bytes = b_.times(size, access.dtype.size());
    Value* one = b_.ir.CreateAnd(b_.ir.CreateICmpEQ(stride, bytes),
                                 b_.ir.CreateICmpSGE(bytes, b_.i64(least_row_bytes_alone)));
    if (!up_to_a_tile) one = b_.ir.CreateAnd(one, b_.ir.CreateICmpSLE(bytes, b_.i64(most_row_bytes_alone)));
    result = result == nullptr ? one : b_.ir.CreateAnd(result, one);
  }
  return result;
}

/// One step of a block along V. The prologue makes what is the same for all points of the reduce dimensions.
void KernelEmitter::emit_column_body(const Block& block, bool prologue) {
  const auto made_here = [&](ValueId id) {
    if (!block.per_element) return true;
    if (prologue) return !schedule_.is_reduced[id];
    return schedule_.is_reduced[id] || is_load(kernel_.instructions[id].op) || !crosses_blocks_[id];
  };
  const auto reload = [&](ValueId id) {
    Emitted emitted{{}, true};
    llvm::Type* type = b_.compute_type(kernel_.instructions[id].type, width_.lanes);
    for (int u = 0; u < width_.unroll; ++u) emitted.parts.push_back(tile_load(tile_buffers_[id], type, u));
    values_[id] = std::move(emitted);
  };
  const auto is_made = [&](ValueId id) {
    return schedule_.level[id] == schedule_.vector_level && made_here(id) &&
           !is_reduce(kernel_.instructions[id].op);
  };
  const auto make = [&](ValueId id) {
    emit_one(id);
    const bool keep = crosses_blocks_[id] && (prologue || !block.per_element);
    for (int u = 0; keep && u < width_.unroll; ++u) tile_store(tile_buffers_[id], part(id, u), u);
  };
  for (ValueId id = block.begin; id < block.end; ++id) {
    if (!is_made(id) && !is_reduce(kernel_.instructions[id].op)) continue;
    for (const ValueId operand : kernel_.instructions[id].operands) {
      if (crosses_blocks_[operand] && (operand < block.begin || !made_here(operand))) reload(operand);
    }
  }
  // What is the same for all rows of a step is there before the first: LLVM takes what is asked for ahead for
  // a change of memory, after which all would have to be loaded again.
  const bool in_rows = block.per_element && !prologue;
  for (ValueId id = block.begin; id < block.end; ++id) {
    if (is_made(id) && !(in_rows && schedule_.is_reduced[id])) make(id);
  }
  if (!in_rows) return;
  const auto emit_row = [&] {
    for (ValueId id = block.begin; id < block.end; ++id) {
      if (is_made(id) && schedule_.is_reduced[id]) make(id);
    }
  };
  if (rows_.count == 0) {
    const Width width = width_;
    const Carried sums = b_.loop(
        b_.i64(0), extents_[rows_.dim], 1, initial_accumulators(block, width.unroll),
        [&](Value* row, const Carried& so_far) {
          return at_position(rows_.dim, row, [&] {
            width_ = {};
            emit_level(block, rows_.level);
            width_ = width;
            prefetch_rows_ahead(block);
            emit_row();
            return accumulate(block, so_far, width_.unroll);
          });
        },
        "all_rows");
    return store_accumulators(block, sums);
  }
  Carried accumulators = load_accumulators(block);
  const std::vector<Value*> pointers = pointers_;
  const std::vector<Value*> index = index_;
  for (int row = 0; row < rows_.count; ++row) {
    if (rows_.count > 1) {
      if (row > 0) {
        index_[rows_.dim] = b_.ir.CreateAdd(index_[rows_.dim], b_.i64(1));
        for (size_t a = 0; a < pointers_.size(); ++a) {
          if (strides_[a][rows_.dim] != nullptr)
            pointers_[a] = b_.offset_bytes(pointers_[a], strides_[a][rows_.dim]);
        }
      }
      emit_level(block, rows_.level);
    }
    if (rows_.dim >= 0) prefetch_rows_ahead(block);
    emit_row();
    if (!rows_.numbers.empty()) rows_.position = rows_.numbers[row];
    accumulators = accumulate(block, accumulators, width_.unroll);
  }
  pointers_ = pointers;
  index_ = index;
  store_accumulators(block, accumulators);
}

/// Asks for what follows some way behind, or, of rows abreast, for the one that will take this one's place in
/// the next step, while the buffers are in use: rows too short for the processor to see where they lead, or
/// too far apart.
void KernelEmitter::prefetch_rows_ahead(const Block& block) {
  if (width_.tail != nullptr) return;
  for (ValueId id = block.begin; id < block.end; ++id) {
    const Instruction& instruction = kernel_.instructions[id];
    if (!is_load(instruction.op)) continue;
    const auto a = static_cast<size_t>(instruction.imm);
    const kir::Access& access = kernel_.accesses[a];
    Value* stride = strides_[a][rows_.dim];
    if (access.strides[schedule_.vector_dim] != kir::StrideClass::unit || stride == nullptr) continue;
    if (access.kind != kir::Access::Kind::input || access.dynamic_indices > 0) continue;
    Value* distance = rows_.ahead;
    if (distance == nullptr) {
      Value* is_short = b_.ir.CreateICmpSLE(stride, b_.i64(short_row_bytes));
      Value* steps = b_.ir.CreateSelect(is_short, b_.i64(steps_ahead_of_short_rows), b_.i64(1));
      distance = b_.times(b_.ir.CreateMul(stride, steps), rows_.count);
    }
    const int64_t bytes = int64_t{width_.lanes} * width_.unroll * access.dtype.size();
    ask_for(b_.offset_bytes(pointers_[a], distance), bytes, into_second_cache);
    if (rows_.shortly == nullptr) continue;
    ask_for(b_.offset_bytes(pointers_[a], rows_.shortly), bytes, into_first_cache);
  }
}

/// Buffers that a block's reductions have.
int KernelEmitter::buffers_of(const Block& block) const {
  int buffers = 0;
  for (ValueId id = block.begin; id < block.end; ++id) {
    const Opcode op = kernel_.instructions[id].op;
    if (is_accumulated(block, id)) buffers += finds_position(op) ? 2 : 1;
  }
  return buffers;
}

/// Vector instructions of a block at each element.
int KernelEmitter::work_of(const Block& block) const {
  int work = 0;
  for (ValueId id = block.begin; id < block.end; ++id) {
    work += schedule_.level[id] == schedule_.vector_level || is_reduce(kernel_.instructions[id].op) ? 1 : 0;
  }
  return work;
}

void KernelEmitter::start_accumulators(const Block& block, Value* size) {
  const int lanes = schedule_.lanes;
  const auto fill = [&](const TileBuffer& buffer, llvm::Constant* value) {
    b_.loop(
        b_.i64(0), size, lanes,
        [&](Value* i) {
          const int64_t bytes = buffer.element->getScalarSizeInBits() / 8;
          Value* converted = value;
          if (buffer.element != value->getType()->getScalarType()) {
            converted = b_.ir.CreateZExt(value, VectorBuilder::widen(buffer.element, lanes));
          }
          b_.store_raw(converted, b_.offset_bytes(buffer.memory, b_.times(i, bytes)));
        },
        "start");
  };
  for (ValueId id = block.begin; id < block.end; ++id) {
    const Instruction& instruction = kernel_.instructions[id];
    if (!is_accumulated(block, id)) continue;
    llvm::Constant* first = identity(instruction.op, operand_type(instruction), lanes);
    if (finds_position(instruction.op)) {
      fill(best_buffers_[id], first);
      first = b_.zero(VectorBuilder::widen(position_type(), lanes));
    }
    fill(tile_buffers_[id], first);
  }
}

/// Visits the buffers of a block's reductions, part by part: buffer, type of a vector, part.
void KernelEmitter::each_accumulator(const Block& block,
                                     llvm::function_ref<void(const TileBuffer&, llvm::Type*, int)> visit) {
  for (ValueId id = block.begin; id < block.end; ++id) {
    const Instruction& instruction = kernel_.instructions[id];
    if (!is_accumulated(block, id)) continue;
    const bool position = finds_position(instruction.op);
    llvm::Type* type = b_.compute_type(operand_type(instruction), width_.lanes);
    for (int u = 0; u < width_.unroll; ++u) visit(position ? best_buffers_[id] : tile_buffers_[id], type, u);
    if (!position) continue;
    type = VectorBuilder::widen(position_type(), width_.lanes);
    for (int u = 0; u < width_.unroll; ++u) visit(tile_buffers_[id], type, u);
  }
}

KernelEmitter::Carried KernelEmitter::load_accumulators(const Block& block) {
  Carried carried;
  each_accumulator(block, [&](const TileBuffer& buffer, llvm::Type* type, int u) {
    carried.push_back(tile_load(buffer, type, u));
  });
  return carried;
}

void KernelEmitter::store_accumulators(const Block& block, const Carried& carried) {
  size_t at = 0;
  each_accumulator(
      block, [&](const TileBuffer& buffer, llvm::Type*, int u) { tile_store(buffer, carried[at++], u); });
}

Value* KernelEmitter::tile_load(const TileBuffer& buffer, llvm::Type* type, int which) {
  const int64_t bytes = buffer.element->getScalarSizeInBits() / 8;
  Value* offset = b_.times(b_.ir.CreateSub(index_[schedule_.vector_dim], tile_begin_), bytes);
  Value* pointer = b_.offset_bytes(b_.offset_bytes(buffer.memory, offset), bytes * which * width_.lanes);
  Value* value = b_.load_raw(buffer.element, pointer, width_.lanes);
  if (buffer.element == type->getScalarType()) return value;
  return b_.ir.CreateZExtOrTrunc(value, type);  // a position, or what is true
}

void KernelEmitter::tile_store(const TileBuffer& buffer, Value* value, int which) {
  const int64_t bytes = buffer.element->getScalarSizeInBits() / 8;
  Value* offset = b_.times(b_.ir.CreateSub(index_[schedule_.vector_dim], tile_begin_), bytes);
  Value* pointer = b_.offset_bytes(b_.offset_bytes(buffer.memory, offset), bytes * which * width_.lanes);
  if (buffer.element != value->getType()->getScalarType()) {
    value = b_.ir.CreateZExt(value, VectorBuilder::widen(buffer.element, width_.lanes));
  }
  b_.store_raw(value, pointer);
}

}  // namespace lazuli
