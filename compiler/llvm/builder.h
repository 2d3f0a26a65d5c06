#pragma once

// Private to code generation (compiler/llvm and compiler/templates/llvm_*.cpp): this header shows LLVM's
// types.

#include <array>
#include <cstdint>
#include <functional>

#include <llvm/ADT/STLFunctionalExtras.h>
#include <llvm/ADT/SmallVector.h>
#include <llvm/IR/Function.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <lazuli/array/dtype.h>
#include <lazuli/compiler/llvm/target.h>

namespace lazuli {

/// Gives a function the attributes that make LLVM use the target's instructions and full vector width.
void target_attributes(llvm::Function& function, const Target& target);

/// A function of the given name with the signature of kir::KernelFunction, target attributes and an empty
/// entry block.
llvm::Function* create_kernel_function(llvm::Module& module, const Target& target, const char* name);

/// The last step of a loop over vectors, when fewer elements than lanes are left.
struct Tail {
  llvm::Value* count = nullptr;  ///< i64: elements left, from 1 to the number of lanes
  llvm::Value* mask = nullptr;   ///< <lanes x i1>: lane < count
};

/// Emits vector code into a function: an IRBuilder and what it lacks. "Lanes" of 1 mean scalars. Values have
/// compute types: float16 and bfloat16 are held as float; bool is i1 as a scalar and where the target has
/// mask registers, else a lane of zeros or ones as wide as a register has room for (so that comparisons,
/// logic and selection never change the width of a mask).
class VectorBuilder {
 public:
  VectorBuilder(llvm::Function& function, const Target& target);

  llvm::IRBuilder<> ir;
  /// Where set, minima and maxima leave out the repair of a NaN of their first operand, which goes here.
  std::function<void(llvm::Value*)> unrepaired;
  bool may_lose_nan = false;  ///< minima and maxima are left without such repairs

  const Target& target() const { return target_; }
  llvm::Function& function() const { return function_; }
  llvm::LLVMContext& context() const { return function_.getContext(); }

  // Types.
  llvm::Type* compute_type(Dtype t, int lanes = 1) const;
  llvm::Type* memory_type(Dtype t, int lanes = 1) const;  ///< integers for bool, float16 and bfloat16
  static llvm::Type* widen(llvm::Type* scalar, int lanes);
  static int lanes_of(const llvm::Value* value);
  /// `type` with its elements replaced by integers of the same width.
  static llvm::Type* as_integers(llvm::Type* type);

  /// A bool from the i1 that comparisons give, and the i1 that selection wants.
  llvm::Value* to_bool(llvm::Value* i1);
  llvm::Value* from_bool(llvm::Value* value);

  // Constants.
  llvm::ConstantInt* i64(int64_t value) { return ir.getInt64(static_cast<uint64_t>(value)); }
  /// A compute-type constant from its bits, in every lane.
  llvm::Constant* constant_bits(Dtype t, uint64_t bits, int lanes = 1) const;
  llvm::Constant* zero(llvm::Type* type) const { return llvm::Constant::getNullValue(type); }
  /// <0, 1, 2, ...> of the given integer type.
  llvm::Constant* lane_numbers(llvm::Type* int_type, int lanes) const;

  // Lanes.
  /// The scalar in every lane. Emitted next to the scalar's definition, so out of loops that it is out of.
  llvm::Value* splat(llvm::Value* scalar, int lanes);
  llvm::Value* lane(llvm::Value* vector, int which);
  llvm::Value* insert(llvm::Value* vector, llvm::Value* scalar, int which);
  /// Lanes [first, first + count) of a vector.
  llvm::Value* slice(llvm::Value* vector, int first, int count);
  /// Even (0) or odd (1) lanes.
  llvm::Value* every_other(llvm::Value* vector, int first);
  /// a0, b0, a1, b1, ...
  llvm::Value* interleave(llvm::Value* a, llvm::Value* b);
  /// Both halves combined until one scalar is left.
  llvm::Value* reduce_lanes(llvm::Value* vector,
                            llvm::function_ref<llvm::Value*(llvm::Value*, llvm::Value*)> combine);
  Tail tail(llvm::Value* count, int lanes);

  // Addresses.
  llvm::Value* offset_bytes(llvm::Value* pointer, llvm::Value* bytes);
  llvm::Value* offset_bytes(llvm::Value* pointer, int64_t bytes);
  /// Integer times a power-of-two or other constant.
  llvm::Value* times(llvm::Value* value, int64_t factor);

