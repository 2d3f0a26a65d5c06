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

bool finds_position(Opcode op) {
  return op == Opcode::reduce_argmin || op == Opcode::reduce_argmax;
}
bool wants_least(Opcode op) {
  return op == Opcode::reduce_min || op == Opcode::reduce_argmin;
}

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

/// Where a lane counts its steps. In rows a step is a vector, so that 32 bits are enough; in columns it is a
/// position, and longer ones are left to the interpreter (`CompiledKernel::Traits::most_reduced`).
llvm::Type* KernelEmitter::position_type() const {
  return llvm::Type::getInt32Ty(b_.context());
}

KernelEmitter::Carried KernelEmitter::initial_accumulators(const Block& block, int unroll) {
  Carried initial;
  for (ValueId id = block.begin; id < block.end; ++id) {
    const Instruction& instruction = kernel_.instructions[id];
    if (!is_reduce(instruction.op)) continue;
    const Dtype type = operand_type(instruction);
    initial.append(static_cast<size_t>(unroll), identity(instruction.op, type, schedule_.lanes));
    if (finds_position(instruction.op)) {
      initial.append(static_cast<size_t>(unroll),
                     b_.zero(VectorBuilder::widen(position_type(), schedule_.lanes)));
    }
  }
  return initial;
}

Value* KernelEmitter::beats(Opcode op, Dtype type, Value* candidate, Value* best) {
  llvm::IRBuilder<>& ir = b_.ir;
  const bool least = wants_least(op);
  if (!is_floating(type)) {
    const bool with_sign = is_signed(type);
    const auto predicate = least ? (with_sign ? llvm::CmpInst::ICMP_SLT : llvm::CmpInst::ICMP_ULT)
                                 : (with_sign ? llvm::CmpInst::ICMP_SGT : llvm::CmpInst::ICMP_UGT);
    return ir.CreateICmp(predicate, candidate, best);
  }
  // "Less, or unordered, while the best is no NaN": a NaN wins, once.
  Value* better = least ? ir.CreateFCmpULT(candidate, best) : ir.CreateFCmpUGT(candidate, best);
  return ir.CreateAnd(better, ir.CreateFCmpORD(best, best));
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
  size_t at = 0;
  for (ValueId id = block.begin; id < block.end; ++id) {
    const Instruction& instruction = kernel_.instructions[id];
    if (!is_reduce(instruction.op)) continue;
    const ValueId operand = instruction.operands[0];
    const Dtype type = operand_type(instruction);
    const auto unroll = static_cast<size_t>(total_unroll);
    Value* position = nullptr;
    if (finds_position(instruction.op)) {
      position = index_[schedule_.loops[0]];  // the one reduce dimension
      if (rows) position = ir.CreateUDiv(position, b_.i64(width_.lanes));
      position = ir.CreateTrunc(position, position_type());
    }
    const Instruction* product = product_to_add(block, instruction);
    b_.may_lose_nan = instruction.imm != 0;  // of a minimum or maximum
    for (size_t u = 0; u < static_cast<size_t>(width_.unroll); ++u) {
      const int which = static_cast<int>(u);
      Value* value = part(operand, which);
      Value*& best = next[at + u];
      if (position == nullptr) {
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
      Value* here = position;
      if (rows) here = ir.CreateAdd(position, llvm::ConstantInt::get(position_type(), u));
      best = ir.CreateSelect(wins, value, best);
      best_position = ir.CreateSelect(wins, b_.splat(here, width_.lanes), best_position);
    }
    b_.may_lose_nan = false;
    at += finds_position(instruction.op) ? 2 * unroll : unroll;
  }
  return next;
}

void KernelEmitter::finish_position(ValueId id, llvm::ArrayRef<Value*> bests,
                                    llvm::ArrayRef<Value*> positions) {
  llvm::IRBuilder<>& ir = b_.ir;
  const Instruction& instruction = kernel_.instructions[id];
  const Dtype type = operand_type(instruction);
  const int lanes = schedule_.lanes;
  llvm::Type* wide = VectorBuilder::widen(ir.getInt64Ty(), lanes);
  const auto whole_position = [&](size_t u) {
    Value* position = b_.times(ir.CreateZExt(positions[u], wide), lanes);
    return ir.CreateAdd(position, b_.lane_numbers(ir.getInt64Ty(), lanes));
  };
  Value* best = bests[0];
  Value* position = whole_position(0);
  const auto merge = [&](Value* other, Value* other_position) {
    Value* equal = is_floating(type) ? ir.CreateFCmpOEQ(other, best) : ir.CreateICmpEQ(other, best);
    if (is_floating(type)) {
      Value* both_nan = ir.CreateAnd(ir.CreateFCmpUNO(other, other), ir.CreateFCmpUNO(best, best));
      equal = ir.CreateOr(equal, both_nan);
    }
    Value* wins = beats(instruction.op, type, other, best);
    wins = ir.CreateOr(wins, ir.CreateAnd(equal, ir.CreateICmpSLT(other_position, position)));
    best = ir.CreateSelect(wins, other, best);
    position = ir.CreateSelect(wins, other_position, position);
  };
  for (size_t u = 1; u < bests.size(); ++u) merge(bests[u], whole_position(u));
  for (int count = lanes / 2; count >= 1; count /= 2) {
    Value* other = b_.slice(best, count, count);
    Value* other_position = b_.slice(position, count, count);
    best = b_.slice(best, 0, count);
    position = b_.slice(position, 0, count);
    merge(other, other_position);
  }
  set_scalar(id, position);
}

void KernelEmitter::finish_reductions(const Block& block, const Carried& carried, int total_unroll) {
  const auto unroll = static_cast<size_t>(total_unroll);
  llvm::ArrayRef<Value*> rest(carried);
  for (ValueId id = block.begin; id < block.end; ++id) {
    const Instruction& instruction = kernel_.instructions[id];
    if (!is_reduce(instruction.op)) continue;
    const bool position = finds_position(instruction.op);
    llvm::ArrayRef<Value*> bests = rest.take_front(unroll);
    rest = rest.drop_front(unroll);
    llvm::ArrayRef<Value*> positions = position ? rest.take_front(unroll) : llvm::ArrayRef<Value*>();
    rest = rest.drop_front(positions.size());
    if (position) {
      finish_position(id, bests, positions);
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
