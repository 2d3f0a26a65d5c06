#include <algorithm>

#include <utility>

#include <llvm/IR/Constants.h>

#include <lazuli/compiler/llvm/emitter.h>

namespace lazuli {

using kir::Access;
using kir::Instruction;
using kir::Opcode;
using kir::StrideClass;
using kir::ValueId;
using llvm::Value;

KernelEmitter::Place KernelEmitter::place_of(const Instruction& instruction, bool vector) {
  llvm::IRBuilder<>& ir = b_.ir;
  const auto a = static_cast<size_t>(instruction.imm);
  const Access& access = kernel_.accesses[a];
  Place place;
  place.base = pointers_[a];
  // Scratch rows are to stay in the caches.
  place.streaming = options_.streaming && access.kind == Access::Kind::output;
  if (vector && tile_row_ != nullptr && schedule_.transposed[a]) {
    place.base = b_.offset_bytes(
        transposed_[a], b_.times(tile_row_, int64_t{width_.lanes} * width_.unroll * access.dtype.size()));
    place.contiguous = true;
    return place;
  }
  if (vector) {
    const StrideClass along = access.strides[schedule_.vector_dim];
    place.contiguous = along == StrideClass::unit;
    place.same = along == StrideClass::zero;
    if (along == StrideClass::any) place.lane_stride = strides_[a][schedule_.vector_dim];
  } else {
    place.same = true;
  }
  const size_t first = static_cast<size_t>(first_dynamic_operand(instruction.op));
  for (size_t j = 0; j < access.dynamic_indices; ++j) {
    const ValueId index = instruction.operands[first + j];
    Value* stride = dynamic_strides_[a][j];
    if (!values_[index].vector) {
      place.base = b_.offset_bytes(place.base, ir.CreateMul(scalar(index), stride));
      continue;
    }
    for (int u = 0; u < width_.unroll; ++u) {
      Value* offset = ir.CreateMul(part(index, u), b_.splat(stride, width_.lanes));
      if (place.lane_offsets.size() <= static_cast<size_t>(u)) {
        place.lane_offsets.push_back(offset);
      } else {
        place.lane_offsets[static_cast<size_t>(u)] =
            ir.CreateAdd(place.lane_offsets[static_cast<size_t>(u)], offset);
      }
    }
  }
  if (!place.lane_offsets.empty()) {
    // Lanes go their own ways. What the position adds is a number of bytes a lane as any other.
    if (place.contiguous) place.lane_stride = b_.i64(access.dtype.size());
    place.contiguous = false;
    place.same = false;
  }
  if (vector && !place.contiguous && !place.same) {
    // Hides from strength reduction how lanes' addresses come about: with many of them it takes most of the
    // time of a compilation, and finds nothing better than steps from lane to lane.
    place.base = ir.CreateFreeze(place.base);
  }
  return place;
}

/// The address of one lane. In a tail, a lane that is off gets lane 0's, which can be read.
Value* KernelEmitter::lane_pointer(const Place& place, int part, int lane) {
  llvm::IRBuilder<>& ir = b_.ir;
  Value* position = b_.i64(int64_t{part} * width_.lanes + lane);
  Value* offset = place.lane_stride == nullptr ? nullptr : ir.CreateMul(place.lane_stride, position);
  if (!place.lane_offsets.empty()) {
    Value* own = b_.lane(place.lane_offsets[static_cast<size_t>(part)], lane);
    offset = offset == nullptr ? own : ir.CreateAdd(offset, own);
  }
  if (offset == nullptr) return place.base;
  if (width_.tail != nullptr && lane > 0) {
    Value* first = place.lane_offsets.empty() ? b_.i64(0) : b_.lane(place.lane_offsets[0], 0);
    offset = ir.CreateSelect(ir.CreateICmpSGT(width_.tail->count, b_.i64(lane)), offset, first);
  }
  return b_.offset_bytes(place.base, offset);
}

Value* KernelEmitter::load_vector(const Place& place, Dtype dtype, int part, bool imaginary) {
  llvm::IRBuilder<>& ir = b_.ir;
  const int lanes = width_.lanes;
  const bool is_complex = dtype == complex64;
  const int64_t size = dtype.size();
  if (place.contiguous) {
    Value* pointer = b_.offset_bytes(place.base, int64_t{part} * lanes * size);
    if (!is_complex) return b_.load(dtype, pointer, lanes, width_.tail);
    Tail pairs;
    if (width_.tail != nullptr) {
      pairs.count = b_.times(width_.tail->count, 2);
      pairs.mask = b_.interleave(width_.tail->mask, width_.tail->mask);
    }
    Value* wide = b_.load_raw(ir.getFloatTy(), pointer, 2 * lanes, width_.tail == nullptr ? nullptr : &pairs);
    return b_.every_other(wide, imaginary ? 1 : 0);
  }
  llvm::Type* element = b_.memory_type(dtype);
  const int64_t shift = imaginary ? 4 : 0;
  const llvm::Align alignment(element->getScalarSizeInBits() / 8);
  if (place.same) {
    Value* single = ir.CreateAlignedLoad(element, b_.offset_bytes(place.base, shift), alignment);
    return b_.splat(b_.from_memory(dtype, single), lanes);
  }
  if (width_.tail == nullptr && place.lane_offsets.empty() && !is_complex) {
    return b_.from_memory(dtype, load_strided(place, element, part));
  }
  return b_.from_memory(dtype, gather_lanes(place, element, part, shift));
}

/// Lanes at a stride that is not known: backwards (a reversed view) they are loaded as one vector and turned.
Value* KernelEmitter::load_strided(const Place& place, llvm::Type* element, int part) {
  llvm::IRBuilder<>& ir = b_.ir;
  const int lanes = width_.lanes;
  const int64_t size = element->getScalarSizeInBits() / 8;
  llvm::BasicBlock* backwards = b_.block("backwards");
  llvm::BasicBlock* apart = b_.block("apart");
  llvm::BasicBlock* loaded = b_.block("loaded");
  ir.CreateCondBr(ir.CreateICmpEQ(place.lane_stride, b_.i64(-size)), backwards, apart);

  ir.SetInsertPoint(backwards);
  llvm::SmallVector<int, 64> order;
  for (int n = lanes; n-- > 0;) order.push_back(n);
  Value* last = b_.offset_bytes(place.base, -(int64_t{part} * lanes + lanes - 1) * size);
  Value* turned = ir.CreateShuffleVector(b_.load_raw(element, last, lanes), order);
  ir.CreateBr(loaded);

  ir.SetInsertPoint(apart);
  Value* gathered = gather_lanes(place, element, part, 0);
  llvm::BasicBlock* end_of_apart = ir.GetInsertBlock();
  ir.CreateBr(loaded);

  ir.SetInsertPoint(loaded);
  llvm::PHINode* vector = ir.CreatePHI(gathered->getType(), 2);
  vector->addIncoming(turned, backwards);
  vector->addIncoming(gathered, end_of_apart);
  return vector;
}

/// Lane by lane, or by one instruction where lanes go their own ways and the target is better at that; each
/// `shift` bytes on. Of two parts one goes lane by lane then, too, which keeps more loads from memory under
/// way.
Value* KernelEmitter::gather_lanes(const Place& place, llvm::Type* element, int part, int64_t shift) {
  llvm::IRBuilder<>& ir = b_.ir;
  const int lanes = width_.lanes;
  const llvm::Align alignment(element->getScalarSizeInBits() / 8);
  if (target_.gathers && part % 2 == 0 && !place.lane_offsets.empty() && alignment.value() >= 4) {
    Value* offsets = place.lane_offsets[static_cast<size_t>(part)];
    if (place.lane_stride != nullptr) {
      llvm::SmallVector<llvm::Constant*, 64> positions;
      for (int n = 0; n < lanes; ++n) positions.push_back(b_.i64(int64_t{part} * lanes + n));
      Value* along = ir.CreateMul(b_.splat(place.lane_stride, lanes), llvm::ConstantVector::get(positions));
      offsets = ir.CreateAdd(offsets, along);
    }
    Value* pointers = ir.CreateGEP(ir.getInt8Ty(), b_.offset_bytes(place.base, shift), offsets);
    llvm::Type* type = VectorBuilder::widen(element, lanes);
    Value* mask = width_.tail != nullptr ? width_.tail->mask : nullptr;
    return ir.CreateMaskedGather(type, pointers, alignment, mask, llvm::Constant::getNullValue(type));
  }
  Value* gathered = llvm::PoisonValue::get(VectorBuilder::widen(element, lanes));
  for (int n = 0; n < lanes; ++n) {
    Value* pointer = b_.offset_bytes(lane_pointer(place, part, n), shift);
    gathered = b_.insert(gathered, ir.CreateAlignedLoad(element, pointer, alignment), n);
  }
  return gathered;
}

void KernelEmitter::emit_load(ValueId id) {
  const Instruction& instruction = kernel_.instructions[id];
  const Dtype dtype = kernel_.accesses[instruction.imm].dtype;
  const bool imaginary = instruction.op == Opcode::load_imag;
  const bool vector = schedule_.is_vector[id];
  if (!tile_vectors_.empty() && schedule_.transposed[instruction.imm]) {
    values_[id] = {{b_.from_memory(dtype, tile_vectors_[static_cast<size_t>(tile_vector_)])}, true};
    return;
  }
  const Place place = place_of(instruction, vector);
  if (!vector) {
    Value* pointer = b_.offset_bytes(place.base, imaginary ? 4 : 0);
    return set_scalar(id, b_.load(dtype, pointer, 1));
  }
  Emitted emitted{{}, true};
  if (by_parity(dtype)) {
    for (int u = 0; u < width_.unroll; u += 2) {
      Value* pointer = b_.offset_bytes(place.base, int64_t{u} * width_.lanes * dtype.size());
      for (Value* part : b_.load_bfloat16_by_parity(pointer, width_.lanes)) emitted.parts.push_back(part);
    }
    values_[id] = std::move(emitted);
    return;
  }
  for (int u = 0; u < width_.unroll; ++u) emitted.parts.push_back(load_vector(place, dtype, u, imaginary));
  values_[id] = std::move(emitted);
}

/// Stores lanes in order, each `values` element a component (one, or real and imaginary) in memory types.
void KernelEmitter::store_lanes(const Place& place, int part, llvm::ArrayRef<Value*> values) {
  llvm::IRBuilder<>& ir = b_.ir;
  llvm::Type* element = values[0]->getType()->getScalarType();
  const int64_t size = element->getScalarSizeInBits() / 8;
  const llvm::Align alignment(static_cast<uint64_t>(size));
  const int lanes = width_.lanes;
  if (place.same) {  // the last lane is the one to stay
    Value* last = b_.i64(lanes - 1);
    if (width_.tail != nullptr) last = ir.CreateSub(width_.tail->count, b_.i64(1));
    for (size_t c = 0; c < values.size(); ++c) {
      Value* value = lanes == 1 ? values[c] : ir.CreateExtractElement(values[c], last);
      ir.CreateAlignedStore(value, b_.offset_bytes(place.base, static_cast<int64_t>(c) * size), alignment);
    }
    return;
  }
  if (width_.tail == nullptr) {
    for (int n = 0; n < lanes; ++n) {
      Value* pointer = lane_pointer(place, part, n);
      for (size_t c = 0; c < values.size(); ++c) {
        ir.CreateAlignedStore(b_.lane(values[c], n), b_.offset_bytes(pointer, static_cast<int64_t>(c) * size),
                              alignment);
      }
    }
    return;
  }
  // A tail: a loop over the lanes that are on, which reads them back from the stack.
  const int64_t vector_bytes = size * lanes;
  llvm::SmallVector<Value*, 2> buffers;
  for (Value* value : values) {
    buffers.push_back(b_.stack(value->getType(), 1, static_cast<int>(vector_bytes)));
    ir.CreateAlignedStore(value, buffers.back(), llvm::Align(static_cast<uint64_t>(vector_bytes)));
  }
  Value* offsets = nullptr;
  if (!place.lane_offsets.empty()) {
    Value* vector = place.lane_offsets[static_cast<size_t>(part)];
    offsets = b_.stack(vector->getType(), 1, lanes * 8);
    ir.CreateAlignedStore(vector, offsets, llvm::Align(static_cast<uint64_t>(lanes) * 8));
  }
  b_.loop(
      b_.i64(0), width_.tail->count, 1,
      [&](Value* n) {
        Value* pointer = place.base;
        if (place.lane_stride != nullptr) {
          pointer = b_.offset_bytes(pointer, ir.CreateMul(place.lane_stride, n));
        }
        if (offsets != nullptr) {
          Value* own = ir.CreateLoad(ir.getInt64Ty(), b_.offset_bytes(offsets, b_.times(n, 8)));
          pointer = b_.offset_bytes(pointer, own);
        }
        for (size_t c = 0; c < buffers.size(); ++c) {
          Value* value =
              ir.CreateAlignedLoad(element, b_.offset_bytes(buffers[c], b_.times(n, size)), alignment);
          ir.CreateAlignedStore(value, b_.offset_bytes(pointer, static_cast<int64_t>(c) * size), alignment);
        }
      },
      "scatter");
}

void KernelEmitter::store_vector(const Place& place, Dtype dtype, int part, Value* value, Value* imaginary) {
  const int lanes = width_.lanes;
  if (!place.contiguous) {
    if (imaginary != nullptr) return store_lanes(place, part, {value, imaginary});
    return store_lanes(place, part, {b_.to_memory(dtype, value)});
  }
  Value* pointer = b_.offset_bytes(place.base, int64_t{part} * lanes * dtype.size());
  if (imaginary == nullptr) {
    return b_.store(dtype, value, pointer, width_.tail, place.streaming);
  }
  Tail pairs;
  if (width_.tail != nullptr) {
    pairs.count = b_.times(width_.tail->count, 2);
    pairs.mask = b_.interleave(width_.tail->mask, width_.tail->mask);
  }
  b_.store_raw(b_.interleave(value, imaginary), pointer, width_.tail == nullptr ? nullptr : &pairs,
               place.streaming);
}

/// Half lines past the caches cost more than they save, where the other half does not follow at once.
bool KernelEmitter::streams_whole_lines(int64_t bytes) const {
  return tile_row_ == nullptr || bytes >= 64;
}

/// Whether the step at hand takes elements of this dtype by even and odd positions.
bool KernelEmitter::by_parity(Dtype dtype) const {
  return schedule_.by_parity && dtype == bfloat16 && width_.tail == nullptr;
}

namespace {

/// Of the bits of bfloat16 or float16 numbers, those that are not zero, of either sign.
Value* is_not_zero(llvm::IRBuilder<>& ir, Value* bits) {
  Value* magnitude = ir.CreateAnd(bits, llvm::ConstantInt::get(bits->getType(), 0x7fff));
  return ir.CreateICmpNE(magnitude, llvm::Constant::getNullValue(bits->getType()));
}

}  // namespace

/// The step's vectors, as many at once as fill a register in memory's type: narrow stores are slow, and those
/// that go past the caches had better be whole lines.
void KernelEmitter::store_joined(const Place& place, Dtype dtype, ValueId id) {
  const int narrow = width_.lanes * dtype.size();
  const int join = std::clamp(target_.vector_bytes() / narrow, 1, width_.unroll);
  const bool streaming = place.streaming && streams_whole_lines(int64_t{width_.unroll} * narrow);
  const bool parity = by_parity(dtype);
  const auto store_all = [&](llvm::function_ref<Value*(llvm::ArrayRef<Value*>)> convert) {
    for (int u = 0; u < width_.unroll; u += join) {
      llvm::SmallVector<Value*, 8> parts;
      for (int n = 0; n < join; ++n) parts.push_back(part(id, u + n));
      b_.store_raw(convert(parts), b_.offset_bytes(place.base, int64_t{u} * narrow), nullptr, streaming);
    }
  };
  const auto convert = [&](llvm::ArrayRef<Value*> parts) {
    return parity ? b_.to_bfloat16_by_parity(parts[0], parts[1]) : b_.to_memory_joined(dtype, parts);
  };
  if (dtype != bfloat16 || join != 2 || !b_.has_bfloat16_conversion(width_.lanes)) return store_all(convert);
  // The instruction takes subnormal numbers for zero: they are stored once more. Whether there are any is
  // asked only where a result is zero, which one instruction tells of two vectors.
  Value* no_zero = nullptr;
  store_all([&](llvm::ArrayRef<Value*> parts) {
    Value* converted = b_.convert_to_bfloat16(parts[0], parts[1], parity);
    Value* not_zero = is_not_zero(b_.ir, converted);
    no_zero = no_zero == nullptr ? not_zero : b_.ir.CreateAnd(no_zero, not_zero);
    return converted;
  });
  const auto store_subnormal = [&] {
    Value* subnormal = nullptr;
    for (int u = 0; u < width_.unroll; ++u) {
      Value* found = b_.is_subnormal(part(id, u));
      subnormal = subnormal == nullptr ? found : b_.ir.CreateOr(subnormal, found);
    }
    b_.if_then(
        b_.ir.CreateOrReduce(subnormal), [&] { store_all(convert); }, "subnormal");
  };
  b_.if_then(b_.ir.CreateNot(b_.ir.CreateAndReduce(no_zero)), store_subnormal, "zero");
}

void KernelEmitter::emit_store(const Instruction& instruction) {
  const Dtype dtype = kernel_.accesses[instruction.imm].dtype;
  const bool is_complex = instruction.op == Opcode::store_complex;
  const bool vector = width_.lanes > 1;
  const Place place = place_of(instruction, vector);
  if (!vector) {
    b_.store(is_complex ? float32 : dtype, scalar(instruction.operands[0]), place.base);
    if (is_complex) b_.store(float32, scalar(instruction.operands[1]), b_.offset_bytes(place.base, 4));
    return;
  }
  if (joined_row_ != nullptr)
    return store_joined_line(place.base, b_.to_memory(dtype, part(instruction.operands[0], 0)));
  if (place.contiguous && !is_complex && width_.tail == nullptr) {
    store_joined(place, dtype, instruction.operands[0]);
    return;
  }
  for (int u = 0; u < width_.unroll; ++u) {
    Value* imaginary = is_complex ? part(instruction.operands[1], u) : nullptr;
    store_vector(place, dtype, u, part(instruction.operands[0], u), imaginary);
  }
}

}  // namespace lazuli
