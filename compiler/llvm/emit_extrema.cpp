#include <algorithm>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/llvm/emitter.h>

// A minimum or maximum is one instruction of x86, which loses a NaN of its first operand: another one puts it
// back. Where arithmetic is what a kernel takes its time for, a step goes without these and adds up products
// of first operands, two at a time, by one instruction. If the sum is NaN, the step is done again with
// repairs. Infinities can make such a sum NaN as well, which costs time and changes nothing.

namespace lazuli {

using kir::Access;
using kir::Instruction;
using kir::Opcode;
using llvm::Value;

namespace {

/// Repairs that are worth a second form of the step.
constexpr int fewest_repairs = 3;

}  // namespace

bool KernelEmitter::repairs_extrema_later() const {
  if (!target_.avx512 || kernel_.blocks.size() != 1 || schedule_.lanes != 16) return false;
  int repairs = 0;
  for (size_t i = 0; i < kernel_.instructions.size(); ++i) {
    const Instruction& instruction = kernel_.instructions[i];
    if (is_load(instruction.op) || is_store(instruction.op)) {
      const Access& access = kernel_.accesses[instruction.imm];
      const bool written = is_load(instruction.op) && access.kind != Access::Kind::input;
      // Wider elements take longer to come from memory than such repairs take.
      const bool wide = schedule_.is_vector[i] && access.dtype.size() > 2;
      if (written || wide || access.dynamic_indices > 0) return false;
    }
    const bool extremum = instruction.op == Opcode::min || instruction.op == Opcode::max;
    if (!extremum || instruction.type != float32 || !schedule_.is_vector[i]) continue;
    const auto is_constant = [&](kir::ValueId id) { return kernel_.instructions[id].op == Opcode::constant; };
    if (!std::any_of(instruction.operands.begin(), instruction.operands.end(), is_constant)) ++repairs;
  }
  return repairs >= fewest_repairs;
}

void KernelEmitter::emit_level_with_late_repairs(const kir::Block& block, int level) {
  const auto each = [&](auto wanted) {
    for (kir::ValueId id = block.begin; id < block.end; ++id) {
      if (schedule_.level[id] == level && wanted(kernel_.instructions[id].op)) emit_one(id);
    }
  };
  // Products of two are added up as they come, lest a chain of sums follow the last one; one sum for each
  // vector of the step.
  struct Watch {
    Value* sum = nullptr;
    Value* waiting = nullptr;
  };
  llvm::SmallVector<Watch, 4> watches(static_cast<size_t>(width_.unroll));
  size_t count = 0;
  b_.unrepaired = [&](Value* operand) {
    Watch& watch = watches[count++ % watches.size()];
    if (watch.sum == nullptr) {
      watch.sum = operand;
    } else if (watch.waiting == nullptr) {
      watch.waiting = operand;
    } else {
      watch.sum = b_.fma(watch.waiting, operand, watch.sum);
      watch.waiting = nullptr;
    }
  };
  each([](Opcode op) { return !is_store(op); });
  b_.unrepaired = nullptr;
  Value* lost = b_.ir.getFalse();
  Value* sum = nullptr;
  for (const Watch& watch : watches) {
    for (Value* operand : {watch.sum, watch.waiting}) {
      if (operand != nullptr) sum = sum == nullptr ? operand : b_.ir.CreateFAdd(sum, operand);
    }
  }
  if (sum != nullptr) lost = b_.ir.CreateOrReduce(b_.ir.CreateFCmpUNO(sum, sum));
  each([](Opcode op) { return is_store(op); });
  const std::vector<Emitted> values = values_;
  b_.if_then(
      lost,
      [&] {
        // From what was loaded: where results lie in an input's place, that is overwritten by now.
        each([](Opcode op) { return !is_load(op); });
      },
      "repair");
  values_ = values;
}

}  // namespace lazuli
