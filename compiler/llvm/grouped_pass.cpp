#include <lazuli/compiler/llvm/grouped_pass.h>

#include <algorithm>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/llvm/late_pass.h>

namespace lazuli {

using kir::Access;
using kir::Block;
using kir::Instruction;
using kir::Kernel;
using kir::ValueId;

namespace {

/// What of several arrays of one row stays in the second-level cache, and its sums in registers.
constexpr int rows_of_a_group = 4;

/// Of rows that are written late, two share what is the same for each as well as four do.
constexpr int rows_of_a_late_group = 2;

/// One row of weights stays in the first-level cache beside the row that is read and the one that is written,
/// and so do two of narrow elements; two of these many bytes an element do not.
constexpr int least_weights = 2;
constexpr int least_bytes = 4;

/// Whether the block adds to rows of sums, each of which it loads and stores once, and otherwise reads inputs
/// and writes results.
bool only_adds_to_sums(const Kernel& kernel, const Schedule& schedule, const Block& block) {
  std::vector<int> loads(kernel.accesses.size(), 0), stores = loads;
  bool adds = false;
  for (ValueId id = block.begin; id < block.end; ++id) {
    const Instruction& instruction = kernel.instructions[id];
    if (is_reduce(instruction.op)) return false;
    if (!is_load(instruction.op) && !is_store(instruction.op)) continue;
    const Access& access = kernel.accesses[instruction.imm];
    if (access.kind == Access::Kind::scratch || access.dynamic_indices > 0) return false;
    if (access.kind == Access::Kind::output && is_load(instruction.op)) return false;
    if (access.kind != Access::Kind::sums) continue;
    const bool once =
        is_load(instruction.op) ? ++loads[instruction.imm] == 1 : ++stores[instruction.imm] == 1;
    if (!once || loads[instruction.imm] == 0 || schedule.level[id] != schedule.vector_level) return false;
    adds = true;
  }
  return adds && loads == stores;
}

bool uses_accesses_of(const Kernel& kernel, const Block& block, const Block& other, Access::Kind kind) {
  std::vector<bool> used(kernel.accesses.size(), false);
  const auto visit = [&](const Block& in, auto&& found) {
    for (ValueId id = in.begin; id < in.end; ++id) {
      const Instruction& instruction = kernel.instructions[id];
      const bool accesses = is_load(instruction.op) || is_store(instruction.op);
      if (accesses && kernel.accesses[instruction.imm].kind == kind) found(instruction.imm);
    }
  };
  visit(block, [&](size_t a) { used[a] = true; });
  bool both = false;
  visit(other, [&](size_t a) { both = both || used[a]; });
  return both;
}

}  // namespace

std::optional<Schedule::Grouped> find_grouped_pass(const Kernel& kernel, const Schedule& schedule) {
  if (schedule.form != Schedule::Form::rows || schedule.loops.size() != 1 || schedule.outer_dims.empty())
    return {};
  Schedule::Grouped grouped;
  grouped.rows = rows_of_a_group;
  grouped.block = kernel.blocks.size();
  int passes = 0;
  for (size_t b = 0; b < kernel.blocks.size(); ++b) {
    const Block& block = kernel.blocks[b];
    if (block.begin == block.end) continue;
    grouped.block = b;
    passes += block.per_element ? 1 : 0;
  }
  if (passes < 2) return {};
  const Block& last = kernel.blocks[grouped.block];
  if (!last.per_element || !only_adds_to_sums(kernel, schedule, last)) return {};
  for (size_t b = 0; b < grouped.block; ++b) {
    for (const Access::Kind kind : {Access::Kind::sums, Access::Kind::output}) {
      if (uses_accesses_of(kernel, last, kernel.blocks[b], kind)) return {};
    }
  }
  grouped.values = values_of_a_row(kernel, schedule, last);
  return grouped;
}

std::optional<Schedule::Grouped> find_late_group(const Kernel& kernel, const Schedule& schedule,
                                                 const Schedule::Late& late) {
  const Block& block = kernel.blocks[late.block];
  std::vector<bool> read_before(kernel.accesses.size(), false);
  for (ValueId id = 0; id < block.begin; ++id) {
    if (is_load(kernel.instructions[id].op)) read_before[kernel.instructions[id].imm] = true;
  }
  std::vector<bool> weights(kernel.accesses.size(), false);
  for (ValueId id = block.begin; id < block.end; ++id) {
    const Instruction& instruction = kernel.instructions[id];
    if ((!is_load(instruction.op) && !is_store(instruction.op)) || !schedule.is_vector[id]) continue;
    const Access& access = kernel.accesses[instruction.imm];
    if (access.dynamic_indices > 0 || schedule.level[id] != schedule.vector_level) return {};
    if (is_store(instruction.op)) {
      if (access.kind != Access::Kind::output) return {};
      continue;
    }
    if (access.kind != Access::Kind::input) return {};
    const bool moves = std::any_of(schedule.outer_dims.begin(), schedule.outer_dims.end(), [&](int dim) {
      return access.strides[static_cast<size_t>(dim)] != kir::StrideClass::zero;
    });
    // (What only this pass reads is asked for along one row.)
    if (moves && !read_before[instruction.imm]) return {};
    weights[instruction.imm] = !moves && access.dtype.size() >= least_bytes;
  }
  if (std::count(weights.begin(), weights.end(), true) < least_weights) return {};
  Schedule::Grouped grouped;
  grouped.block = late.block;
  grouped.rows = rows_of_a_late_group;
  grouped.values = late.values;
  return grouped;
}

}  // namespace lazuli
