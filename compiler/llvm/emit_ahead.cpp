#include <algorithm>

#include <llvm/IR/Intrinsics.h>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/llvm/emitter.h>

namespace lazuli {

using kir::Access;
using kir::Instruction;
using kir::StrideClass;
using kir::ValueId;
using llvm::Value;

// Rows that do not follow each other in memory (a slice of each, heads that change places, rows picked by an
// index) are too short for the processor to see a stream in them. They are asked for some rows in advance: as
// much as is on its way from memory at a time.

namespace {

constexpr int64_t bytes_ahead = 8 << 10;

/// Of so many bytes, what is asked for past a row's end is little beside it.
constexpr int64_t bytes_of_long_rows = 64 << 10;

}  // namespace

void KernelEmitter::find_rows_ahead() {
  rows_ahead_.clear();
  // Streaming stores say that the work is large and bound by memory.
  if (!options_.streaming || schedule_.outer_dims.empty() || schedule_.vector_dim < 0) return;
  const int dim = schedule_.outer_dims.back();
  const auto known = [&](const Instruction& load) {
    return std::all_of(load.operands.begin(), load.operands.end(),
                       [&](ValueId id) { return schedule_.level[id] <= 1 && !schedule_.is_vector[id]; });
  };
  std::vector<ValueId> loads;
  for (const kir::Block& block : kernel_.blocks) {
    for (ValueId id = block.begin; id < block.end; ++id) {
      const Instruction& instruction = kernel_.instructions[id];
      if (!kir::is_load(instruction.op) || !schedule_.is_vector[id]) continue;
      const auto a = static_cast<size_t>(instruction.imm);
      const Access& access = kernel_.accesses[a];
      const bool moves = strides_[a][dim] != nullptr || access.dynamic_indices > 0;
      const bool along = access.strides[schedule_.vector_dim] != StrideClass::zero;
      if (access.kind == Access::Kind::input && moves && along && known(instruction)) loads.push_back(id);
    }
  }
  if (loads.empty()) return;

  int64_t widest = 1;
  for (const ValueId id : loads) {
    widest = std::max<int64_t>(widest, kernel_.accesses[kernel_.instructions[id].imm].dtype.size());
  }
  llvm::IRBuilder<>& ir = b_.ir;
  Value* row_bytes = b_.times(extents_[schedule_.vector_dim], widest);
  // (By a shift: a division at each row would take as long as a short row.)
  Value* places = b_.intrinsic(llvm::Intrinsic::ctlz, {ir.CreateOr(row_bytes, b_.i64(1)), ir.getFalse()});
  Value* rows = ir.CreateLShr(b_.i64(bytes_ahead), ir.CreateSub(b_.i64(63), places));
  rows = b_.intrinsic(llvm::Intrinsic::smax, {rows, b_.i64(1)});
  // Not past the last row, whose index could not be read.
  Value* left = ir.CreateSub(ir.CreateSub(extents_[dim], b_.i64(1)), index_[dim]);
  rows = b_.intrinsic(llvm::Intrinsic::smin, {rows, left});
  const std::vector<Emitted> values = values_;
  Value* index = index_[dim];
  at_position(dim, rows, [&] {
    index_[dim] = ir.CreateAdd(index, rows);
    for (const kir::Block& block : kernel_.blocks) emit_level(block, 1);
    for (const ValueId id : loads) {
      const Instruction& instruction = kernel_.instructions[id];
      const auto a = static_cast<size_t>(instruction.imm);
      rows_ahead_.push_back({place_of(instruction, true).base, strides_[a][schedule_.vector_dim],
                             kernel_.accesses[a].dtype.size()});
    }
    return Carried();
  });
  index_[dim] = index;
  values_ = values;
}

void KernelEmitter::fetch_rows_ahead() {
  if (width_.tail != nullptr) return;
  for (const RowAhead& row : rows_ahead_) {
    Value* start = b_.offset_bytes(row.base, b_.ir.CreateMul(index_[schedule_.vector_dim], row.stride));
    const int64_t elements = int64_t{width_.lanes} * width_.unroll;
    for (int64_t n = 0; n < elements; n += std::max<int64_t>(64 / row.size, 1)) {
      b_.prefetch(b_.offset_bytes(start, b_.times(row.stride, n)), 2);
    }
  }
}

void KernelEmitter::ask_ahead(size_t block, Nearness nearness) {
  if (width_.tail != nullptr) return;
  llvm::IRBuilder<>& ir = b_.ir;
  for (const size_t a : schedule_.asked_ahead[block]) {
    const int64_t size = kernel_.accesses[a].dtype.size();
    const int64_t bytes = int64_t{width_.lanes} * width_.unroll * size;
    const bool rows = schedule_.form == Schedule::Form::rows && !schedule_.outer_dims.empty();
    Value* stride = rows ? strides_[a][schedule_.outer_dims.back()] : nullptr;
    Value* distance = b_.i64(target_.bytes_ahead);
    if (stride != nullptr) {
      // Of short rows with something between them, the next one.
      Value* row = b_.times(extents_[schedule_.vector_dim], size);
      Value* apart =
          ir.CreateAnd(ir.CreateICmpNE(stride, row), ir.CreateICmpSLT(row, b_.i64(bytes_of_long_rows)));
      distance = ir.CreateSelect(apart, stride, distance);
    }
    ask_for(b_.offset_bytes(pointers_[a], distance), bytes, into_second_cache);
    if (nearness == Nearness::second_cache) continue;
    ask_for(b_.offset_bytes(pointers_[a], bytes_ahead_from_second_cache), bytes, into_first_cache);
  }
}

void KernelEmitter::ask_for(Value* pointer, int64_t bytes, int cache) {
  for (int64_t at = 0; at < bytes; at += 64) b_.prefetch(b_.offset_bytes(pointer, at), cache);
}

}  // namespace lazuli
