#include <lazuli/compiler/kernel_ir/same_value.h>

#include <lazuli/compiler/kernel_ir/instruction_table.h>

namespace lazuli::kir {

bool are_same(const Kernel& kernel, ValueId a, ValueId b, int depth) {
  if (a == b) return true;
  const Instruction& first = kernel.instructions[a];
  const Instruction& second = kernel.instructions[b];
  if (depth == 0 || first.op != second.op || first.type != second.type || first.imm != second.imm)
    return false;
  if (first.operands.size() != second.operands.size() || is_reduce(first.op)) return false;
  if (is_load(first.op) && kernel.accesses[first.imm].kind != Access::Kind::input) return false;
  for (size_t n = 0; n < first.operands.size(); ++n) {
    if (!are_same(kernel, first.operands[n], second.operands[n], depth - 1)) return false;
  }
  return true;
}

}  // namespace lazuli::kir
