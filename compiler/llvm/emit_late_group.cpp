#include <algorithm>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/llvm/emitter.h>

namespace lazuli {

using kir::Block;
using kir::Instruction;
using kir::ValueId;

// Rows that are written late with more than one row of weights: those, the row at hand and the one before do
// not fit into the first-level cache together, and all of them come from the second one, by the same buffers
// as what is asked for from memory and what goes past the caches. So rows are written two at a time, while
// the next two are read, which halves what is loaded of the weights: of both rows, the first half of the
// columns with the first row that is read, the other half with the second.

void KernelEmitter::emit_late_groups_outer() {
  llvm::IRBuilder<>& ir = b_.ir;
  const Schedule::Late& late = *schedule_.late;
  Value* begin = b_.function().getArg(2);
  Value* end = b_.function().getArg(3);
  Value* size = extents_[schedule_.vector_dim];
  Value* step = b_.i64(-int64_t{schedule_.lanes} * schedule_.unroll[late.within]);
  Value* whole_steps = ir.CreateAnd(size, step);
  Value* share = ir.CreateUDiv(whole_steps, b_.i64(late.rows));
  const std::vector<Value*> saved = pointers_;
  plan_group();
  // Of both groups, rows are kept at places that go round.
  b_.loop(
      begin, end, late.rows, start_odometer(begin),
      [&](Value* first, const Carried& state) {
        Value* whole = b_.i64(late.rows);
        Value* rows = b_.intrinsic(llvm::Intrinsic::smin, {ir.CreateSub(end, first), whole});
        Value* here = ir.CreateAnd(ir.CreateSub(first, begin), whole);
        Value* before = ir.CreateXor(here, whole);
        has_row_before_ = ir.CreateAnd(ir.CreateICmpSGT(first, begin), ir.CreateICmpEQ(rows, whole));
        late_rows_.clear();
        for (int r = 0; r < late.rows; ++r) late_rows_.push_back(kept_row(ir.CreateAdd(before, b_.i64(r))));
        Carried next = b_.loop(
            b_.i64(0), rows, 1, state,
            [&](Value* row, const Carried& at) {
              use_odometer(at);
              late_column_ = ir.CreateMul(row, share);
              for (size_t n = 0; n < kernel_.blocks.size(); ++n) {
                emit_level(kernel_.blocks[n], 1);
                if (kernel_.blocks[n].per_element && n != late.block) emit_row_block(n);
              }
              keep_row(ir.CreateAdd(here, row));
              return advance_odometer(at);
            },
            "group");
        pointers_ = saved;
        Value* some_are_left = ir.CreateAnd(has_row_before_, ir.CreateICmpSLT(whole_steps, size));
        b_.if_then(some_are_left, [&] {
          b_.loop(
              before, ir.CreateAdd(before, whole), 1,
              [&](Value* place) { write_kept_row(place, whole_steps); }, "columns_left");
        });
        pointers_ = saved;
        return next;
      },
      "outer");
  pointers_ = saved;
  // The last group, and the one before, where the last one has fewer rows.
  Value* count = b_.intrinsic(llvm::Intrinsic::smax, {ir.CreateSub(end, begin), b_.i64(0)});
  Value* most = ir.CreateAdd(ir.CreateURem(count, b_.i64(late.rows)), b_.i64(late.rows));
  Value* left = b_.intrinsic(llvm::Intrinsic::smin, {count, most});
  b_.loop(
      ir.CreateSub(count, left), count, 1,
      [&](Value* row) { write_kept_row(ir.CreateAnd(row, b_.i64(2 * late.rows - 1)), b_.i64(0)); },
      "rows_left");
  pointers_ = saved;
}

void KernelEmitter::write_kept_row(Value* place, Value* column) {
  const size_t late = schedule_.late->block;
  use_kept_row(kept_row(place));
  emit_vector_range(column, extents_[schedule_.vector_dim], schedule_.unroll[late], {}, [&](const Carried&) {
    emit_level(kernel_.blocks[late], schedule_.vector_level);
    return Carried();
  });
}

/// One step of the last pass over the rows of the group before, if there is one: a share of the vectors of a
/// step, of each row. (What is left of the columns by whole steps comes after the group.)
void KernelEmitter::emit_late_group_step() {
  const Schedule::Late& late = *schedule_.late;
  if (width_.tail != nullptr || width_.unroll != schedule_.unroll[late.within]) return;
  const Block& block = kernel_.blocks[late.block];
  b_.if_then(
      has_row_before_,
      [&] {
        const int dim = schedule_.vector_dim;
        const std::vector<Value*> here = pointers_;
        const std::vector<Emitted> values = values_;
        const Width width = width_;
        Value* index = index_[dim];
        Value* column = b_.ir.CreateAdd(late_column_, b_.ir.CreateUDiv(index, b_.i64(late.rows)));
        width_.unroll /= late.rows;
        const auto emit = [&](int row, bool stores) {
          use_kept_row(late_rows_[static_cast<size_t>(row)]);
          at_position(dim, column, [&] {
            for (ValueId id = block.begin; id < block.end; ++id) {
              const Instruction& instruction = kernel_.instructions[id];
              if (schedule_.level[id] != schedule_.vector_level || is_store(instruction.op) != stores)
                continue;
              const bool moves = !is_load(instruction.op) ||
                                 std::find(moving_.begin(), moving_.end(), instruction.imm) != moving_.end();
              if (moves || row == 0) emit_one(id);
            }
            return Carried();
          });
          pointers_ = here;
        };
        // All loads before the stores, as in other steps.
        std::vector<std::vector<Emitted>> made;
        for (int row = 0; row < late.rows; ++row) {
          emit(row, false);
          made.push_back(values_);
        }
        for (int row = 0; row < late.rows; ++row) {
          values_ = made[static_cast<size_t>(row)];
          emit(row, true);
        }
        width_ = width;
        index_[dim] = index;
        values_ = values;
      },
      "late");
}

}  // namespace lazuli
