#include <lazuli/compiler/llvm/builder.h>

#include <algorithm>
#include <numeric>
#include <string>

#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>
#include <llvm/Support/Alignment.h>

namespace lazuli {

using llvm::Value;

void target_attributes(llvm::Function& function, const Target& target) {
  const std::string bits = std::to_string(target.vector_bits);
  function.addFnAttr("target-cpu", target.cpu);
  if (!target.features.empty()) function.addFnAttr("target-features", target.features);
  // CPUs on which LLVM would rather use 256 bits still run 512-bit vectors where these say so.
  function.addFnAttr("prefer-vector-width", bits);
  function.addFnAttr("min-legal-vector-width", bits);
  function.addFnAttr(llvm::Attribute::NoUnwind);
}

llvm::Function* create_kernel_function(llvm::Module& module, const Target& target, const char* name) {
  llvm::LLVMContext& context = module.getContext();
  llvm::Type* pointer = llvm::PointerType::getUnqual(context);
  llvm::Type* i64 = llvm::Type::getInt64Ty(context);
  auto* type =
      llvm::FunctionType::get(llvm::Type::getVoidTy(context), {pointer, pointer, i64, i64, i64, i64}, false);
  auto* function = llvm::Function::Create(type, llvm::GlobalValue::ExternalLinkage, name, module);
  static constexpr const char* names[] = {"arguments", "scratch",     "outer_begin",
                                          "outer_end", "inner_begin", "inner_end"};
  for (unsigned i = 0; i < 6; ++i) function->getArg(i)->setName(names[i]);
  target_attributes(*function, target);
  llvm::BasicBlock::Create(context, "entry", function);
  return function;
}

VectorBuilder::VectorBuilder(llvm::Function& function, const Target& target)
    : ir(function.getContext()), function_(function), target_(target) {
  if (!function.empty()) ir.SetInsertPoint(&function.back());
}

llvm::Type* VectorBuilder::widen(llvm::Type* scalar, int lanes) {
  return lanes == 1 ? scalar : llvm::FixedVectorType::get(scalar, static_cast<unsigned>(lanes));
}

int VectorBuilder::lanes_of(const Value* value) {
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(value->getType());
  return vector == nullptr ? 1 : static_cast<int>(vector->getNumElements());
}

llvm::Type* VectorBuilder::as_integers(llvm::Type* type) {
  llvm::Type* int_type = llvm::Type::getIntNTy(type->getContext(), type->getScalarSizeInBits());
  return type->isVectorTy() ? llvm::VectorType::get(int_type, llvm::cast<llvm::VectorType>(type)) : int_type;
}

/// How wide a lane of a vector of bool is.
unsigned VectorBuilder::mask_bits(int lanes) const {
  if (target_.masks) return 1;
  return std::clamp(static_cast<unsigned>(target_.vector_bits / lanes), 8U, 64U);
}

Value* VectorBuilder::to_bool(Value* i1) {
  return ir.CreateSExt(i1, compute_type(bool_, lanes_of(i1)));  // nothing where bool is i1
}

Value* VectorBuilder::from_bool(Value* value) {
  if (value->getType()->getScalarSizeInBits() == 1) return value;
  return ir.CreateICmpSLT(value, zero(value->getType()));
}

llvm::Type* VectorBuilder::compute_type(Dtype t, int lanes) const {
  llvm::LLVMContext& c = context();
  switch (t.val()) {
    case Dtype::Val::bool_:
      return widen(llvm::Type::getIntNTy(c, lanes == 1 ? 1 : mask_bits(lanes)), lanes);
    case Dtype::Val::float16:
    case Dtype::Val::bfloat16:
    case Dtype::Val::complex64:
    case Dtype::Val::float32:
      return widen(llvm::Type::getFloatTy(c), lanes);
    case Dtype::Val::float64:
      return widen(llvm::Type::getDoubleTy(c), lanes);
    default:
      return widen(llvm::Type::getIntNTy(c, t.size() * 8u), lanes);
  }
}

llvm::Type* VectorBuilder::memory_type(Dtype t, int lanes) const {
  llvm::LLVMContext& c = context();
  if (t == float32 || t == complex64) return widen(llvm::Type::getFloatTy(c), lanes);
  if (t == float64) return widen(llvm::Type::getDoubleTy(c), lanes);
  return widen(llvm::Type::getIntNTy(c, t.size() * 8u), lanes);
}

llvm::Constant* VectorBuilder::constant_bits(Dtype t, uint64_t bits, int lanes) const {
  llvm::Type* type = compute_type(t);
  const unsigned width = type->getScalarSizeInBits();
  const llvm::APInt value(64, t == bool_ ? static_cast<uint64_t>((bits & 0xff) != 0) : bits);
  llvm::Constant* scalar = nullptr;
  if (type->isFloatingPointTy()) {
    scalar = llvm::ConstantFP::get(context(), llvm::APFloat(type->getFltSemantics(), value.trunc(width)));
  } else {
    scalar = llvm::ConstantInt::get(context(), value.zextOrTrunc(width));
  }
  if (lanes == 1) return scalar;
  if (t == bool_ && scalar->isOneValue()) return llvm::Constant::getAllOnesValue(compute_type(t, lanes));
  if (t == bool_) return zero(compute_type(t, lanes));
  return llvm::ConstantVector::getSplat(llvm::ElementCount::getFixed(static_cast<unsigned>(lanes)), scalar);
}

llvm::Constant* VectorBuilder::lane_numbers(llvm::Type* int_type, int lanes) const {
  llvm::SmallVector<llvm::Constant*, 64> numbers;
  for (int i = 0; i < lanes; ++i)
    numbers.push_back(llvm::ConstantInt::get(int_type, static_cast<uint64_t>(i)));
  return lanes == 1 ? numbers[0] : llvm::ConstantVector::get(numbers);
}

Value* VectorBuilder::splat(Value* scalar, int lanes) {
  if (lanes == 1) return scalar;
  const auto count = static_cast<unsigned>(lanes);
  const bool is_bool = scalar->getType()->isIntegerTy(1);
  llvm::Type* element = is_bool ? compute_type(bool_, lanes)->getScalarType() : scalar->getType();
  auto* definition = llvm::dyn_cast<llvm::Instruction>(scalar);
  if (definition == nullptr) {
    if (is_bool) scalar = ir.CreateSExt(scalar, element);
    if (auto* constant = llvm::dyn_cast<llvm::Constant>(scalar)) {
      return llvm::ConstantVector::getSplat(llvm::ElementCount::getFixed(count), constant);
    }
    return ir.CreateVectorSplat(count, scalar);
  }
  const llvm::IRBuilderBase::InsertPointGuard guard(ir);
  llvm::BasicBlock* home = definition->getParent();
  const auto place = llvm::isa<llvm::PHINode>(definition) ? home->getFirstInsertionPt()
                                                          : std::next(definition->getIterator());
  ir.SetInsertPoint(home, place);
  if (is_bool) scalar = ir.CreateSExt(scalar, element);
  return ir.CreateVectorSplat(count, scalar);
}

Value* VectorBuilder::lane(Value* vector, int which) {
  return vector->getType()->isVectorTy() ? ir.CreateExtractElement(vector, static_cast<uint64_t>(which))
                                         : vector;
}

Value* VectorBuilder::insert(Value* vector, Value* scalar, int which) {
  return vector->getType()->isVectorTy()
             ? ir.CreateInsertElement(vector, scalar, static_cast<uint64_t>(which))
             : scalar;
}

Value* VectorBuilder::slice(Value* vector, int first, int count) {
  if (count == 1) return lane(vector, first);
  llvm::SmallVector<int, 64> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), first);
  return ir.CreateShuffleVector(vector, order);
}

