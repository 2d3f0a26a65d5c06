#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include <lazuli/compiler/kernel_ir/builder.h>
#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/kernel_ir/lost_nan.h>
#include <lazuli/compiler/kernel_ir/math_expansion.h>
#include <lazuli/compiler/kernel_ir/precision.h>
#include <lazuli/compiler/kernel_ir/same_value.h>
#include <lazuli/compiler/kernel_ir/scalar.h>

namespace lazuli::kir {
namespace {

/// Builds a kernel anew, block by block, from another one's instructions. `emit` is called with the builder
/// and each instruction, its operands already those of the new kernel.
template <typename Emit>
Kernel rebuild(const Kernel& kernel, Emit&& emit) {
  Kernel result{kernel.dims, kernel.accesses, {}, {}};
  Builder builder(result);
  std::vector<ValueId> new_ids(kernel.instructions.size(), no_value);
  for (const Block& block : kernel.blocks) {
    builder.begin_block(block.per_element);
    for (uint32_t i = block.begin; i < block.end; ++i) {
      Instruction instruction = kernel.instructions[i];
      for (ValueId& operand : instruction.operands) operand = new_ids[operand];
      new_ids[i] = emit(builder, std::move(instruction), i).id;
    }
    builder.end_block();
  }
  return result;
}

std::vector<uint32_t> count_uses(const Kernel& kernel) {
  std::vector<uint32_t> uses(kernel.instructions.size(), 0);
  for (const Instruction& instruction : kernel.instructions) {
    for (ValueId operand : instruction.operands) ++uses[operand];
  }
  return uses;
}

/// Of `1 + erf(x)`, rounded to 16 bits and the only use of erf, the instruction that is erf; else none.
ValueId erf_plus_1(const Kernel& kernel, const std::vector<uint32_t>& uses, const std::vector<bool>& rounded,
                   uint32_t i) {
  const Instruction& sum = kernel.instructions[i];
  if (sum.op != Opcode::add || sum.type != float32 || !rounded[i]) return no_value;
  for (size_t side = 0; side < 2; ++side) {
    const Instruction& one = kernel.instructions[sum.operands[1 - side]];
    const ValueId id = sum.operands[side];
    if (one.op != Opcode::constant || scalar::from_bits<float>(one.imm) != 1) continue;
    if (kernel.instructions[id].op == Opcode::erf && uses[id] == 1) return id;
  }
  return no_value;
}

/// A value as a multiple of another one.
struct Multiple {
  ValueId of = no_value;
  double factor = 1;
};

/// What a value is a constant multiple of: of itself, if nothing else.
Multiple as_multiple(const Kernel& kernel, ValueId id) {
  const Instruction& instruction = kernel.instructions[id];
  if (instruction.op != Opcode::mul && instruction.op != Opcode::div) return {id};
  for (size_t side = 0; side < 2; ++side) {
    const Instruction& constant = kernel.instructions[instruction.operands[1 - side]];
    if (constant.op != Opcode::constant) continue;
    const double factor = scalar::from_bits<float>(constant.imm);
    if (instruction.op == Opcode::mul) return {instruction.operands[side], factor};
    if (side == 0) return {instruction.operands[side], 1 / factor};
  }
  return {id};
}

/// The factor in `x * (1 + erf(x * factor))`, rounded to 16 bits and the only use of what it is made with; 0
/// where an instruction is not that. `side` is the operand that is x.
double factor_in_erf(const Kernel& kernel, const std::vector<uint32_t>& uses,
                     const std::vector<bool>& rounded, uint32_t i, size_t side) {
  const Instruction& product = kernel.instructions[i];
  if (product.op != Opcode::mul || product.type != float32 || !rounded[i]) return 0;
  const ValueId x = product.operands[side], sum = product.operands[1 - side];
  const ValueId erf = uses[sum] == 1 ? erf_plus_1(kernel, uses, rounded, sum) : no_value;
  if (erf == no_value) return 0;
  const Multiple argument = as_multiple(kernel, kernel.instructions[erf].operands[0]);
  for (const Multiple& multiple : {Multiple{x}, as_multiple(kernel, x)}) {
    const double factor = argument.factor / multiple.factor;
    const auto as_float = static_cast<float>(factor);
    if (argument.of == multiple.of && as_float > 0 && std::isfinite(as_float)) return factor;
  }
  return 0;
}

/// For each instruction, whether it has one value for all elements of a row: a result of a reduction, or what
/// is made of such outside the passes over elements.
std::vector<bool> same_in_row(const Kernel& kernel) {
  std::vector<bool> same(kernel.instructions.size(), false);
  for (const Block& block : kernel.blocks) {
    for (uint32_t i = block.begin; i < block.end; ++i) {
      same[i] = !block.per_element || is_reduce(kernel.instructions[i].op);
    }
  }
  return same;
}

/// Of `isfinite(m) ? m : 0` the value m; other values are themselves.
ValueId without_infinity(const Kernel& kernel, ValueId id) {
  const Instruction& choice = kernel.instructions[id];
  if (choice.op != Opcode::select || choice.type != float32) return id;
  const auto is_constant = [&](ValueId operand, float number) {
    const Instruction& constant = kernel.instructions[operand];
    return constant.op == Opcode::constant && scalar::from_bits<float>(constant.imm) == number;
  };
  const Instruction& is_less = kernel.instructions[choice.operands[0]];
  if (is_less.op != Opcode::lt || !is_constant(choice.operands[2], 0)) return id;
  const Instruction& size = kernel.instructions[is_less.operands[0]];
  const bool tells = size.op == Opcode::abs && size.operands[0] == choice.operands[1] &&
                     size.type == float32 && is_constant(is_less.operands[1], HUGE_VALF);
  return tells ? choice.operands[1] : id;
}

/// What is known of a value from which the maximum of such has been subtracted.
enum class Bound : uint8_t {
  none,
  finite,  ///< not positive, unless the maximum is infinite, which has not been subtracted then
  always   ///< never positive
};

Bound bound_of(const Kernel& kernel, ValueId id) {
  const Instruction& difference = kernel.instructions[id];
  if (difference.op != Opcode::sub) return Bound::none;
  const ValueId subtracted = difference.operands[1];
  const ValueId maximum = without_infinity(kernel, subtracted);
  const Instruction& greatest = kernel.instructions[maximum];
  if (greatest.op != Opcode::reduce_max || !are_same(kernel, difference.operands[0], greatest.operands[0])) {
    return Bound::none;
  }
  return maximum == subtracted ? Bound::always : Bound::finite;
}

/// For each instruction, whether nothing but sums over a row uses it.
std::vector<bool> only_in_sums(const Kernel& kernel) {
  std::vector<bool> used(kernel.instructions.size(), false), otherwise = used;
  for (const Instruction& instruction : kernel.instructions) {
    for (const ValueId operand : instruction.operands) {
      (instruction.op == Opcode::reduce_sum ? used : otherwise)[operand] = true;
    }
  }
  for (size_t i = 0; i < used.size(); ++i) used[i] = used[i] && !otherwise[i];
  return used;
}

/// Storing rounds: what was rounded to the same dtype before need not have been.
void skip_rounding(const Kernel& kernel, Instruction& store) {
  const Instruction& value = kernel.instructions[store.operands[0]];
  const auto stored = static_cast<uint64_t>(kernel.accesses[store.imm].dtype.val());
  if (value.op == Opcode::round_to && value.imm == stored) store.operands[0] = value.operands[0];
}

Kernel expand_all(const Kernel& kernel, MathForm form) {
  const std::vector<bool> rounded = rounded_to_16_bits(kernel);
  const std::vector<uint32_t> uses = count_uses(kernel);
  const std::vector<bool> same = same_in_row(kernel);
  const std::vector<bool> loses_nan = may_lose_nan(kernel);
  const std::vector<bool> only_summed = only_in_sums(kernel);
  std::vector<ValueId> arguments(kernel.instructions.size(), no_value);  // of erf, in the new kernel
  return rebuild(kernel, [&](Builder& builder, Instruction instruction, uint32_t i) {
    const auto value = [&](ValueId id) { return Expression(builder, Value{id, no_value, instruction.type}); };
    if (const ValueId id = erf_plus_1(kernel, uses, rounded, i);
        form == MathForm::polynomials && id != no_value) {
      return math::short_erf_plus_1(value(arguments[id])).value();
    }
    if (form == MathForm::tables) {
      for (size_t side = 0; side < 2; ++side) {
        const double factor = factor_in_erf(kernel, uses, rounded, i, side);
        if (factor == 0) continue;
        return math::short_times_erf_plus_1_by_table(value(instruction.operands[side]), factor).value();
      }
    }
    if (instruction.op == Opcode::store) skip_rounding(builder.kernel(), instruction);
    if (instruction.op == Opcode::div && instruction.type == float32 && rounded[i] && !same[i] &&
        same[kernel.instructions[i].operands[1]]) {
      return math::short_divide(value(instruction.operands[0]), value(instruction.operands[1])).value();
    }
    if (loses_nan[i]) instruction.imm = 1;
    if (!is_math(instruction.op)) return builder.append(std::move(instruction));
    const Expression a = value(instruction.operands[0]);
    if (instruction.op == Opcode::erf) arguments[i] = a.value().id;
    const Expression b = instruction.operands.size() > 1 ? value(instruction.operands[1]) : a;
    const Bound bound =
        instruction.op == Opcode::exp ? bound_of(kernel, kernel.instructions[i].operands[0]) : Bound::none;
    const bool beside_1 = only_summed[i] && bound != Bound::none;
    return math::expand(instruction.op, a, b, {rounded[i], bound == Bound::always, beside_1}, form).value();
  });
}

/// Turns a * b + c into fma(a, b, c), and likewise with minus, where the product is for that sum alone and
/// made in the same block.
Kernel contract(const Kernel& kernel) {
  const std::vector<uint32_t> uses = count_uses(kernel);
  uint32_t block_begin = 0;
  const auto single_product = [&](ValueId id) {
    return kernel.instructions[id].op == Opcode::mul && uses[id] == 1 && id >= block_begin;
  };
  return rebuild(kernel, [&](Builder& builder, Instruction instruction, uint32_t i) {
    for (const Block& block : kernel.blocks) {
      if (i == block.begin) block_begin = i;
    }
    const bool sum = instruction.op == Opcode::add;
    const bool difference = instruction.op == Opcode::sub;
    if ((!sum && !difference) || type_set(instruction.type) != floats) {
      return builder.append(std::move(instruction));
    }
    const Dtype type = instruction.type;
    const auto negated = [&](ValueId id) { return builder.append({Opcode::neg, type, 0, {id}}).id; };
    const std::vector<ValueId>& old_operands = kernel.instructions[i].operands;
    for (size_t side = 0; side < 2; ++side) {
      if (!single_product(old_operands[side])) continue;
      // The product has been rebuilt: unless it was simplified away, take its factors.
      const Instruction product = builder.kernel().instructions[instruction.operands[side]];
      if (product.op != Opcode::mul) continue;
      ValueId a = product.operands[0];
      ValueId c = instruction.operands[1 - side];
      if (difference && side == 0) c = negated(c);
      if (difference && side == 1) a = negated(a);
      return builder.append({Opcode::fma, type, 0, {a, product.operands[1], c}});
    }
    return builder.append(std::move(instruction));
  });
}

/// Leaves out what no store depends on.
Kernel without_dead_code(const Kernel& kernel) {
  std::vector<bool> live(kernel.instructions.size(), false);
  for (size_t i = kernel.instructions.size(); i-- > 0;) {
    if (is_store(kernel.instructions[i].op)) live[i] = true;
    if (!live[i]) continue;
    for (ValueId operand : kernel.instructions[i].operands) live[operand] = true;
  }
  Kernel result{kernel.dims, kernel.accesses, {}, {}};
  std::vector<ValueId> new_ids(kernel.instructions.size(), no_value);
  for (const Block& block : kernel.blocks) {
    const auto begin = static_cast<uint32_t>(result.instructions.size());
    for (uint32_t i = block.begin; i < block.end; ++i) {
      if (!live[i]) continue;
      new_ids[i] = static_cast<ValueId>(result.instructions.size());
      Instruction instruction = kernel.instructions[i];
      for (ValueId& operand : instruction.operands) operand = new_ids[operand];
      result.instructions.push_back(std::move(instruction));
    }
    const auto end = static_cast<uint32_t>(result.instructions.size());
    if (end > begin) result.blocks.push_back({block.per_element, begin, end});
  }
  return result;
}

}  // namespace

Kernel expand_math(const Kernel& kernel, MathForm form) {
  // Until nothing changes, so that expanding again what was expanded is the same kernel, whoever does it.
  Kernel result = without_dead_code(expand_all(kernel, form));
  for (int round = 0; round < 8; ++round) {
    Kernel next = without_dead_code(contract(result));
    const bool done = next == result;
    result = std::move(next);
    if (done) break;
  }
  return result;
}

}  // namespace lazuli::kir
