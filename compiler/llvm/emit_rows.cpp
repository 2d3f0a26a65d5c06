#include <functional>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/llvm/emitter.h>

namespace lazuli {

using kir::Block;
using kir::Instruction;
using kir::ValueId;

// Passes over a row: each block goes over it by itself, and finds it in the caches but for the first.

void KernelEmitter::emit_row_block(size_t number_of_block) {
  const Block& block = kernel_.blocks[number_of_block];
  const int unroll = schedule_.unroll[number_of_block];
  const bool distances = schedule_.makes_distances(number_of_block);
  const auto& late = schedule_.late;
  const bool late_sums = late && late->adds_up && late->within == number_of_block;
  size_t own = 0;  // accumulators
  const std::function<Carried(size_t, const Carried&)> nest = [&](size_t n, const Carried& carried) {
    const int dim = schedule_.loops[n];
    const int level = 2 + static_cast<int>(n);
    if (dim == schedule_.vector_dim) {
      return emit_vector_range(b_.i64(0), extents_[dim], unroll, carried, [&](const Carried& state) {
        prefetch_next_row(number_of_block);
        // (With a row that is written late, and weights, the first cache is full.)
        ask_ahead(number_of_block, late && !late->adds_up ? Nearness::second_cache : Nearness::first_cache);
        const auto add_up = [&] {
          Carried next = accumulate(block, state, unroll);
          if (distances) accumulate_distances(next, own, unroll);
          if (late_sums) accumulate_late(next, own, unroll);
          return next;
        };
        return emit_row_step(number_of_block, level, add_up);
      });
    }
    return b_.loop(
        b_.i64(0), extents_[dim], 1, carried,
        [&](Value* i, const Carried& state) {
          return at_position(dim, i, [&] {
            emit_level(block, level);
            return nest(n + 1, state);
          });
        },
        "reduce");
  };
  const auto go_over = [&] {
    width_ = {schedule_.lanes, unroll, nullptr};
    Carried initial = initial_accumulators(block, unroll);
    own = initial.size();
    if (late_sums) initial.append(initial_accumulators(kernel_.blocks[late->block], unroll));
    width_ = {};
    if (distances) start_distances(initial, unroll);
    const Carried result = nest(0, initial);
    finish_reductions(block, result, unroll);
    if (distances) keep_distances(result, own, unroll);
    if (late_sums) finish_late_sums(result, own, unroll);
  };
  const bool made_before = schedule_.distances && schedule_.distances->block == number_of_block;
  made_before ? finish_distances(go_over) : go_over();
}

/// Loads had better not follow stores, which may be to what they read as far as anybody knows, or to places
/// whole pages from it, which the processor takes for the same at first. So what is added up, which may load
/// again what the step has loaded, comes before anything is stored, and so does what the late step reads.
KernelEmitter::Carried KernelEmitter::emit_row_step(size_t number_of_block, int level,
                                                    llvm::function_ref<Carried()> add_up) {
  const Block& block = kernel_.blocks[number_of_block];
  Block before = block, after = block;
  while (after.begin < block.end && !is_store(kernel_.instructions[after.begin].op)) ++after.begin;
  before.end = after.begin;
  bool sums_are_known =
      !(schedule_.makes_distances(number_of_block) && schedule_.distances->reads_what_is_made);
  for (ValueId id = after.begin; id < block.end; ++id) {
    const Instruction& instruction = kernel_.instructions[id];
    if (is_reduce(instruction.op) && instruction.operands[0] >= after.begin) sums_are_known = false;
  }
  Carried next;
  emit_level(before, level);
  if (sums_are_known) next = add_up();
  const auto& late = schedule_.late;
  if (late && !late->adds_up && late->within == number_of_block) {
    late->rows > 1 ? emit_late_group_step() : emit_late_step();
  }
  emit_level(after, level);
  return sums_are_known ? next : add_up();
}

void KernelEmitter::prefetch_next_row(size_t block, int rows) {
  if (width_.tail != nullptr) return;
  for (const size_t a : schedule_.prefetched[block]) {
    Value* next = b_.offset_bytes(pointers_[a], b_.times(strides_[a][schedule_.outer_dims.back()], rows));
    const int64_t bytes = int64_t{width_.lanes} * width_.unroll * kernel_.accesses[a].dtype.size();
    for (int64_t at = 0; at < bytes; at += 64) b_.prefetch(b_.offset_bytes(next, at), 2);
  }
}

}  // namespace lazuli