Value* VectorBuilder::every_other(Value* vector, int first) {
  const int count = lanes_of(vector) / 2;
  if (count == 1) return lane(vector, first);
  llvm::SmallVector<int, 64> order;
  for (int i = 0; i < count; ++i) order.push_back(2 * i + first);
  return ir.CreateShuffleVector(vector, order);
}

Value* VectorBuilder::interleave(Value* a, Value* b) {
  const int count = lanes_of(a);
  if (count == 1) {
    Value* pair = llvm::PoisonValue::get(widen(a->getType(), 2));
    return insert(insert(pair, a, 0), b, 1);
  }
  llvm::SmallVector<int, 64> order;
  for (int i = 0; i < count; ++i) {
    order.push_back(i);
    order.push_back(count + i);
  }
  return ir.CreateShuffleVector(a, b, order);
}

Value* VectorBuilder::reduce_lanes(Value* vector, llvm::function_ref<Value*(Value*, Value*)> combine) {
  for (int count = lanes_of(vector); count > 1; count /= 2) {
    Value* low = slice(vector, 0, count / 2);
    Value* high = slice(vector, count / 2, count / 2);
    vector = combine(low, high);
  }
  return vector;
}

Tail VectorBuilder::tail(Value* count, int lanes) {
  if (lanes == 1) return {count, ir.getTrue()};
  // Lane numbers as wide as the lanes are likely to be, so that the mask needs no conversion.
  const unsigned width = std::clamp(static_cast<unsigned>(target_.vector_bits / lanes), 8U, 64U);
  llvm::Type* int_type = ir.getIntNTy(width);
  Value* narrow = ir.CreateZExtOrTrunc(count, int_type);
  return {count, ir.CreateICmpSGT(splat(narrow, lanes), lane_numbers(int_type, lanes), "mask")};
}

