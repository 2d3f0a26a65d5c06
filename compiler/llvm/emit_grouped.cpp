#include <algorithm>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/llvm/emitter.h>

namespace lazuli {

using kir::Access;
using kir::Instruction;
using kir::ValueId;
using llvm::Value;

// The last pass over a row that is added to rows of sums loads and stores these for each element, and weights
// with them, all from the second-level cache, as a row of anything pushes the others out of the first. So the
// other passes go over a few rows, and then the last one over all of these at once: what is the same for each
// is loaded once, and sums are in registers meanwhile.

/// What passes over a group's rows leave to the last one: where each row's accesses lie, and the values that
/// were found for it.
void KernelEmitter::plan_group() {
  const Schedule::Grouped& grouped = *schedule_.grouped;
  const int rows = schedule_.late ? 2 * grouped.rows : grouped.rows;  // those before, too
  group_pointers_.clear();
  group_values_.clear();
  for (size_t m = 0; m < moving_.size(); ++m) {
    group_pointers_.push_back(b_.stack(b_.ir.getPtrTy(), rows, 8));
  }
  for (const ValueId id : grouped.values) {
    group_values_.push_back(b_.stack(b_.compute_type(kernel_.instructions[id].type), rows, 8));
  }
}

Value* KernelEmitter::group_place(llvm::AllocaInst* memory, Value* row) {
  return b_.ir.CreateInBoundsGEP(memory->getAllocatedType(), memory, row);
}

void KernelEmitter::keep_row(Value* row) {
  for (size_t m = 0; m < moving_.size(); ++m) {
    b_.ir.CreateStore(pointers_[moving_[m]], group_place(group_pointers_[m], row));
  }
  for (size_t n = 0; n < group_values_.size(); ++n) {
    b_.ir.CreateStore(scalar(schedule_.grouped->values[n]), group_place(group_values_[n], row));
  }
}

KernelEmitter::KeptRow KernelEmitter::kept_row(Value* row) {
  KeptRow kept{pointers_, {}};
  for (size_t m = 0; m < moving_.size(); ++m) {
    kept.pointers[moving_[m]] = b_.ir.CreateLoad(b_.ir.getPtrTy(), group_place(group_pointers_[m], row));
  }
  for (llvm::AllocaInst* memory : group_values_) {
    kept.values.push_back(b_.ir.CreateLoad(memory->getAllocatedType(), group_place(memory, row)));
  }
  return kept;
}

void KernelEmitter::use_kept_row(const KeptRow& row) {
  pointers_ = row.pointers;
  for (size_t n = 0; n < row.values.size(); ++n) set_scalar(schedule_.grouped->values[n], row.values[n]);
}

/// Walks the outer points, some at a time.
void KernelEmitter::emit_grouped_outer() {
  llvm::IRBuilder<>& ir = b_.ir;
  const Schedule::Grouped& grouped = *schedule_.grouped;
  Value* begin = b_.function().getArg(2);
  Value* end = b_.function().getArg(3);
  const std::vector<Value*> saved = pointers_;
  plan_group();
  b_.loop(
      begin, end, grouped.rows, start_odometer(begin),
      [&](Value* first, const Carried& state) {
        Value* whole = b_.i64(grouped.rows);
        Value* rows = b_.intrinsic(llvm::Intrinsic::smin, {ir.CreateSub(end, first), whole});
        Carried next = b_.loop(
            b_.i64(0), rows, 1, state,
            [&](Value* row, const Carried& at) {
              use_odometer(at);
              for (size_t n = 0; n < kernel_.blocks.size(); ++n) {
                emit_level(kernel_.blocks[n], 1);
                if (kernel_.blocks[n].per_element && n != grouped.block) emit_row_block(n);
              }
              keep_row(row);
              return advance_odometer(at);
            },
            "group");
        pointers_ = saved;
        Value* is_whole = ir.CreateICmpEQ(rows, whole);
        b_.if_then(is_whole, [&] { emit_group(); });
        b_.if_then(ir.CreateNot(is_whole), [&] {
          b_.loop(
              b_.i64(0), rows, 1,
              [&](Value* row) {
                use_kept_row(kept_row(row));
                emit_row_block(grouped.block);
              },
              "rest");
        });
        pointers_ = saved;
        return next;
      },
      "outer");
  pointers_ = saved;
}

/// The last pass over all rows of a group.
void KernelEmitter::emit_group() {
  const Schedule::Grouped& grouped = *schedule_.grouped;
  std::vector<KeptRow> rows;
  rows.reserve(static_cast<size_t>(grouped.rows));
  for (int r = 0; r < grouped.rows; ++r) rows.push_back(kept_row(b_.i64(r)));
  const int dim = schedule_.vector_dim;
  emit_vector_range(b_.i64(0), extents_[dim], schedule_.unroll[grouped.block], {}, [&](const Carried&) {
    std::vector<Emitted> sums(kernel_.accesses.size());
    const std::vector<Value*> here = pointers_;
    std::vector<std::vector<Emitted>> made;  // for each row
    for (int r = 0; r < grouped.rows; ++r) {
      use_kept_row(rows[static_cast<size_t>(r)]);
      at_position(dim, index_[dim], [&] {
        prefetch_next_row(grouped.block, grouped.rows);
        emit_row_of_group(sums, r);
        return Carried();
      });
      made.push_back(values_);
    }
    // Rows lie whole pages apart, where the processor takes what is loaded for what has just been stored: so
    // all of them are loaded before any is stored.
    const kir::Block& block = kernel_.blocks[grouped.block];
    for (int r = 0; r < grouped.rows; ++r) {
      values_ = made[static_cast<size_t>(r)];
      pointers_ = rows[static_cast<size_t>(r)].pointers;
      at_position(dim, index_[dim], [&] {
        for (ValueId id = block.begin; id < block.end; ++id) {
          const Instruction& instruction = kernel_.instructions[id];
          if (!is_store(instruction.op) || schedule_.level[id] != schedule_.vector_level) continue;
          const bool adds_up = kernel_.accesses[instruction.imm].kind == Access::Kind::sums;
          if (!adds_up || r + 1 == grouped.rows) emit_one(id);
        }
        return Carried();
      });
    }
    pointers_ = here;
    return Carried();
  });
}

/// All of a step but its stores. What does not move from row to row has been loaded by the first one.
void KernelEmitter::emit_row_of_group(std::vector<Emitted>& sums, int row) {
  const kir::Block& block = kernel_.blocks[schedule_.grouped->block];
  for (ValueId id = block.begin; id < block.end; ++id) {
    const Instruction& instruction = kernel_.instructions[id];
    if (schedule_.level[id] != schedule_.vector_level) continue;
    const bool accesses = is_load(instruction.op) || is_store(instruction.op);
    const size_t a = accesses ? instruction.imm : 0;
    const bool is_sum = accesses && kernel_.accesses[a].kind == Access::Kind::sums;
    if (is_store(instruction.op)) {
      if (is_sum) sums[a] = values_[instruction.operands[0]];
      continue;
    }
    if (is_sum && row > 0) {
      values_[id] = sums[a];
      continue;
    }
    const bool moves = std::find(moving_.begin(), moving_.end(), a) != moving_.end();
    if (is_load(instruction.op) && !moves && row > 0) continue;
    emit_one(id);
  }
}

}  // namespace lazuli
