#include <lazuli/compiler/templates/llvm_tile.h>

#include <algorithm>

#include <llvm/IR/Constants.h>

namespace lazuli::templates {

using llvm::Value;

TileEmitter::TileEmitter(llvm::Module& module, const Target& target, Dtype operands, int lanes)
    : b_(module, target), operands_(operands), lanes_(lanes), bytes_(operands == float64 ? 8 : 4) {}

void TileEmitter::emit_unrolled_depths(Value* k, Carried& values, size_t sum_count,
                                       llvm::function_ref<void(Carried& values, int i, Value* left)> depth) {
  llvm::BasicBlock* before = b_.ir.GetInsertBlock();
  llvm::BasicBlock* again = b_.block("depths");
  llvm::BasicBlock* done = b_.block("depths_done");
  b_.ir.CreateBr(again);

  b_.ir.SetInsertPoint(again);
  llvm::PHINode* left = b_.ir.CreatePHI(k->getType(), 2, "left");
  left->addIncoming(k, before);
  Carried next = values;
  for (Value*& value : next) {
    llvm::PHINode* phi = b_.ir.CreatePHI(value->getType(), 2);
    phi->addIncoming(value, before);
    value = phi;
  }
  const Carried carried = next;
  llvm::SmallVector<llvm::PHINode*, 32> sums;
  {
    const llvm::IRBuilderBase::InsertPointGuard guard(b_.ir);
    b_.ir.SetInsertPoint(done);
    for (size_t i = 0; i < sum_count; ++i) sums.push_back(b_.ir.CreatePHI(vector(), unrolled_depths));
  }
  const auto end_if = [&](Value* is_last, llvm::BasicBlock* otherwise) {
    for (size_t i = 0; i < sums.size(); ++i) sums[i]->addIncoming(next[i], b_.ir.GetInsertBlock());
    b_.ir.CreateCondBr(is_last, done, otherwise);
  };
  for (int i = 0; i < unrolled_depths; ++i) {
    depth(next, i, left);
    if (i + 1 == unrolled_depths) break;
    llvm::BasicBlock* following = b_.block("depths");
    end_if(b_.ir.CreateICmpEQ(left, b_.i64(i + 1)), following);
    b_.ir.SetInsertPoint(following);
  }
  Value* rest = b_.ir.CreateSub(left, b_.i64(unrolled_depths));
  left->addIncoming(rest, b_.ir.GetInsertBlock());
  for (size_t i = 0; i < carried.size(); ++i) {
    llvm::cast<llvm::PHINode>(carried[i])->addIncoming(next[i], b_.ir.GetInsertBlock());
  }
  end_if(b_.ir.CreateICmpEQ(rest, b_.i64(0)), again);
  b_.ir.SetInsertPoint(done);
  std::copy(sums.begin(), sums.end(), values.begin());
}

void TileEmitter::prefetch_results(int rows, int vectors) {
  for (int row = 0; row < rows; ++row) {
    for (int v = 0; v < vectors; ++v) b_.prefetch(b_.offset_bytes(c_row(row), int64_t{v} * lanes_ * bytes_));
  }
}

Tail TileEmitter::columns_tail(int vector) {
  Value* count = b_.ir.CreateSub(columns_, b_.i64(int64_t{vector} * lanes_));
  count = b_.intrinsic(llvm::Intrinsic::smin, {count, b_.i64(lanes_)});
  count = b_.intrinsic(llvm::Intrinsic::smax, {count, b_.i64(0)});
  if (!b_.target().masks) return b_.tail(count, lanes_);
  Value* bits = b_.ir.CreateSub(b_.ir.CreateShl(b_.i64(1), count), b_.i64(1));
  llvm::Type* mask = VectorBuilder::widen(b_.ir.getInt1Ty(), lanes_);
  bits = b_.ir.CreateTrunc(bits, b_.ir.getIntNTy(static_cast<unsigned>(lanes_)));
  return {count, b_.ir.CreateBitCast(bits, mask)};
}

void TileEmitter::store(int rows, int vectors, const Carried& sums) {
  llvm::BasicBlock* whole = b_.block("whole");
  llvm::BasicBlock* part = b_.block("part");
  llvm::BasicBlock* done = b_.block("done");
  b_.ir.CreateCondBr(b_.ir.CreateICmpEQ(columns_, b_.i64(int64_t{vectors} * lanes_)), whole, part);
  b_.ir.SetInsertPoint(whole);
  store_columns(rows, vectors, sums, false);
  b_.ir.CreateBr(done);
  b_.ir.SetInsertPoint(part);
  store_columns(rows, vectors, sums, true);
  b_.ir.CreateBr(done);
  b_.ir.SetInsertPoint(done);
}

void TileEmitter::store_columns(int rows, int vectors, const Carried& sums, bool masked) {
  llvm::SmallVector<Tail, 4> tails;
  for (int v = 0; v < vectors && masked; ++v) tails.push_back(columns_tail(v));
  llvm::BasicBlock* add = b_.block("add");
  llvm::BasicBlock* set = b_.block("set");
  llvm::BasicBlock* done = b_.block("stored");
  b_.ir.CreateCondBr(accumulate_, add, set);
  for (const bool accumulate : {true, false}) {
    b_.ir.SetInsertPoint(accumulate ? add : set);
    for (int row = 0; row < rows; ++row) {
      Value* address = c_row(row);
      for (int v = 0; v < vectors; ++v) {
        Value* place = b_.offset_bytes(address, int64_t{v} * lanes_ * bytes_);
        const Tail* tail = masked ? &tails[static_cast<size_t>(v)] : nullptr;
        Value* sum = sums[static_cast<size_t>(row) * static_cast<size_t>(vectors) + static_cast<size_t>(v)];
        if (accumulate) sum = b_.ir.CreateFAdd(b_.load_raw(scalar(), place, lanes_, tail), sum);
        b_.store_raw(sum, place, tail);
      }
    }
    b_.ir.CreateBr(done);
  }
  b_.ir.SetInsertPoint(done);
}

}  // namespace lazuli::templates