Value* VectorBuilder::offset_bytes(Value* pointer, Value* bytes) {
  return ir.CreateGEP(ir.getInt8Ty(), pointer, bytes);
}

Value* VectorBuilder::offset_bytes(Value* pointer, int64_t bytes) {
  return bytes == 0 ? pointer : ir.CreateGEP(ir.getInt8Ty(), pointer, i64(bytes));
}

Value* VectorBuilder::times(Value* value, int64_t factor) {
  if (factor == 1) return value;
  return ir.CreateMul(value, llvm::ConstantInt::get(value->getType(), static_cast<uint64_t>(factor)));
}

bool VectorBuilder::can_mask(llvm::Type* element) const {
  return target_.masks || (target_.masked_words && element->getScalarSizeInBits() >= 32);
}

Value* VectorBuilder::load_raw(llvm::Type* element, Value* pointer, int lanes, const Tail* tail) {
  llvm::Type* type = widen(element, lanes);
  const llvm::Align alignment(element->getScalarSizeInBits() / 8);
  if (tail == nullptr || lanes == 1) return ir.CreateAlignedLoad(type, pointer, alignment);
  if (can_mask(element)) return ir.CreateMaskedLoad(type, pointer, alignment, tail->mask, zero(type));
  // No instruction masks such lanes: go by way of the stack.
  const int64_t bytes = int64_t{lanes} * static_cast<int64_t>(alignment.value());
  const llvm::Align buffer_alignment(static_cast<uint64_t>(bytes));
  Value* buffer = stack(type, 1, static_cast<int>(bytes));
  ir.CreateAlignedStore(zero(type), buffer, buffer_alignment);
  ir.CreateMemCpy(buffer, buffer_alignment, pointer, alignment,
                  times(tail->count, static_cast<int64_t>(alignment.value())));
  return ir.CreateAlignedLoad(type, buffer, buffer_alignment);
}

