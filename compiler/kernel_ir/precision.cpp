#include <lazuli/compiler/kernel_ir/precision.h>

#include <lazuli/compiler/kernel_ir/instruction_table.h>

namespace lazuli::kir {
namespace {

/// What is asked of a value's accuracy by those it goes into.
struct Demand {
  bool full = false;  ///< all that its type has
  bool sums = false;  ///< it is added to others, so that its error may be large beside the result

  void add(const Demand& other) {
    full = full || other.full;
    sums = sums || other.sums;
  }
};

bool is_16_bits(Dtype dtype) {
  return dtype == float16 || dtype == bfloat16;
}

}  // namespace

std::vector<bool> rounded_to_16_bits(const Kernel& kernel) {
  constexpr Demand everything{true, true};
  std::vector<Demand> demands(kernel.instructions.size());
  std::vector<Demand> scratch(kernel.accesses.size());  // of what is loaded from scratch rows
  for (size_t i = kernel.instructions.size(); i-- > 0;) {
    const Instruction& instruction = kernel.instructions[i];
    Demand demand = demands[i];
    size_t values =
        instruction.operands.size();  // operands that are asked for `demand`; everything of others
    switch (instruction.op) {
      case Opcode::load: {
        scratch[instruction.imm].add(demand);
        values = 0;
        break;
      }
      case Opcode::store: {
        const Access& access = kernel.accesses[instruction.imm];
        if (access.kind == Access::Kind::scratch) {
          demand = scratch[instruction.imm];
        } else {
          demand = is_16_bits(access.dtype) ? Demand{} : everything;
        }
        values = 1;
        break;
      }
      case Opcode::round_to:
        demand = {};
        break;
      case Opcode::add:
      case Opcode::sub:
      case Opcode::fma:
        demand.sums = true;
        break;
      case Opcode::reduce_sum:
        demand.full = demand.full || demand.sums;
        break;
      case Opcode::mul:
      case Opcode::div:
      case Opcode::neg:
      case Opcode::abs:
      case Opcode::min:
      case Opcode::max:
      case Opcode::sqrt:
      case Opcode::rsqrt:
      case Opcode::select:
      case Opcode::reduce_min:
      case Opcode::reduce_max:
        break;
      default:
        demand = everything;
        break;
    }
    if (instruction.type != float32) demand = everything;
    for (size_t n = 0; n < instruction.operands.size(); ++n) {
      demands[instruction.operands[n]].add(n < values ? demand : everything);
    }
  }
  std::vector<bool> result;
  for (const Demand& demand : demands) result.push_back(!demand.full);
  return result;
}

}  // namespace lazuli::kir
