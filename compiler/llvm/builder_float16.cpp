#include <llvm/IR/Constants.h>
#include <llvm/IR/IntrinsicsX86.h>

#include <lazuli/compiler/llvm/builder.h>

namespace lazuli {

using llvm::Value;

Value* VectorBuilder::to_float16_bits(Value* value) {
  const int lanes = lanes_of(value);
  llvm::Type* i16 = widen(ir.getInt16Ty(), lanes);
  if (target_.avx512 && lanes == 16) {
    // As integers from the start: LLVM has no store past the caches for vectors of float16, which it makes
    // of a conversion and the store of its bits where the target knows that type.
    constexpr int as_set = 4;  // rounding, in the processor's control register
    return ir.CreateIntrinsic(llvm::Intrinsic::x86_avx512_mask_vcvtps2ph_512, {},
                              {value, ir.getInt32(as_set), zero(i16), ir.getInt16(0xffff)});
  }
  if (target_.half) {
    return ir.CreateBitCast(ir.CreateFPTrunc(value, widen(ir.getHalfTy(), lanes)), i16);
  }
  // The steps of half_detail::float_to_float16_bits, all ways taken at once.
  llvm::Type* i32 = widen(ir.getInt32Ty(), lanes);
  const auto c = [&](uint32_t bits32) { return llvm::ConstantInt::get(i32, bits32); };
  Value* bits = ir.CreateBitCast(value, i32);
  Value* sign = ir.CreateAnd(ir.CreateLShr(bits, c(16)), c(0x8000));
  Value* magnitude = ir.CreateAnd(bits, c(0x7fffffff));
  Value* nan = ir.CreateOr(c(0x7e00), ir.CreateAnd(ir.CreateLShr(magnitude, c(13)), c(0x3ff)));
  Value* half = llvm::ConstantFP::get(value->getType(), 0.5);
  Value* small = ir.CreateFAdd(ir.CreateBitCast(magnitude, value->getType()), half);
  small = ir.CreateSub(ir.CreateBitCast(small, i32), c(0x3f000000));
  Value* odd = ir.CreateAnd(ir.CreateLShr(magnitude, c(13)), c(1));
  Value* normal = ir.CreateAdd(ir.CreateAdd(magnitude, c(0xfffu - 0x38000000u)), odd);
  normal = ir.CreateLShr(normal, c(13));
  Value* result = ir.CreateSelect(ir.CreateICmpULT(magnitude, c(0x38800000)), small, normal);
  result = ir.CreateSelect(ir.CreateICmpUGE(magnitude, c(0x47800000)), c(0x7c00), result);
  result = ir.CreateSelect(ir.CreateICmpUGT(magnitude, c(0x7f800000)), nan, result);
  return ir.CreateTrunc(ir.CreateOr(result, sign), i16);
}

Value* VectorBuilder::from_float16_bits(Value* bits) {
  const int lanes = lanes_of(bits);
  llvm::Type* f32 = widen(ir.getFloatTy(), lanes);
  if (target_.half) {
    return ir.CreateFPExt(ir.CreateBitCast(bits, widen(ir.getHalfTy(), lanes)), f32);
  }
  llvm::Type* i32 = widen(ir.getInt32Ty(), lanes);
  const auto c = [&](uint32_t bits32) { return llvm::ConstantInt::get(i32, bits32); };
  Value* wide = ir.CreateZExt(bits, i32);
  Value* sign = ir.CreateShl(ir.CreateAnd(wide, c(0x8000)), c(16));
  Value* magnitude = ir.CreateAnd(wide, c(0x7fff));
  Value* mantissa = ir.CreateShl(magnitude, c(13));
  // Counting in units of 2^-24 is exact for subnormals and zero.
  Value* small = ir.CreateFMul(ir.CreateSIToFP(magnitude, f32), llvm::ConstantFP::get(f32, 0x1p-24));
  Value* result = ir.CreateSelect(ir.CreateICmpULT(magnitude, c(0x400)), ir.CreateBitCast(small, i32),
                                  ir.CreateAdd(mantissa, c(0x38000000)));
  Value* quiet = ir.CreateSelect(ir.CreateICmpUGT(magnitude, c(0x7c00)), c(0x7fc00000), c(0x7f800000));
  result = ir.CreateSelect(ir.CreateICmpUGE(magnitude, c(0x7c00)), ir.CreateOr(mantissa, quiet), result);
  return ir.CreateBitCast(ir.CreateOr(result, sign), f32);
}

}  // namespace lazuli