void VectorBuilder::store_raw(Value* value, Value* pointer, const Tail* tail, bool streaming) {
  llvm::Type* element = value->getType()->getScalarType();
  const int lanes = lanes_of(value);
  const llvm::Align alignment(element->getScalarSizeInBits() / 8);
  if (tail == nullptr || lanes == 1) {
    const uint64_t bytes = alignment.value() * static_cast<uint64_t>(lanes);
    if (streaming && bytes >= 16) {
      llvm::StoreInst* store = ir.CreateAlignedStore(value, pointer, llvm::Align(bytes));
      llvm::Metadata* one = llvm::ConstantAsMetadata::get(ir.getInt32(1));
      store->setMetadata(llvm::LLVMContext::MD_nontemporal, llvm::MDNode::get(context(), one));
    } else {
      ir.CreateAlignedStore(value, pointer, alignment);
    }
    return;
  }
  if (can_mask(element)) {
    ir.CreateMaskedStore(value, pointer, alignment, tail->mask);
    return;
  }
  const int64_t bytes = int64_t{lanes} * static_cast<int64_t>(alignment.value());
  const llvm::Align buffer_alignment(static_cast<uint64_t>(bytes));
  Value* buffer = stack(value->getType(), 1, static_cast<int>(bytes));
  ir.CreateAlignedStore(value, buffer, buffer_alignment);
  ir.CreateMemCpy(pointer, alignment, buffer, buffer_alignment,
                  times(tail->count, static_cast<int64_t>(alignment.value())));
}

Value* VectorBuilder::load(Dtype t, Value* pointer, int lanes, const Tail* tail) {
  return from_memory(t, load_raw(memory_type(t), pointer, lanes, tail));
}

void VectorBuilder::store(Dtype t, Value* value, Value* pointer, const Tail* tail, bool streaming) {
  store_raw(to_memory(t, value), pointer, tail, streaming);
}

Value* VectorBuilder::from_memory(Dtype t, Value* value) {
  if (t == bool_) {
    // Widened first, so that the comparison gives lanes of the right width.
    const int lanes = lanes_of(value);
    if (lanes > 1 && mask_bits(lanes) > 8) value = ir.CreateZExt(value, compute_type(bool_, lanes));
    return to_bool(ir.CreateICmpNE(value, zero(value->getType())));
  }
  if (t == float16) return from_float16_bits(value);
  if (t == bfloat16) return from_bfloat16_bits(value);
  return value;
}

Value* VectorBuilder::to_memory(Dtype t, Value* value) {
  if (t == bool_) {
    llvm::Type* bytes = memory_type(t, lanes_of(value));
    if (value->getType()->getScalarSizeInBits() == 1) return ir.CreateZExt(value, bytes);
    return ir.CreateAnd(ir.CreateTrunc(value, bytes), llvm::ConstantInt::get(bytes, 1));
  }
  if (t == float16) return to_float16_bits(value);
  if (t == bfloat16) return to_bfloat16_bits(value);
  return value;
}

Value* VectorBuilder::concatenate(Value* a, Value* b) {
  llvm::SmallVector<int, 64> order(static_cast<size_t>(2 * lanes_of(a)));
  std::iota(order.begin(), order.end(), 0);
  return ir.CreateShuffleVector(a, b, order);
}

Value* VectorBuilder::to_memory_joined(Dtype t, llvm::ArrayRef<Value*> values) {
  if (values.size() == 1) return to_memory(t, values[0]);
  if (values.size() > 2 || t != bfloat16) {
    const size_t half = values.size() / 2;
    return concatenate(to_memory_joined(t, values.take_front(half)),
                       to_memory_joined(t, values.drop_front(half)));
  }
  // The upper halves of both in one shuffle, instead of shifting and narrowing each.
  const int lanes = lanes_of(values[0]);
  llvm::Type* halves = widen(ir.getInt16Ty(), 2 * lanes);
  llvm::SmallVector<int, 64> order;
  for (int i = 0; i < 2 * lanes; ++i) order.push_back(2 * i + 1);
  return ir.CreateShuffleVector(ir.CreateBitCast(to_upper_bfloat16_bits(values[0]), halves),
                                ir.CreateBitCast(to_upper_bfloat16_bits(values[1]), halves), order);
}

