#include <lazuli/compiler/llvm/move_bits.h>

#include <algorithm>

#include <lazuli/compiler/kernel_ir/instruction_table.h>

namespace lazuli {

using kir::Access;
using kir::Instruction;
using kir::Kernel;
using kir::Opcode;

namespace {

bool touches(const Kernel& kernel, const Instruction& instruction, Dtype dtype) {
  const bool memory = kir::is_load(instruction.op) || kir::is_store(instruction.op);
  return memory && kernel.accesses[instruction.imm].dtype == dtype;
}

/// Whether all that is loaded of a dtype is stored as that dtype, and nothing else is.
bool only_moves(const Kernel& kernel, Dtype dtype) {
  for (const Instruction& instruction : kernel.instructions) {
    const bool stores = instruction.op == Opcode::store && touches(kernel, instruction, dtype);
    for (size_t n = 0; n < instruction.operands.size(); ++n) {
      const bool moved = touches(kernel, kernel.instructions[instruction.operands[n]], dtype);
      if (moved != (stores && n == 0)) return false;
    }
  }
  return std::none_of(kernel.accesses.begin(), kernel.accesses.end(), [&](const Access& access) {
    return access.dtype == dtype && access.kind == Access::Kind::scratch;
  });
}

}  // namespace

Kernel move_bits(const Kernel& kernel) {
  Kernel moved = kernel;
  for (const Dtype dtype : {float16, bfloat16}) {
    if (!only_moves(kernel, dtype)) continue;
    for (Instruction& instruction : moved.instructions) {
      if (touches(kernel, instruction, dtype)) instruction.type = uint16;
    }
    for (Access& access : moved.accesses) {
      if (access.dtype == dtype) access.dtype = uint16;
    }
  }
  return moved;
}

}  // namespace lazuli
