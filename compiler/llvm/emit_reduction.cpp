#include <llvm/IR/Constants.h>

#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/llvm/emitter.h>
#include <lazuli/compiler/llvm/instructions.h>

namespace lazuli {

using kir::Block;
using kir::Instruction;
using kir::Opcode;
using kir::ValueId;
using llvm::Value;

namespace {

Opcode combining_opcode(Opcode op) {
  switch (op) {
    case Opcode::reduce_sum:
      return Opcode::add;
    case Opcode::reduce_prod:
      return Opcode::mul;
    case Opcode::reduce_min:
      return Opcode::min;
    case Opcode::reduce_max:
      return Opcode::max;
    case Opcode::reduce_and:
      return Opcode::bit_and;
    default:
      return Opcode::bit_or;
  }
}

llvm::Constant* extreme(VectorBuilder& b, Dtype type, bool greatest, int lanes) {
  llvm::Type* llvm_type = b.compute_type(type, lanes);
  if (is_floating(type)) return llvm::ConstantFP::getInfinity(llvm_type, !greatest);
  const unsigned bits = llvm_type->getScalarSizeInBits();
  if (is_signed(type)) {
    return llvm::ConstantInt::get(
        llvm_type, greatest ? llvm::APInt::getSignedMaxValue(bits) : llvm::APInt::getSignedMinValue(bits));
  }
  return llvm::ConstantInt::get(llvm_type,
                                greatest ? llvm::APInt::getMaxValue(bits) : llvm::APInt::getMinValue(bits));
}

}  // namespace

llvm::Constant* KernelEmitter::identity(Opcode op, Dtype type, int lanes) const {
  auto& b = const_cast<VectorBuilder&>(b_);
  llvm::Type* llvm_type = b_.compute_type(type, lanes);
  switch (op) {
    case Opcode::reduce_sum:
    case Opcode::reduce_or:
      return b_.zero(llvm_type);
    case Opcode::reduce_prod:
      return is_floating(type) ? llvm::ConstantFP::get(llvm_type, 1.0) : llvm::ConstantInt::get(llvm_type, 1);
    case Opcode::reduce_and:
      return llvm::Constant::getAllOnesValue(llvm_type);
    default:
      return extreme(b, type, wants_least(op), lanes);
  }
}

Value* KernelEmitter::combine(Opcode op, Dtype type, Value* left, Value* right) {
  return emit_binary(b_, combining_opcode(op), type, left, right);
}

KernelEmitter::Carried KernelEmitter::initial_accumulators(const Block& block, int unroll) {
  Carried initial;
  for (ValueId id = block.begin; id < block.end; ++id) {
    const Instruction& instruction = kernel_.instructions[id];
    if (!is_accumulated(block, id)) continue;
    const Dtype type = operand_type(instruction);
    initial.append(static_cast<size_t>(unroll), identity(instruction.op, type, schedule_.lanes));
    if (finds_position(instruction.op)) {
      initial.append(static_cast<size_t>(unroll),
                     b_.zero(VectorBuilder::widen(position_type(), schedule_.lanes)));
    }
  }
  if (finds_positions(block)) {
    initial.push_back(b_.zero(VectorBuilder::widen(position_type(), schedule_.lanes)));  // of the step
  }
  return initial;
}

/// Accumulators of a block with so many chains of each reduction; the step's position comes after them.
size_t KernelEmitter::count_of_accumulators(const Block& block, int unroll) const {
  size_t count = 0;
  for (ValueId id = block.begin; id < block.end; ++id) {
    if (is_accumulated(block, id)) count += finds_position(kernel_.instructions[id].op) ? 2 : 1;
  }
  return count * static_cast<size_t>(unroll);
}

/// What a sum adds up, where that is a product of the same step: both are done by one instruction, and the
/// product is only made where something else uses it.
const Instruction* KernelEmitter::product_to_add(const Block& block, const Instruction& reduction) const {
  const ValueId operand = reduction.operands[0];
  if (reduction.op != Opcode::reduce_sum || !is_floating(reduction.type) || !target_.fma) return nullptr;
  const Instruction& product = kernel_.instructions[operand];
  if (product.op != Opcode::mul || operand < block.begin || !schedule_.is_vector[operand]) return nullptr;
  // A column's product that is the same at all its points was made once, and comes from a buffer: what it was
  // made of is not at hand.
  const bool from_buffer = !crosses_blocks_.empty() && crosses_blocks_[operand];
  return from_buffer ? nullptr : &product;
}

/// One step of a block's reductions, which have `total_unroll` chains each. In a tail of rows, lanes that are
/// off keep what they have; in columns each lane is a result of its own, and those that are off are never
/// looked at.
KernelEmitter::Carried KernelEmitter::accumulate(const Block& block, const Carried& carried,
                                                 int total_unroll) {
  llvm::IRBuilder<>& ir = b_.ir;
  Carried next = carried;
  const bool rows = schedule_.form == Schedule::Form::rows;
  Value* mask = rows && width_.tail != nullptr ? width_.tail->mask : nullptr;
  const bool counts_steps = finds_positions(block) && rows_.position == nullptr;
  Value* position = counts_steps ? carried[count_of_accumulators(block, total_unroll)] : rows_.position;
  size_t at = 0;
  for (ValueId id = block.begin; id < block.end; ++id) {
    const Instruction& instruction = kernel_.instructions[id];
    if (!is_accumulated(block, id)) continue;
    const ValueId operand = instruction.operands[0];
    const Dtype type = operand_type(instruction);
    const auto unroll = static_cast<size_t>(total_unroll);
    const bool finds = finds_position(instruction.op);
    const Instruction* product = product_to_add(block, instruction);
    b_.may_lose_nan = instruction.imm != 0;  // of a minimum or maximum
    for (size_t u = 0; u < static_cast<size_t>(width_.unroll); ++u) {
      const int which = static_cast<int>(u);
      Value* value = part(operand, which);
      Value*& best = next[at + u];
      if (!finds) {
        Value* combined =
            product != nullptr
                ? b_.fma(part(product->operands[0], which), part(product->operands[1], which), best)
                : emit_binary(b_, combining_opcode(instruction.op), type, best, value);
        best = mask == nullptr ? combined : ir.CreateSelect(mask, combined, best);
        continue;
      }
      Value* wins = beats(instruction.op, type, value, best);
      if (mask != nullptr) wins = ir.CreateAnd(wins, mask);
      Value*& best_position = next[at + unroll + u];
      best = ir.CreateSelect(wins, value, best);
      best_position = ir.CreateSelect(wins, position, best_position);
    }
    b_.may_lose_nan = false;
    at += finds ? 2 * unroll : unroll;
  }
  if (counts_steps) {
    const int steps = rows ? width_.unroll : 1;
    next[at] = ir.CreateAdd(position, llvm::ConstantInt::get(position->getType(), steps));
  }
  return next;
}

void KernelEmitter::finish_reductions(const Block& block, const Carried& carried, int total_unroll) {
  const auto unroll = static_cast<size_t>(total_unroll);
  llvm::ArrayRef<Value*> rest(carried);
  for (ValueId id = block.begin; id < block.end; ++id) {
    const Instruction& instruction = kernel_.instructions[id];
    if (!is_accumulated(block, id)) continue;
    const bool position = finds_position(instruction.op);
    llvm::ArrayRef<Value*> bests = rest.take_front(unroll);
    rest = rest.drop_front(unroll);
    llvm::ArrayRef<Value*> positions = position ? rest.take_front(unroll) : llvm::ArrayRef<Value*>();
    rest = rest.drop_front(positions.size());
    if (position) {
      finish_position(block, id, bests, positions);
      continue;
    }
    const Dtype type = operand_type(instruction);
    const auto combine = [&](Value* left, Value* right) {
      return emit_binary(b_, combining_opcode(instruction.op), type, left, right);
    };
    llvm::SmallVector<Value*, 8> chains(bests.begin(), bests.end());
    for (size_t count = unroll / 2; count >= 1; count /= 2) {
      for (size_t n = 0; n < count; ++n) chains[n] = combine(chains[n], chains[n + count]);
    }
    Value* result = b_.reduce_lanes(chains[0], combine);
    set_scalar(id, type == bool_ ? b_.from_bool(result) : result);
  }
}

}  // namespace lazuli
