#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <unordered_map>
#include <vector>

#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli::kir {

enum class Table : uint8_t;

/// A value while a kernel is being built. A complex64 value is a pair of float32 instructions.
struct Value {
  ValueId id = no_value;
  ValueId imag = no_value;
  Dtype type = float32;

  bool is_complex() const { return imag != no_value; }
};

/// Builds the instructions of a kernel. Every function accepts the types for which it makes sense (complex
/// arithmetic is expanded into float32 instructions here) and gives back an existing value where the same
/// instruction already stands in the current block (or, for sources without operands, folds constants).
class Builder {
 public:
  explicit Builder(Kernel& kernel) : kernel_(kernel) {}

  /// Starts a block; the previous one ends.
  void begin_block(bool per_element);
  void end_block();

  Value constant(Dtype type, double value);
  Value constant_bits(Dtype type, uint64_t bits);
  Value constant_complex(float real, float imag);
  Value index(int dim);
  /// Loads from an access in its compute type.
  Value load(uint32_t access, std::span<const Value> dynamic = {});
  /// Stores, converting from the value's type to the access's compute type first where they differ.
  void store(uint32_t access, Value value, std::span<const Value> dynamic = {});
  Value reduce(Opcode op, Value value);

  /// A row of the instruction table applied to real operands (no complex expansion).
  Value unary(Opcode op, Value a);
  Value binary(Opcode op, Value a, Value b);

  Value add(Value a, Value b);
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  Value div(Value a, Value b);
  Value rem(Value a, Value b);
  Value neg(Value a);
  Value abs(Value a);  ///< of complex: the modulus, float32
  Value min(Value a, Value b);
  Value max(Value a, Value b);
  Value fma(Value a, Value b, Value c);
  Value eq(Value a, Value b);
  Value ne(Value a, Value b);
  Value lt(Value a, Value b);  ///< complex: lexicographic, as in NumPy
  Value le(Value a, Value b);
  Value gt(Value a, Value b) { return lt(b, a); }
  Value ge(Value a, Value b) { return le(b, a); }
  Value logical_not(Value a);
  Value select(Value condition, Value a, Value b);
  /// Value conversion to a compute type or complex64 (complex to real takes the real part).
  Value cast(Value a, Dtype type);
  Value bitcast(Value a, Dtype type);
  /// Rounds a float32 value to float16 or bfloat16 precision, as an explicit astype asks.
  Value round_to(Value a, Dtype dtype);
  /// The entry of a table that the low bits of an int32 number.
  Value look_up(Table table, Value index);
  /// a * 2^floor(b), of float32.
  Value scalb(Value a, Value b);
  Value real(Value a);
  Value imag(Value a);
  Value make_complex(Value re, Value im);
  /// exp, log, sin, ...: math on float32, float64 and, where defined, complex64.
  Value math(Opcode op, Value a);
  Value math(Opcode op, Value a, Value b);

  /// Appends an instruction of the current block as it is (after folding and looking for its like).
  Value append(Instruction instruction);

  Kernel& kernel() { return kernel_; }

 private:
  Value emit(Opcode op, Dtype type, std::initializer_list<ValueId> operands, uint64_t imm = 0);
  Value emit(Opcode op, Dtype type, std::vector<ValueId> operands, uint64_t imm = 0);
  /// The value of an instruction that needs not be emitted, or none.
  ValueId simplify(const Instruction& instruction);
  void forget_loads(uint32_t access);
  Value bool_arithmetic(Opcode op, Value a, Value b);
  Value complex_math(Opcode op, Value a);
  Value complex_math(Opcode op, Value a, Value b);

  struct InstructionHash {
    size_t operator()(const Instruction& instruction) const;
  };
  Kernel& kernel_;
  std::unordered_map<Instruction, ValueId, InstructionHash> known_;
  bool open_ = false;
};

}  // namespace lazuli::kir
