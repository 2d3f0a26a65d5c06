#include <lazuli/compiler/llvm/instructions.h>

#include <array>
#include <cmath>
#include <stdexcept>
#include <string>

#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/IntrinsicsX86.h>

#include <lazuli/compiler/kernel_ir/math_tables.h>

namespace lazuli {

using kir::Opcode;
using llvm::Value;

bool is_floating(Dtype t) {
  return t == float32 || t == float64;
}
bool is_signed(Dtype t) {
  return t == int8 || t == int16 || t == int32 || t == int64;
}

namespace {

/// What a row of the table works on. `type` is that of the operands; the result's is `result`.
struct Emission {
  VectorBuilder& b;
  Dtype type;
  Dtype result;
  uint64_t imm;
  llvm::ArrayRef<Value*> operands;

  Value* operator[](size_t n) const { return operands[n]; }
  llvm::IRBuilder<>& ir() const { return b.ir; }
  bool floating() const { return is_floating(type); }
  bool signed_type() const { return is_signed(type); }
  llvm::Type* llvm_type() const { return operands[0]->getType(); }
  Value* integer_constant(uint64_t value) const { return llvm::ConstantInt::get(llvm_type(), value); }
  uint64_t width() const { return llvm_type()->getScalarSizeInBits(); }
};

using Row = Value* (*)(const Emission&);

Value* emit_add(const Emission& e) {
  return e.floating() ? e.ir().CreateFAdd(e[0], e[1]) : e.ir().CreateAdd(e[0], e[1]);
}

Value* emit_sub(const Emission& e) {
  return e.floating() ? e.ir().CreateFSub(e[0], e[1]) : e.ir().CreateSub(e[0], e[1]);
}

Value* emit_mul(const Emission& e) {
  return e.floating() ? e.ir().CreateFMul(e[0], e[1]) : e.ir().CreateMul(e[0], e[1]);
}

/// The quotient of vectors of integers up to 32 bits wide: there is no such instruction, and one lane after
/// the other would be slow. A quotient a / b that is no integer is further from the next one than rounding
/// reaches, so that it truncates to the right one, in a type whose mantissa holds a + b.
Value* emit_quotient_in_floating_point(const Emission& e, Value* divisor) {
  llvm::IRBuilder<>& ir = e.ir();
  const int lanes = VectorBuilder::lanes_of(e[0]);
  const bool narrow = e.width() <= 16;
  llvm::Type* type = VectorBuilder::widen(narrow ? ir.getFloatTy() : ir.getDoubleTy(), lanes);
  const auto convert = [&](Value* value) {
    return e.signed_type() ? ir.CreateSIToFP(value, type) : ir.CreateUIToFP(value, type);
  };
  Value* quotient = ir.CreateFDiv(convert(e[0]), convert(divisor));
  if (e.width() == 32) {
    return e.signed_type() ? ir.CreateFPToSI(quotient, e.llvm_type())
                           : ir.CreateFPToUI(quotient, e.llvm_type());
  }
  return ir.CreateTrunc(ir.CreateFPToSI(quotient, VectorBuilder::widen(ir.getInt32Ty(), lanes)),
                        e.llvm_type());
}

/// Quotient or remainder of integers, with a divisor of 1 put where the instruction would trap: that gives
/// MIN / -1 = MIN and MIN % -1 = 0 by itself; where the divisor is 0 the result is 0.
Value* emit_integer_division(const Emission& e, bool remainder) {
  llvm::IRBuilder<>& ir = e.ir();
  Value* zero = e.b.zero(e.llvm_type());
  Value* one = e.integer_constant(1);
  Value* by_zero = ir.CreateICmpEQ(e[1], zero);
  Value* unsafe = by_zero;
  if (e.signed_type()) {
    Value* lowest = e.integer_constant(uint64_t{1} << (e.width() - 1));
    Value* minus_one = llvm::Constant::getAllOnesValue(e.llvm_type());
    Value* overflow = ir.CreateAnd(ir.CreateICmpEQ(e[0], lowest), ir.CreateICmpEQ(e[1], minus_one));
    unsafe = ir.CreateOr(by_zero, overflow);
  }
  Value* divisor = ir.CreateSelect(unsafe, one, e[1]);
  Value* result = nullptr;
  const bool vector = VectorBuilder::lanes_of(e[0]) > 1;
  if (vector && e.width() <= 32 && !llvm::isa<llvm::Constant>(e[1])) {
    Value* quotient = emit_quotient_in_floating_point(e, divisor);
    result = remainder ? ir.CreateSub(e[0], ir.CreateMul(quotient, divisor)) : quotient;
  } else if (remainder) {
    result = e.signed_type() ? ir.CreateSRem(e[0], divisor) : ir.CreateURem(e[0], divisor);
  } else {
    result = e.signed_type() ? ir.CreateSDiv(e[0], divisor) : ir.CreateUDiv(e[0], divisor);
  }
  return ir.CreateSelect(by_zero, zero, result);
}

Value* emit_div(const Emission& e) {
  return e.floating() ? e.ir().CreateFDiv(e[0], e[1]) : emit_integer_division(e, false);
}

Value* emit_rem(const Emission& e) {
  return e.floating() ? e.ir().CreateFRem(e[0], e[1]) : emit_integer_division(e, true);
}

Value* emit_neg(const Emission& e) {
  return e.floating() ? e.ir().CreateFNeg(e[0]) : e.ir().CreateNeg(e[0]);
}

Value* emit_abs(const Emission& e) {
  if (e.floating()) return e.b.intrinsic(llvm::Intrinsic::fabs, {e[0]});
  if (!e.signed_type()) return e[0];
  return e.ir().CreateIntrinsic(llvm::Intrinsic::abs, {e.llvm_type()}, {e[0], e.ir().getFalse()});
}

/// Whether a value is one constant in all lanes, neither NaN nor zero (of which there are two).
bool is_nonzero_constant(Value* value) {
  auto* constant = llvm::dyn_cast<llvm::Constant>(value);
  if (constant == nullptr) return false;
  if (constant->getType()->isVectorTy()) constant = constant->getSplatValue();
  const auto* number_value = llvm::dyn_cast_or_null<llvm::ConstantFP>(constant);
  return number_value != nullptr && !number_value->isNaN() && !number_value->isZero();
}

/// `value`, but `other` where that is NaN, by an instruction for such repairs; null where there is none.
Value* emit_nan_of(const Emission& e, Value* other, Value* value) {
  if (!e.b.target().avx512 || e.type != float32 || VectorBuilder::lanes_of(value) != 16) return nullptr;
  if (e.b.unrepaired != nullptr) {
    e.b.unrepaired(other);
    return value;
  }
  llvm::IRBuilder<>& ir = e.ir();
  constexpr uint64_t quiet_for_nan = 0x22;  // of the responses by class, those to quiet and signalling NaN
  Value* responses = llvm::ConstantInt::get(VectorBuilder::widen(ir.getInt32Ty(), 16), quiet_for_nan);
  return ir.CreateIntrinsic(llvm::Intrinsic::x86_avx512_mask_fixupimm_ps_512, {},
                            {value, other, responses, ir.getInt32(0), ir.getInt16(0xffff), ir.getInt32(4)});
}

/// Of floating-point operands. "a < b ? a : b" is one x86 instruction, which gives b if either is NaN: that
/// leaves a's NaN to be seen to, unless a is a constant; the order of equal operands matters to zeros only.
Value* emit_float_extremum(const Emission& e, llvm::CmpInst::Predicate first_wins) {
  llvm::IRBuilder<>& ir = e.ir();
  if (is_nonzero_constant(e[1])) return ir.CreateSelect(ir.CreateFCmp(first_wins, e[1], e[0]), e[1], e[0]);
  Value* chosen = ir.CreateSelect(ir.CreateFCmp(first_wins, e[0], e[1]), e[0], e[1]);
  if (is_nonzero_constant(e[0]) || e.b.may_lose_nan) return chosen;
  if (Value* fixed = emit_nan_of(e, e[0], chosen)) return fixed;
  return ir.CreateSelect(ir.CreateFCmpUNO(e[0], e[0]), e[0], chosen);
}

Value* emit_min(const Emission& e) {
  if (e.floating()) return emit_float_extremum(e, llvm::CmpInst::FCMP_OLT);
  if (e.type == bool_) return e.ir().CreateAnd(e[0], e[1]);
  return e.b.intrinsic(e.signed_type() ? llvm::Intrinsic::smin : llvm::Intrinsic::umin, {e[0], e[1]});
}

Value* emit_max(const Emission& e) {
  if (e.floating()) return emit_float_extremum(e, llvm::CmpInst::FCMP_OGT);
  if (e.type == bool_) return e.ir().CreateOr(e[0], e[1]);
  return e.b.intrinsic(e.signed_type() ? llvm::Intrinsic::smax : llvm::Intrinsic::umax, {e[0], e[1]});
}

template <llvm::Intrinsic::ID Id>
Value* emit_unary_intrinsic(const Emission& e) {
  return e.b.intrinsic(Id, {e[0]});
}

Value* emit_fma(const Emission& e) {
  return e.b.fma(e[0], e[1], e[2]);
}
Value* emit_and(const Emission& e) {
  return e.ir().CreateAnd(e[0], e[1]);
}
Value* emit_or(const Emission& e) {
  return e.ir().CreateOr(e[0], e[1]);
}
Value* emit_xor(const Emission& e) {
  return e.ir().CreateXor(e[0], e[1]);
}
Value* emit_not(const Emission& e) {
  return e.ir().CreateNot(e[0]);
}

Value* emit_shift_left(const Emission& e) {
  Value* within = e.ir().CreateICmpULT(e[1], e.integer_constant(e.width()));
  return e.ir().CreateSelect(within, e.ir().CreateShl(e[0], e[1]), e.b.zero(e.llvm_type()));
}

Value* emit_shift_right(const Emission& e) {
  Value* within = e.ir().CreateICmpULT(e[1], e.integer_constant(e.width()));
  if (e.signed_type()) {
    Value* count = e.ir().CreateSelect(within, e[1], e.integer_constant(e.width() - 1));
    return e.ir().CreateAShr(e[0], count);
  }
  return e.ir().CreateSelect(within, e.ir().CreateLShr(e[0], e[1]), e.b.zero(e.llvm_type()));
}

Value* compare(const Emission& e, llvm::CmpInst::Predicate floating_point,
               llvm::CmpInst::Predicate signed_int, llvm::CmpInst::Predicate unsigned_int) {
  if (e.floating()) return e.b.to_bool(e.ir().CreateFCmp(floating_point, e[0], e[1]));
  return e.b.to_bool(e.ir().CreateICmp(e.signed_type() ? signed_int : unsigned_int, e[0], e[1]));
}

using Cmp = llvm::CmpInst;
Value* emit_eq(const Emission& e) {
  return compare(e, Cmp::FCMP_OEQ, Cmp::ICMP_EQ, Cmp::ICMP_EQ);
}
Value* emit_ne(const Emission& e) {
  return compare(e, Cmp::FCMP_UNE, Cmp::ICMP_NE, Cmp::ICMP_NE);
}
Value* emit_lt(const Emission& e) {
  return compare(e, Cmp::FCMP_OLT, Cmp::ICMP_SLT, Cmp::ICMP_ULT);
}
Value* emit_le(const Emission& e) {
  return compare(e, Cmp::FCMP_OLE, Cmp::ICMP_SLE, Cmp::ICMP_ULE);
}

Value* emit_select(const Emission& e) {
  return e.ir().CreateSelect(e.b.from_bool(e[0]), e[1], e[2]);
}
Value* emit_cast_row(const Emission& e) {
  return emit_cast(e.b, e[0], e.type, e.result);
}

Value* emit_bitcast(const Emission& e) {
  if (e.type == e.result) return e[0];
  return e.ir().CreateBitCast(e[0], e.b.compute_type(e.result, VectorBuilder::lanes_of(e[0])));
}

Value* emit_round_to(const Emission& e) {
  if (e.imm == static_cast<uint64_t>(Dtype::Val::bfloat16)) {
    return e.b.from_bfloat16_bits(e.b.to_bfloat16_bits(e[0]));
  }
  return e.b.from_float16_bits(e.b.to_float16_bits(e[0]));
}

/// A table's entries in memory.
llvm::GlobalVariable* table_in_memory(VectorBuilder& b, uint64_t table) {
  llvm::Module& module = *b.function().getParent();
  const std::string name = "table." + std::to_string(table);
  if (llvm::GlobalVariable* found = module.getNamedGlobal(name)) return found;
  const std::array<float, kir::table_size>& entries = kir::entries_of(static_cast<kir::Table>(table));
  llvm::Constant* value = llvm::ConstantDataArray::get(b.context(), entries);
  auto* made = new llvm::GlobalVariable(module, value->getType(), true, llvm::GlobalValue::PrivateLinkage,
                                        value, name);
  made->setAlignment(llvm::Align(64));
  return made;
}

/// Entries of a table by the low bits of indices: by permuting two registers where there is an instruction,
/// else one by one from memory.
Value* emit_look_up(const Emission& e) {
  llvm::IRBuilder<>& ir = e.ir();
  const int lanes = VectorBuilder::lanes_of(e[0]);
  if (e.b.target().avx512 && lanes == 16) {
    const std::array<float, kir::table_size>& entries = kir::entries_of(static_cast<kir::Table>(e.imm));
    const llvm::ArrayRef<float> all(entries);
    llvm::Constant* low = llvm::ConstantDataVector::get(e.b.context(), all.take_front(16));
    llvm::Constant* high = llvm::ConstantDataVector::get(e.b.context(), all.drop_front(16));
    return ir.CreateIntrinsic(llvm::Intrinsic::x86_avx512_vpermi2var_ps_512, {}, {low, e[0], high});
  }
  llvm::GlobalVariable* memory = table_in_memory(e.b, e.imm);
  Value* bytes =
      ir.CreateShl(ir.CreateAnd(e[0], e.integer_constant(kir::table_size - 1)), e.integer_constant(2));
  const auto entry = [&](Value* offset) {
    return ir.CreateLoad(ir.getFloatTy(), e.b.offset_bytes(memory, ir.CreateZExt(offset, ir.getInt64Ty())));
  };
  if (lanes == 1) return entry(bytes);
  Value* result = llvm::PoisonValue::get(VectorBuilder::widen(ir.getFloatTy(), lanes));
  for (int n = 0; n < lanes; ++n) result = e.b.insert(result, entry(e.b.lane(bytes, n)), n);
  return result;
}

Value* emit_scalb(const Emission& e) {
  llvm::IRBuilder<>& ir = e.ir();
  const int lanes = VectorBuilder::lanes_of(e[0]);
  if (e.b.target().avx512 && lanes == 16) {
    return ir.CreateIntrinsic(llvm::Intrinsic::x86_avx512_mask_scalef_ps_512, {},
                              {e[0], e[1], e.b.zero(e.llvm_type()), ir.getInt16(0xffff), ir.getInt32(4)});
  }
  // As kir::scalar::Scalb.
  const auto number = [&](double value) { return llvm::ConstantFP::get(e.llvm_type(), value); };
  Value* exponent = e.b.intrinsic(llvm::Intrinsic::floor, {e[1]});
  exponent = ir.CreateSelect(ir.CreateFCmpOGT(exponent, number(-252)), exponent, number(-252));
  exponent = ir.CreateSelect(ir.CreateFCmpOLT(exponent, number(252)), exponent, number(252));
  llvm::Type* integers = VectorBuilder::as_integers(e.llvm_type());
  exponent = ir.CreateFPToSI(exponent, integers);
  Value* half = ir.CreateAShr(exponent, llvm::ConstantInt::get(integers, 1));
  const auto power = [&](Value* n) {
    Value* biased = ir.CreateAdd(n, llvm::ConstantInt::get(integers, 127));
    return ir.CreateBitCast(ir.CreateShl(biased, llvm::ConstantInt::get(integers, 23)), e.llvm_type());
  };
  return ir.CreateFMul(ir.CreateFMul(e[0], power(half)), power(ir.CreateSub(exponent, half)));
}

std::array<Row, kir::opcode_count> make_table() {
  std::array<Row, kir::opcode_count> table{};
  const auto row = [&](Opcode op, Row emit) { table[static_cast<size_t>(op)] = emit; };
  row(Opcode::add, emit_add);
  row(Opcode::sub, emit_sub);
  row(Opcode::mul, emit_mul);
  row(Opcode::div, emit_div);
  row(Opcode::rem, emit_rem);
  row(Opcode::neg, emit_neg);
  row(Opcode::abs, emit_abs);
  row(Opcode::min, emit_min);
  row(Opcode::max, emit_max);
  row(Opcode::fma, emit_fma);
  row(Opcode::floor, emit_unary_intrinsic<llvm::Intrinsic::floor>);
  row(Opcode::ceil, emit_unary_intrinsic<llvm::Intrinsic::ceil>);
  row(Opcode::trunc, emit_unary_intrinsic<llvm::Intrinsic::trunc>);
  row(Opcode::rint, emit_unary_intrinsic<llvm::Intrinsic::rint>);
  row(Opcode::sqrt, emit_unary_intrinsic<llvm::Intrinsic::sqrt>);
  row(Opcode::bit_and, emit_and);
  row(Opcode::bit_or, emit_or);
  row(Opcode::bit_xor, emit_xor);
  row(Opcode::bit_not, emit_not);
  row(Opcode::shift_left, emit_shift_left);
  row(Opcode::shift_right, emit_shift_right);
  row(Opcode::eq, emit_eq);
  row(Opcode::ne, emit_ne);
  row(Opcode::lt, emit_lt);
  row(Opcode::le, emit_le);
  row(Opcode::select, emit_select);
  row(Opcode::cast, emit_cast_row);
  row(Opcode::bitcast, emit_bitcast);
  row(Opcode::round_to, emit_round_to);
  row(Opcode::table, emit_look_up);
  row(Opcode::scalb, emit_scalb);
  return table;
}

/// float to int32 where an instruction of x86 gives MIN for all that does not fit: turning the bits of what
/// is too large gives MAX. Null for other targets and sizes.
Value* emit_float_to_int32_x86(VectorBuilder& b, Value* value) {
  llvm::IRBuilder<>& ir = b.ir;
  const Target& target = b.target();
  llvm::Intrinsic::ID id = llvm::Intrinsic::not_intrinsic;
  const int lanes = VectorBuilder::lanes_of(value);
  if (!llvm::StringRef(target.triple).starts_with("x86_64")) return nullptr;
  if (lanes == 4) id = llvm::Intrinsic::x86_sse2_cvttps2dq;
  if (lanes == 8 && target.vector_bits >= 256) id = llvm::Intrinsic::x86_avx_cvtt_ps2dq_256;
  if (id == llvm::Intrinsic::not_intrinsic) return nullptr;
  Value* converted = ir.CreateIntrinsic(id, {}, {value});
  llvm::Type* type = converted->getType();
  Value* above = ir.CreateFCmpOGE(value, llvm::ConstantFP::get(value->getType(), 0x1p31));
  Value* ordered = ir.CreateFCmpORD(value, value);
  return ir.CreateAnd(ir.CreateXor(converted, ir.CreateSExt(above, type)), ir.CreateSExt(ordered, type));
}

/// Float to integer: truncated, saturated, NaN to 0. The conversion itself only ever sees what fits.
Value* emit_float_to_integer(VectorBuilder& b, Value* value, Dtype to) {
  llvm::IRBuilder<>& ir = b.ir;
  llvm::Type* type = value->getType();
  const int lanes = VectorBuilder::lanes_of(value);
  if (to == int32 && type->getScalarType()->isFloatTy()) {
    if (Value* converted = emit_float_to_int32_x86(b, value)) return converted;
  }
  llvm::Type* result_type = b.compute_type(to, lanes);
  const unsigned bits = result_type->getScalarSizeInBits();
  const bool is_signed_result = is_signed(to);
  const unsigned value_bits = is_signed_result ? bits - 1 : bits;
  const bool from_single = type->getScalarType()->isFloatTy();
  const double limit = std::ldexp(1.0, static_cast<int>(value_bits));  // the first value too large
  llvm::Constant* lowest = llvm::ConstantFP::get(type, is_signed_result ? -limit : 0.0);
  value = ir.CreateSelect(ir.CreateFCmpORD(value, value), value, b.zero(type));
  value = ir.CreateSelect(ir.CreateFCmpOGT(value, lowest), value, lowest);
  if (value_bits < (from_single ? 24u : 53u)) {  // the largest value is a floating-point number
    llvm::Constant* highest = llvm::ConstantFP::get(type, limit - 1);
    value = ir.CreateSelect(ir.CreateFCmpOLT(value, highest), value, highest);
    if (bits < 32) {
      return ir.CreateTrunc(ir.CreateFPToSI(value, VectorBuilder::widen(ir.getInt32Ty(), lanes)),
                            result_type);
    }
    return is_signed_result ? ir.CreateFPToSI(value, result_type) : ir.CreateFPToUI(value, result_type);
  }
  Value* above = ir.CreateFCmpOGE(value, llvm::ConstantFP::get(type, limit));
  value = ir.CreateSelect(above, b.zero(type), value);
  Value* converted =
      is_signed_result ? ir.CreateFPToSI(value, result_type) : ir.CreateFPToUI(value, result_type);
  const llvm::APInt highest =
      is_signed_result ? llvm::APInt::getSignedMaxValue(bits) : llvm::APInt::getMaxValue(bits);
  return ir.CreateSelect(above, llvm::ConstantInt::get(result_type, highest), converted);
}

}  // namespace

Value* emit_cast(VectorBuilder& b, Value* value, Dtype from, Dtype to) {
  if (from == to) return value;
  llvm::IRBuilder<>& ir = b.ir;
  llvm::Type* type = b.compute_type(to, VectorBuilder::lanes_of(value));
  if (to == bool_) {
    llvm::Constant* zero = b.zero(value->getType());
    return b.to_bool(is_floating(from) ? ir.CreateFCmpUNE(value, zero) : ir.CreateICmpNE(value, zero));
  }
  if (from == bool_) value = b.from_bool(value);
  if (is_floating(from)) {
    return is_floating(to) ? ir.CreateFPCast(value, type) : emit_float_to_integer(b, value, to);
  }
  if (is_floating(to)) {
    return is_signed(from) ? ir.CreateSIToFP(value, type) : ir.CreateUIToFP(value, type);
  }
  return ir.CreateIntCast(value, type, is_signed(from));
}

Value* emit_instruction(VectorBuilder& b, const kir::Instruction& instruction, Dtype operand_type,
                        llvm::ArrayRef<Value*> operands) {
  static const std::array<Row, kir::opcode_count> table = make_table();
  const Row row = table[static_cast<size_t>(instruction.op)];
  if (row == nullptr) {
    throw std::logic_error("code generation: opcode " + std::to_string(static_cast<int>(instruction.op)) +
                           " is no plain arithmetic");
  }
  return row({b, operand_type, instruction.type, instruction.imm, operands});
}

Value* emit_binary(VectorBuilder& b, Opcode op, Dtype type, Value* left, Value* right) {
  return emit_instruction(b, kir::Instruction{op, type, 0, {}}, type, {left, right});
}

}  // namespace lazuli