  // Memory: contiguous elements of dtype `t` (not complex64), converted from and to compute types. With a
  // tail, lanes that are off are not touched, and read as zero.
  llvm::Value* load(Dtype t, llvm::Value* pointer, int lanes, const Tail* tail = nullptr);
  void store(Dtype t, llvm::Value* value, llvm::Value* pointer, const Tail* tail = nullptr,
             bool streaming = false);
  /// The same in memory types, without conversion. Elements are integers or floating point.
  llvm::Value* load_raw(llvm::Type* element, llvm::Value* pointer, int lanes, const Tail* tail = nullptr);
  void store_raw(llvm::Value* value, llvm::Value* pointer, const Tail* tail = nullptr,
                 bool streaming = false);

  // Conversions between memory and compute types, any number of lanes.
  llvm::Value* from_memory(Dtype t, llvm::Value* value);
  llvm::Value* to_memory(Dtype t, llvm::Value* value);
  /// The same for several vectors that lie one after the other (a power of two of them), as one.
  llvm::Value* to_memory_joined(Dtype t, llvm::ArrayRef<llvm::Value*> values);
  /// As many vectors (a power of two) as a square tile has rows: each holds a row of one tile or of several,
  /// which are transposed in place.
  void transpose(llvm::MutableArrayRef<llvm::Value*> vectors);
  /// a, then b.
  llvm::Value* concatenate(llvm::Value* a, llvm::Value* b);
  /// float to float16 bits, float to bfloat16 bits, and back.
  llvm::Value* to_float16_bits(llvm::Value* value);
  llvm::Value* from_float16_bits(llvm::Value* bits);
  llvm::Value* to_bfloat16_bits(llvm::Value* value);
  /// The same left in the upper halves of 32 bits.
  llvm::Value* to_upper_bfloat16_bits(llvm::Value* value);
  llvm::Value* from_bfloat16_bits(llvm::Value* bits);

  /// 2 * lanes elements of bfloat16: those at even positions, those at odd positions; and back.
  std::array<llvm::Value*, 2> load_bfloat16_by_parity(llvm::Value* pointer, int lanes);
  llvm::Value* to_bfloat16_by_parity(llvm::Value* even, llvm::Value* odd);
  /// Whether the target has an instruction that converts two vectors of so many lanes.
  bool has_bfloat16_conversion(int lanes) const;
  /// By that instruction, which takes subnormal numbers for zero: a, then b, or in turns.
  llvm::Value* convert_to_bfloat16(llvm::Value* a, llvm::Value* b, bool in_turns);
  /// Where the lanes are subnormal numbers, on targets with AVX-512.
  llvm::Value* is_subnormal(llvm::Value* value);

  /// Asks for the line at an address, for reading; 3: into the first-level cache, 2: into the second.
  void prefetch(llvm::Value* pointer, int level);

  llvm::Value* intrinsic(llvm::Intrinsic::ID id, llvm::ArrayRef<llvm::Value*> operands);
  /// a * b + c, rounded once (emulated by the C library where the target has no instruction).
  llvm::Value* fma(llvm::Value* a, llvm::Value* b, llvm::Value* c);

  // Control. A loop runs `body` for i = begin, begin + step, ... while i < end (signed), carrying values
  // from step to step; gives the values after the last step, or the initial ones if there was none.
  using Carried = llvm::SmallVector<llvm::Value*, 8>;
  Carried loop(llvm::Value* begin, llvm::Value* end, int64_t step, const Carried& initial,
               llvm::function_ref<Carried(llvm::Value* i, const Carried& carried)> body,
               const char* name = "loop");
  void loop(llvm::Value* begin, llvm::Value* end, int64_t step, llvm::function_ref<void(llvm::Value*)> body,
            const char* name = "loop");
  /// Runs `then` if the condition holds.
  void if_then(llvm::Value* condition, llvm::function_ref<void()> then, const char* name = "then");

  /// Memory on the stack, made once in the entry block.
  llvm::AllocaInst* stack(llvm::Type* type, int64_t count, int alignment);
  llvm::BasicBlock* block(const char* name);

 private:
  void transpose_narrow(llvm::MutableArrayRef<llvm::Value*> vectors);
  void transpose_by_parts(llvm::MutableArrayRef<llvm::Value*> vectors, int part);
  bool can_mask(llvm::Type* element) const;
  unsigned mask_bits(int lanes) const;

  llvm::Function& function_;
  const Target& target_;
};

}  // namespace lazuli
