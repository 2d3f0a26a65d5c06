#include <lazuli/compiler/kernel_ir/fold.h>

#include <tuple>
#include <type_traits>

#include <lazuli/compiler/kernel_ir/scalar.h>

namespace lazuli::kir {
namespace {

using Bits = std::optional<uint64_t>;

template <typename Operation, typename T, typename... Operands>
bool try_one(Opcode op, Bits& result, Operands... operands) {
  if constexpr (scalar::defined_for<Operation, T>) {
    if (op == Operation::opcode) {
      result = scalar::to_bits(Operation::template apply<T>(scalar::from_bits<T>(operands)...));
      return true;
    }
  }
  return false;
}

template <typename T, typename... Operations, typename... Operands>
Bits apply_one_of(std::type_identity<std::tuple<Operations...>>, Opcode op, Operands... operands) {
  Bits result;
  (try_one<Operations, T>(op, result, operands...) || ...);
  return result;
}

template <typename T>
Bits fold_as(const Instruction& instruction, std::span<const uint64_t> operands) {
  switch (instruction.op) {
    case Opcode::fma:
      if constexpr (std::floating_point<T>) {
        return scalar::to_bits(scalar::fused_multiply_add(scalar::from_bits<T>(operands[0]),
                                                          scalar::from_bits<T>(operands[1]),
                                                          scalar::from_bits<T>(operands[2])));
      }
      return {};
    case Opcode::cast:
      return dispatch_compute_type(instruction.type, [&]<typename To>(std::type_identity<To>) -> Bits {
        return scalar::to_bits(scalar::convert<To>(scalar::from_bits<T>(operands[0])));
      });
    case Opcode::bitcast:
      return operands[0];
    case Opcode::round_to:
      if constexpr (std::is_same_v<T, float>) {
        const Dtype dtype = dtype_from_value(static_cast<Dtype::Val>(instruction.imm));
        return scalar::to_bits(scalar::round_to(scalar::from_bits<float>(operands[0]), dtype));
      }
      return {};
    case Opcode::table:
      if constexpr (std::is_same_v<T, int32_t>) {
        return scalar::to_bits(
            scalar::look_up(static_cast<Table>(instruction.imm), scalar::from_bits<int32_t>(operands[0])));
      }
      return {};
    case Opcode::scalb:
      if constexpr (std::is_same_v<T, float>) {
        return scalar::to_bits(scalar::Scalb::apply(scalar::from_bits<float>(operands[0]),
                                                    scalar::from_bits<float>(operands[1])));
      }
      return {};
    default:
      break;
  }
  if (operands.size() == 1) {
    return apply_one_of<T>(std::type_identity<scalar::UnaryOperations>{}, instruction.op, operands[0]);
  }
  if (operands.size() == 2) {
    return apply_one_of<T>(std::type_identity<scalar::BinaryOperations>{}, instruction.op, operands[0],
                           operands[1]);
  }
  return {};
}

}  // namespace

std::optional<uint64_t> fold(const Instruction& instruction, Dtype operand_type,
                             std::span<const uint64_t> operands) {
  if (instruction.op == Opcode::select) return operands[0] != 0 ? operands[1] : operands[2];
  if (operands.empty() || !row_of(instruction.op).pure || is_math(instruction.op)) return {};
  return dispatch_compute_type(
      operand_type, [&]<typename T>(std::type_identity<T>) { return fold_as<T>(instruction, operands); });
}

uint64_t constant_bits(Dtype type, double value) {
  return dispatch_compute_type(
      type, [&]<typename T>(std::type_identity<T>) { return scalar::to_bits(scalar::convert<T>(value)); });
}

}  // namespace lazuli::kir
