#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/llvm/emitter.h>
#include <lazuli/compiler/llvm/instructions.h>

namespace lazuli {

using kir::Block;
using kir::Instruction;
using kir::Opcode;
using kir::ValueId;
using llvm::Value;

// A variance asks for squares of distances from a mean, which is known when the row has been gone over once.
// Instead of going over it twice, that one pass takes distances d from elsewhere, c, and adds up d, d * d and
// (of other sums) d * u and u. From the mean m, with s = c - m, each distance is d + s, so that
//
//   sum (d + s)^2 = sum d^2 + s (2 sum d + n s),   sum (d + s) u = sum d u + s sum u.
//
// Each lane has a c of its own, the first of its elements: as far from the mean as others are, so that little
// is lost where the one sum is taken from the other. Where much would be (the squares shrink to less than a
// quarter) or anything is infinite or no number, the row is gone over again as the program says.

namespace {

constexpr int shrink = 4;

/// Vectors of a row below which it is gone over twice: its elements are in registers and caches.
constexpr int least_vectors = 8;

}  // namespace

void KernelEmitter::start_distances(Carried& accumulators, int unroll) {
  const Schedule::Distances& distances = *schedule_.distances;
  const Block& block = kernel_.blocks[distances.block];
  const int lanes = schedule_.lanes;
  llvm::Type* type = b_.compute_type(kernel_.instructions[distances.value].type, lanes);
  if (distances.reads_what_is_made) {
    origin_ = b_.zero(type);
  } else {
    std::vector<bool> needed(kernel_.instructions.size(), false);
    needed[distances.value] = true;
    for (ValueId id = distances.value + 1; id-- > block.begin;) {
      if (!needed[id]) continue;
      for (const ValueId operand : kernel_.instructions[id].operands) needed[operand] = true;
    }
    const int dim = schedule_.vector_dim;
    Value* full = b_.i64(lanes);
    const Tail tail = b_.tail(b_.intrinsic(llvm::Intrinsic::smin, {extents_[dim], full}), lanes);
    width_ = {lanes, 1, &tail};
    at_position(dim, b_.i64(0), [&] {
      for (ValueId id = block.begin; id <= distances.value; ++id) {
        if (needed[id] && schedule_.level[id] > 1) emit_one(id);
      }
      return Carried();
    });
    origin_ = part(distances.value, 0);
    width_ = {};
  }
  accumulators.append(2 * distances.sums.size() * static_cast<size_t>(unroll), b_.zero(type));
}

void KernelEmitter::accumulate_distances(Carried& carried, size_t at, int total_unroll) {
  llvm::IRBuilder<>& ir = b_.ir;
  const Schedule::Distances& distances = *schedule_.distances;
  Emitted origin{{}, true};
  origin.parts.assign(static_cast<size_t>(width_.unroll), origin_);
  std::swap(values_[distances.centre], origin);
  emit_level(kernel_.blocks[distances.block], schedule_.vector_level);
  std::swap(values_[distances.centre], origin);
  const auto unroll = static_cast<size_t>(total_unroll);
  const auto add = [&](Value*& sum, Value* more) {
    sum = width_.tail == nullptr ? more : ir.CreateSelect(width_.tail->mask, more, sum);
  };
  for (const ValueId sum : distances.sums) {
    const Instruction& product = kernel_.instructions[kernel_.instructions[sum].operands[0]];
    const bool first = product.operands[0] == distances.distance;
    const ValueId other = product.operands[first ? 1 : 0];
    for (size_t u = 0; u < static_cast<size_t>(width_.unroll); ++u) {
      const int which = static_cast<int>(u);
      Value* distance = part(distances.distance, which);
      Value* factor = part(other, which);
      Value*& so_far = carried[at + u];
      Value*& growth = carried[at + unroll + u];
      add(so_far, target_.fma ? b_.fma(distance, factor, so_far)
                              : ir.CreateFAdd(so_far, ir.CreateFMul(distance, factor)));
      add(growth, ir.CreateFAdd(growth, factor));
    }
    at += 2 * unroll;
  }
}

void KernelEmitter::keep_distances(const Carried& carried, size_t at, int unroll) {
  so_far_.clear();
  growth_.clear();
  for (size_t n = 0; n < schedule_.distances->sums.size(); ++n) {
    for (std::vector<Value*>* kept : {&so_far_, &growth_}) {
      Value* sum = carried[at];
      for (int u = 1; u < unroll; ++u) sum = b_.ir.CreateFAdd(sum, carried[at + static_cast<size_t>(u)]);
      kept->push_back(sum);
      at += static_cast<size_t>(unroll);
    }
  }
}

/// How many elements of a row each lane has had.
Value* KernelEmitter::elements_of_lanes() {
  llvm::IRBuilder<>& ir = b_.ir;
  const int lanes = schedule_.lanes;
  const int vectors = schedule_.by_parity ? 2 : 1;  // that are taken together
  Value* size = extents_[schedule_.vector_dim];
  const int64_t step = int64_t{lanes} * vectors;
  Value* whole = b_.times(ir.CreateUDiv(size, b_.i64(step)), vectors);
  Value* left = ir.CreateURem(size, b_.i64(step));
  llvm::Type* wide = VectorBuilder::widen(ir.getInt64Ty(), lanes);
  Value* count = b_.splat(whole, lanes);
  for (int v = 0; v < vectors; ++v) {
    Value* rest = ir.CreateSub(left, b_.i64(int64_t{v} * lanes));
    Value* has = ir.CreateICmpSGT(b_.splat(rest, lanes), b_.lane_numbers(ir.getInt64Ty(), lanes));
    count = ir.CreateAdd(count, ir.CreateZExt(has, wide));
  }
  return ir.CreateSIToFP(count,
                         b_.compute_type(kernel_.instructions[schedule_.distances->distance].type, lanes));
}

void KernelEmitter::finish_distances(llvm::function_ref<void()> go_over_again) {
  llvm::IRBuilder<>& ir = b_.ir;
  const Schedule::Distances& distances = *schedule_.distances;
  const int lanes = schedule_.lanes;
  const auto sum_of_lanes = [&](Value* vector) {
    return b_.reduce_lanes(vector, [&](Value* a, Value* b) { return ir.CreateFAdd(a, b); });
  };
  Value* moved = ir.CreateFSub(origin_, b_.splat(scalar(distances.centre), lanes));
  std::vector<Value*> right;
  for (size_t n = 0; n < distances.sums.size(); ++n) {
    Value* growth = growth_[n];
    if (n == distances.square) {
      growth = ir.CreateFAdd(ir.CreateFAdd(growth, growth), ir.CreateFMul(elements_of_lanes(), moved));
    }
    right.push_back(sum_of_lanes(ir.CreateFAdd(so_far_[n], ir.CreateFMul(moved, growth))));
  }
  Value* before = sum_of_lanes(so_far_[distances.square]);
  Value* least = ir.CreateFMul(llvm::ConstantFP::get(before->getType(), shrink), right[distances.square]);
  Value* is_long = ir.CreateICmpSGE(extents_[schedule_.vector_dim], b_.i64(int64_t{least_vectors} * lanes));
  Value* good = ir.CreateAnd(is_long, ir.CreateFCmpOLE(before, least));

  llvm::BasicBlock* quick = ir.GetInsertBlock();
  llvm::BasicBlock* again = b_.block("again");
  llvm::BasicBlock* done = llvm::BasicBlock::Create(b_.context(), "right");
  ir.CreateCondBr(good, done, again);
  ir.SetInsertPoint(again);
  go_over_again();
  llvm::BasicBlock* slow = ir.GetInsertBlock();
  ir.CreateBr(done);
  done->insertInto(&b_.function());
  ir.SetInsertPoint(done);
  for (size_t n = 0; n < distances.sums.size(); ++n) {
    llvm::PHINode* sum = ir.CreatePHI(right[n]->getType(), 2);
    sum->addIncoming(right[n], quick);
    sum->addIncoming(scalar(distances.sums[n]), slow);
    set_scalar(distances.sums[n], sum);
  }
}

}  // namespace lazuli
