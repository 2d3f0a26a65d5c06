#include <algorithm>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/llvm/emitter.h>

namespace lazuli {

using kir::Block;
using kir::ValueId;
using llvm::Value;

// The last pass over a row, which writes it or adds it up, runs within a pass over the next row that is busy
// with arithmetic, or reads it first: memory is read and written all the time instead of one after the other,
// and neither waits for it. What the pass needs of its row goes along to the next one: where it lies, and
// what was found for the row as a whole.

/// Walks the outer points; the last pass over the last of them comes after the others.
void KernelEmitter::emit_late_outer() {
  const Schedule::Late& late = *schedule_.late;
  Value* begin = b_.function().getArg(2);
  Value* end = b_.function().getArg(3);
  const std::vector<Value*> saved = pointers_;
  Carried initial = start_odometer(begin);
  const size_t odometer = initial.size();
  for (const size_t a : moving_) initial.push_back(pointers_[a]);
  for (const ValueId id : late.values) {
    initial.push_back(b_.zero(b_.compute_type(kernel_.instructions[id].type)));
  }
  const auto take_over = [&](const Carried& state) {
    late_pointers_ = pointers_;
    for (size_t m = 0; m < moving_.size(); ++m) late_pointers_[moving_[m]] = state[odometer + m];
    late_values_.assign(state.begin() + static_cast<std::ptrdiff_t>(odometer + moving_.size()), state.end());
  };
  const Carried last = b_.loop(
      begin, end, 1, initial,
      [&](Value* row, const Carried& state) {
        use_odometer(state);
        take_over(state);
        has_row_before_ = b_.ir.CreateICmpSGT(row, begin);
        for (size_t n = 0; n < kernel_.blocks.size(); ++n) {
          if (late.adds_up && n > late.block) break;
          emit_level(kernel_.blocks[n], 1);
          if (kernel_.blocks[n].per_element && n != late.block) emit_row_block(n);
        }
        Carried next = advance_odometer(Carried(state.begin(), state.begin() + odometer));
        for (const size_t a : moving_) next.push_back(pointers_[a]);
        for (const ValueId id : late.values) next.push_back(scalar(id));
        return next;
      },
      "outer");
  pointers_ = saved;
  take_over(last);
  b_.if_then(b_.ir.CreateICmpSLT(begin, end), [&] {
    pointers_ = late_pointers_;
    swap_late_values();
    emit_row_block(late.block);
    if (late.adds_up) emit_after_late_pass();
  });
  pointers_ = saved;
}

/// What follows the last pass over a row, where that adds up.
void KernelEmitter::emit_after_late_pass() {
  for (size_t n = schedule_.late->block + 1; n < kernel_.blocks.size(); ++n) emit_level(kernel_.blocks[n], 1);
}

/// One step of the sums over the row before, which begin at `at` among what is carried. (Where there is none,
/// the first row takes its place, and nothing is made of the sums.)
void KernelEmitter::accumulate_late(Carried& carried, size_t at, int total_unroll) {
  const Block& block = kernel_.blocks[schedule_.late->block];
  const std::vector<Value*> here = pointers_;
  pointers_ = late_pointers_;
  swap_late_values();
  const auto begin = carried.begin() + static_cast<std::ptrdiff_t>(at);
  const Carried next = at_position(schedule_.vector_dim, index_[schedule_.vector_dim], [&] {
    ask_ahead(schedule_.late->block, Nearness::second_cache);
    emit_level(block, schedule_.vector_level);
    return accumulate(block, Carried(begin, carried.end()), total_unroll);
  });
  std::copy(next.begin(), next.end(), begin);
  swap_late_values();
  pointers_ = here;
}

/// Puts the sums over the row before together, and does what follows them.
void KernelEmitter::finish_late_sums(const Carried& carried, size_t at, int unroll) {
  const std::vector<Value*> here = pointers_;
  pointers_ = late_pointers_;
  swap_late_values();
  const auto begin = carried.begin() + static_cast<std::ptrdiff_t>(at);
  finish_reductions(kernel_.blocks[schedule_.late->block], Carried(begin, carried.end()), unroll);
  b_.if_then(
      has_row_before_, [&] { emit_after_late_pass(); }, "after_late");
  swap_late_values();
  pointers_ = here;
}

/// One step of the last pass over the row before, if there is one.
void KernelEmitter::emit_late_step() {
  b_.if_then(
      has_row_before_,
      [&] {
        const std::vector<Value*> here = pointers_;
        pointers_ = late_pointers_;
        swap_late_values();
        at_position(schedule_.vector_dim, index_[schedule_.vector_dim], [&] {
          ask_ahead(schedule_.late->block, Nearness::second_cache);
          emit_level(kernel_.blocks[schedule_.late->block], schedule_.vector_level);
          return Carried();
        });
        swap_late_values();
        pointers_ = here;
      },
      "late");
}

/// Puts the values of the row before in the place of this row's, or back.
void KernelEmitter::swap_late_values() {
  for (size_t n = 0; n < late_values_.size(); ++n) {
    Emitted& emitted = values_[schedule_.late->values[n]];
    Value* other = emitted.parts.empty() ? nullptr : emitted.parts[0];
    emitted = {{late_values_[n]}, false};
    late_values_[n] = other;
  }
}

}  // namespace lazuli
