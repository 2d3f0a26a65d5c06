#include <lazuli/compiler/llvm/late_pass.h>

#include <algorithm>

#include <lazuli/compiler/kernel_ir/instruction_table.h>

namespace lazuli {

using kir::Access;
using kir::Block;
using kir::Instruction;
using kir::Kernel;
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

}  // namespace lazuli
