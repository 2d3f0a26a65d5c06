#include <llvm/IR/Constants.h>
#include <llvm/IR/IntrinsicsX86.h>

#include <lazuli/compiler/llvm/builder.h>

namespace lazuli {

using llvm::Value;

Value* VectorBuilder::to_upper_bfloat16_bits(Value* value) {
  const int lanes = lanes_of(value);
  llvm::Type* i32 = widen(ir.getInt32Ty(), lanes);
  const auto c = [&](uint32_t bits32) { return llvm::ConstantInt::get(i32, bits32); };
  Value* bits = ir.CreateBitCast(value, i32);
  Value* odd = ir.CreateAnd(ir.CreateLShr(bits, c(16)), c(1));
  Value* rounded = ir.CreateAdd(ir.CreateAdd(bits, c(0x7fff)), odd);
  Value* quiet = ir.CreateOr(bits, c(0x400000));
  return ir.CreateSelect(ir.CreateFCmpUNO(value, value), quiet, rounded);
}

Value* VectorBuilder::to_bfloat16_bits(Value* value) {
  Value* upper = to_upper_bfloat16_bits(value);
  Value* shifted = ir.CreateLShr(upper, llvm::ConstantInt::get(upper->getType(), 16));
  return ir.CreateTrunc(shifted, widen(ir.getInt16Ty(), lanes_of(value)));
}

Value* VectorBuilder::from_bfloat16_bits(Value* bits) {
  const int lanes = lanes_of(bits);
  Value* wide = ir.CreateZExt(bits, widen(ir.getInt32Ty(), lanes));
  wide = ir.CreateShl(wide, llvm::ConstantInt::get(wide->getType(), 16));
  return ir.CreateBitCast(wide, widen(ir.getFloatTy(), lanes));
}

std::array<Value*, 2> VectorBuilder::load_bfloat16_by_parity(Value* pointer, int lanes) {
  llvm::Type* words = widen(ir.getInt32Ty(), lanes);
  llvm::Type* floats = widen(ir.getFloatTy(), lanes);
  Value* pairs = ir.CreateAlignedLoad(words, pointer, llvm::Align(2));
  Value* even = ir.CreateShl(pairs, llvm::ConstantInt::get(words, 16));
  Value* odd = ir.CreateAnd(pairs, llvm::ConstantInt::get(words, 0xffff0000));
  return {ir.CreateBitCast(even, floats), ir.CreateBitCast(odd, floats)};
}

Value* VectorBuilder::to_bfloat16_by_parity(Value* even, Value* odd) {
  Value* low = to_upper_bfloat16_bits(even);
  Value* high = to_upper_bfloat16_bits(odd);
  low = ir.CreateLShr(low, llvm::ConstantInt::get(low->getType(), 16));
  high = ir.CreateAnd(high, llvm::ConstantInt::get(high->getType(), 0xffff0000));
  return ir.CreateBitCast(ir.CreateOr(low, high), widen(ir.getInt16Ty(), 2 * lanes_of(even)));
}

bool VectorBuilder::has_bfloat16_conversion(int lanes) const {
  return target_.bf16 && lanes == 16;
}

Value* VectorBuilder::convert_to_bfloat16(Value* a, Value* b, bool in_turns) {
  const int lanes = lanes_of(a);
  // The other way round than they go: LLVM stores a shuffled result past the caches where it is to, but not
  // the instruction's own, whose type it has no such store for.
  Value* packed = ir.CreateIntrinsic(llvm::Intrinsic::x86_avx512bf16_cvtne2ps2bf16_512, {}, {a, b});
  packed = ir.CreateBitCast(packed, widen(ir.getInt16Ty(), 2 * lanes));
  llvm::SmallVector<int, 64> order;
  for (int i = 0; i < 2 * lanes; ++i) {
    order.push_back(in_turns ? (i % 2 == 0 ? lanes : 0) + i / 2 : (lanes + i) % (2 * lanes));
  }
  return ir.CreateShuffleVector(packed, order);
}

Value* VectorBuilder::is_subnormal(Value* value) {
  constexpr uint32_t subnormal = 0x20;  // of the instruction's classes
  return ir.CreateIntrinsic(llvm::Intrinsic::x86_avx512_fpclass_ps_512, {}, {value, ir.getInt32(subnormal)});
}

}  // namespace lazuli
