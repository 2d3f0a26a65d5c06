#include <lazuli/compiler/kernel_ir/lost_nan.h>

#include <algorithm>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/kernel_ir/same_value.h>

namespace lazuli::kir {
namespace {

/// Whether a result is NaN if any operand is.
bool hands_nan_on(const Kernel& kernel, const Instruction& instruction) {
  if (!issubdtype(instruction.type, floating)) return false;
  switch (instruction.op) {
    case Opcode::add:
    case Opcode::sub:
    case Opcode::mul:
    case Opcode::div:
    case Opcode::neg:
    case Opcode::abs:
    case Opcode::fma:
    case Opcode::sqrt:
    case Opcode::rsqrt:
    case Opcode::round_to:
    case Opcode::exp:
    case Opcode::expm1:
    case Opcode::log:
    case Opcode::log2:
    case Opcode::log10:
    case Opcode::log1p:
    case Opcode::tanh:
    case Opcode::sigmoid:
    case Opcode::erf:
      return true;
    case Opcode::cast:
      return issubdtype(kernel.instructions[instruction.operands[0]].type, floating);
    default:
      return false;
  }
}

class NanFinder {
 public:
  NanFinder(const Kernel& kernel, ValueId extremum)
      : kernel_(kernel),
        extremum_(extremum),
        nan_(kernel.instructions.size(), Nan::unknown),
        depends_(kernel.instructions.size(), false),
        depends_in_memory_(kernel.accesses.size(), false) {}

  /// Whether all that is stored and depends on the extremum is NaN where one of its operands is.
  bool run() {
    for (const Block& block : kernel_.blocks) {
      for (ValueId id = block.begin; id < block.end; ++id) {
        const Instruction& instruction = kernel_.instructions[id];
        find_nan(id, instruction);
        find_dependence(id, instruction);
        if (!is_store(instruction.op) || !depends_[id]) continue;
        const bool scratch = kernel_.accesses[instruction.imm].kind == Access::Kind::scratch;
        if (scratch) {
          depends_in_memory_[instruction.imm] = true;
        } else if (instruction.op != Opcode::store || nan_[instruction.operands[0]] != Nan::everywhere) {
          return false;
        }
      }
    }
    return true;
  }

 private:
  /// Where a value is NaN if an element of the row is: at that element, or at all of them.
  enum class Nan : uint8_t { unknown, there, everywhere };

  void find_nan(ValueId id, const Instruction& instruction) {
    Nan most = Nan::unknown;
    for (const ValueId operand : instruction.operands) most = std::max(most, nan_[operand]);
    if (instruction.op == Opcode::reduce_sum && issubdtype(instruction.type, floating)) {
      nan_[id] = most == Nan::unknown ? most : Nan::everywhere;
    } else if (hands_nan_on(kernel_, instruction)) {
      nan_[id] = most;
    }
    if (nan_[id] == Nan::unknown && are_same(kernel_, id, kernel_.instructions[extremum_].operands[0])) {
      nan_[id] = Nan::there;
    }
  }

  void find_dependence(ValueId id, const Instruction& instruction) {
    const bool through_memory = is_load(instruction.op) && depends_in_memory_[instruction.imm];
    depends_[id] = id == extremum_ || through_memory ||
                   std::any_of(instruction.operands.begin(), instruction.operands.end(),
                               [&](ValueId operand) { return depends_[operand]; });
  }

  const Kernel& kernel_;
  const ValueId extremum_;
  std::vector<Nan> nan_;
  std::vector<bool> depends_;
  std::vector<bool> depends_in_memory_;
};

}  // namespace

std::vector<bool> may_lose_nan(const Kernel& kernel) {
  std::vector<bool> result(kernel.instructions.size(), false);
  for (ValueId id = 0; id < kernel.instructions.size(); ++id) {
    const Instruction& instruction = kernel.instructions[id];
    const bool extremum = instruction.op == Opcode::reduce_min || instruction.op == Opcode::reduce_max;
    if (!extremum || !issubdtype(instruction.type, floating)) continue;
    result[id] = instruction.imm != 0 || NanFinder(kernel, id).run();
  }
  return result;
}

}  // namespace lazuli::kir
