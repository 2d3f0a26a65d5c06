#include <algorithm>

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

// Positions of extrema: each lane keeps its best value, and where that was. The position of a step is a
// vector made outside of it, or carried along: a number spread to all lanes for each selection would take the
// one unit that compares, too.

bool KernelEmitter::finds_position(Opcode op) {
  return op == Opcode::reduce_argmin || op == Opcode::reduce_argmax;
}

bool KernelEmitter::wants_least(Opcode op) {
  return op == Opcode::reduce_min || op == Opcode::reduce_argmin;
}

bool KernelEmitter::finds_positions(const Block& block) const {
  const auto begin = kernel_.instructions.begin();
  return std::any_of(begin + block.begin, begin + block.end,
                     [](const Instruction& instruction) { return finds_position(instruction.op); });
}

/// Of a minimum or maximum, the reduction of the block that finds it on its way to its position, if any.
std::optional<ValueId> KernelEmitter::position_with_extremum(const Block& block, ValueId id) const {
  const Instruction& extremum = kernel_.instructions[id];
  const bool least = extremum.op == Opcode::reduce_min;
  if ((!least && extremum.op != Opcode::reduce_max) || extremum.type == bool_) return {};
  for (ValueId other = block.begin; other < block.end; ++other) {
    const Instruction& instruction = kernel_.instructions[other];
    if (instruction.op == (least ? Opcode::reduce_argmin : Opcode::reduce_argmax) &&
        instruction.operands == extremum.operands) {
      return other;
    }
  }
  return {};
}

/// Whether an instruction is a reduction with accumulators of its own.
bool KernelEmitter::is_accumulated(const Block& block, ValueId id) const {
  return is_reduce(kernel_.instructions[id].op) && !position_with_extremum(block, id);
}

/// Where a lane counts its steps. In rows a step is a vector, so that 32 bits are enough; in columns it is a
/// position, and longer ones are left to the interpreter (`CompiledKernel::Traits::most_reduced`).
llvm::Type* KernelEmitter::position_type() const {
  return llvm::Type::getInt32Ty(b_.context());
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

void KernelEmitter::finish_position(const Block& block, ValueId id, llvm::ArrayRef<Value*> bests,
                                    llvm::ArrayRef<Value*> positions) {
  llvm::IRBuilder<>& ir = b_.ir;
  const Instruction& instruction = kernel_.instructions[id];
  const Dtype type = operand_type(instruction);
  const int lanes = schedule_.lanes;
  llvm::Type* wide = VectorBuilder::widen(ir.getInt64Ty(), lanes);
  const auto whole_position = [&](size_t u) {
    Value* steps = ir.CreateZExt(positions[u], wide);
    if (u > 0) steps = ir.CreateAdd(steps, llvm::ConstantInt::get(wide, u));
    Value* position = b_.times(steps, lanes);
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
  for (ValueId other = block.begin; other < block.end; ++other) {
    if (position_with_extremum(block, other) == id) set_scalar(other, best);
  }
}

}  // namespace lazuli
