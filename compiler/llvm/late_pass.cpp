#include <lazuli/compiler/llvm/late_pass.h>

#include <algorithm>

#include <lazuli/compiler/kernel_ir/instruction_table.h>

namespace lazuli {

using kir::Access;
using kir::Block;
using kir::Instruction;
using kir::Kernel;
using kir::Opcode;
using kir::ValueId;

namespace {

/// Whether what a pass reads from scratch rows is still there when the next row's passes before `within` are
/// over. (In a step of `within` itself it is read before it is written.)
bool rows_are_kept(const Kernel& kernel, const Block& late, const Block& within) {
  std::vector<bool> read(kernel.accesses.size(), false);
  for (ValueId id = late.begin; id < late.end; ++id) {
    const Instruction& instruction = kernel.instructions[id];
    if (is_load(instruction.op)) read[instruction.imm] = true;
  }
  for (ValueId id = 0; id < within.begin; ++id) {
    const Instruction& instruction = kernel.instructions[id];
    if (!is_store(instruction.op) || !read[instruction.imm]) continue;
    if (kernel.accesses[instruction.imm].kind == Access::Kind::scratch) return false;
  }
  return true;
}

bool writes_a_row(const Kernel& kernel, const Schedule& schedule, const Block& block) {
  bool writes = false;
  for (ValueId id = block.begin; id < block.end; ++id) {
    const Instruction& instruction = kernel.instructions[id];
    if (is_reduce(instruction.op)) return false;
    if (!is_store(instruction.op) || !schedule.is_vector[id]) continue;
    if (kernel.accesses[instruction.imm].kind == Access::Kind::scratch) return false;
    writes = writes || kernel.accesses[instruction.imm].kind == Access::Kind::output;
  }
  return writes;
}

bool only_adds_up(const Kernel& kernel, const Block& block) {
  bool adds_up = false;
  for (ValueId id = block.begin; id < block.end; ++id) {
    const Instruction& instruction = kernel.instructions[id];
    if (is_store(instruction.op)) return false;
    if (!is_reduce(instruction.op)) continue;
    if (instruction.op != Opcode::reduce_sum) return false;
    adds_up = true;
  }
  return adds_up;
}

}  // namespace

std::vector<ValueId> values_of_a_row(const Kernel& kernel, const Schedule& schedule, const Block& pass) {
  std::vector<ValueId> values;
  for (ValueId id = pass.begin; id < pass.end; ++id) {
    if (schedule.level[id] <= 1) continue;
    for (const ValueId operand : kernel.instructions[id].operands) {
      if (schedule.level[operand] != 1) continue;
      if (std::find(values.begin(), values.end(), operand) == values.end()) values.push_back(operand);
    }
  }
  return values;
}

std::optional<Schedule::Late> find_late_pass(const Kernel& kernel, const Schedule& schedule, size_t within) {
  if (schedule.form != Schedule::Form::rows || schedule.loops.size() != 1 || schedule.outer_dims.empty() ||
      (schedule.distances && schedule.distances->block == within)) {
    return {};
  }
  Schedule::Late late;
  late.within = within;
  late.block = kernel.blocks.size() - 1;
  while (late.block > within && kernel.blocks[late.block].begin == kernel.blocks[late.block].end)
    --late.block;
  const Block& block = kernel.blocks[late.block];
  if (late.block <= within || !block.per_element) return {};
  if (!writes_a_row(kernel, schedule, block) || !rows_are_kept(kernel, block, kernel.blocks[within]))
    return {};
  late.values = values_of_a_row(kernel, schedule, block);
  return late;
}

std::optional<Schedule::Late> find_late_sums(const Kernel& kernel, const Schedule& schedule, size_t first,
                                             size_t last) {
  if (schedule.form != Schedule::Form::rows || schedule.loops.size() != 1 || schedule.outer_dims.empty() ||
      schedule.distances || !only_adds_up(kernel, kernel.blocks[last])) {
    return {};
  }
  if (std::any_of(kernel.accesses.begin(), kernel.accesses.end(),
                  [](const Access& access) { return access.is_row(); })) {
    return {};
  }
  Schedule::Late late;
  late.adds_up = true;
  late.block = last;
  late.within = first;
  const Block& pass = kernel.blocks[last];
  for (ValueId id = pass.begin; id < kernel.instructions.size(); ++id) {
    // (What follows the pass is made when the next row is at hand.)
    if (id >= pass.end && kernel.instructions[id].op == Opcode::index) return {};
    for (const ValueId operand : kernel.instructions[id].operands) {
      const bool made_before = operand < pass.end && schedule.level[operand] == 1;
      const bool found_late = operand >= pass.begin && is_reduce(kernel.instructions[operand].op);
      if (!made_before || found_late) continue;
      if (std::find(late.values.begin(), late.values.end(), operand) == late.values.end()) {
        late.values.push_back(operand);
      }
    }
  }
  return late;
}

}  // namespace lazuli