void VectorBuilder::prefetch(Value* pointer, int level) {
  ir.CreateIntrinsic(llvm::Intrinsic::prefetch, {ir.getPtrTy()},
                     {pointer, ir.getInt32(0), ir.getInt32(static_cast<uint32_t>(level)), ir.getInt32(1)});
}

Value* VectorBuilder::intrinsic(llvm::Intrinsic::ID id, llvm::ArrayRef<Value*> operands) {
  return ir.CreateIntrinsic(id, {operands[0]->getType()}, operands);
}

Value* VectorBuilder::fma(Value* a, Value* b, Value* c) {
  return intrinsic(llvm::Intrinsic::fma, {a, b, c});
}

llvm::BasicBlock* VectorBuilder::block(const char* name) {
  return llvm::BasicBlock::Create(context(), name, &function_);
}

VectorBuilder::Carried VectorBuilder::loop(Value* begin, Value* end, int64_t step, const Carried& initial,
                                           llvm::function_ref<Carried(Value*, const Carried&)> body,
                                           const char* name) {
  llvm::BasicBlock* before = ir.GetInsertBlock();
  llvm::BasicBlock* inside = block(name);
  llvm::BasicBlock* after = llvm::BasicBlock::Create(context(), "after");
  ir.CreateCondBr(ir.CreateICmpSLT(begin, end), inside, after);

  ir.SetInsertPoint(inside);
  llvm::PHINode* i = ir.CreatePHI(begin->getType(), 2, "i");
  i->addIncoming(begin, before);
  Carried carried;
  for (Value* value : initial) {
    llvm::PHINode* phi = ir.CreatePHI(value->getType(), 2);
    phi->addIncoming(value, before);
    carried.push_back(phi);
  }
  const Carried next = body(i, carried);
  Value* following = ir.CreateNSWAdd(i, llvm::ConstantInt::get(i->getType(), static_cast<uint64_t>(step)));
  llvm::BasicBlock* latch = ir.GetInsertBlock();
  i->addIncoming(following, latch);
  for (size_t n = 0; n < next.size(); ++n) {
    llvm::cast<llvm::PHINode>(carried[n])->addIncoming(next[n], latch);
  }
  ir.CreateCondBr(ir.CreateICmpSLT(following, end), inside, after);

  after->insertInto(&function_);
  ir.SetInsertPoint(after);
  Carried results;
  for (size_t n = 0; n < next.size(); ++n) {
    llvm::PHINode* phi = ir.CreatePHI(initial[n]->getType(), 2);
    phi->addIncoming(initial[n], before);
    phi->addIncoming(next[n], latch);
    results.push_back(phi);
  }
  return results;
}

void VectorBuilder::loop(Value* begin, Value* end, int64_t step, llvm::function_ref<void(Value*)> body,
                         const char* name) {
  loop(
      begin, end, step, {},
      [&](Value* i, const Carried&) {
        body(i);
        return Carried();
      },
      name);
}

void VectorBuilder::if_then(Value* condition, llvm::function_ref<void()> then, const char* name) {
  llvm::BasicBlock* inside = block(name);
  llvm::BasicBlock* after = llvm::BasicBlock::Create(context(), "after");
  ir.CreateCondBr(condition, inside, after);
  ir.SetInsertPoint(inside);
  then();
  ir.CreateBr(after);
  after->insertInto(&function_);
  ir.SetInsertPoint(after);
}

llvm::AllocaInst* VectorBuilder::stack(llvm::Type* type, int64_t count, int alignment) {
  const llvm::IRBuilderBase::InsertPointGuard guard(ir);
  llvm::BasicBlock& entry = function_.getEntryBlock();
  ir.SetInsertPoint(&entry, entry.begin());
  llvm::AllocaInst* memory = ir.CreateAlloca(type, i64(count));
  memory->setAlignment(llvm::Align(static_cast<uint64_t>(alignment)));
  return memory;
}

}  // namespace lazuli
