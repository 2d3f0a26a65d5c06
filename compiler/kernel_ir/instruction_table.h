#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli::kir {

/// Sets of compute types that operands may have.
enum TypeSet : uint8_t {
  no_types = 0,
  booleans = 1,
  integers = 2,
  floats = 4,
  discrete = booleans | integers,
  numbers = integers | floats,
  all_types = booleans | integers | floats,
};

/// How the result's type follows from the operands'. All operands share a type, except that the first of
/// `select` is bool and that dynamic indices are int64.
enum class ResultRule : uint8_t {
  same,      ///< that of the operands
  boolean,   ///< bool
  position,  ///< int64
  chosen,    ///< any, as the instruction says
  none,      ///< a sink: makes no value
};

/// What is known of an opcode; `instruction_table` has one for each.
struct OpcodeRow {
  Opcode op;
  std::string_view name;
  int8_t operands;  ///< how many, without dynamic indices
  TypeSet accepts;  ///< types of the operands (of the result where there are none)
  ResultRule result;
  bool pure;  ///< the value depends on operands and `imm` alone
  bool commutative;
};

namespace instruction_table_detail {

using enum Opcode;
using enum ResultRule;

inline constexpr std::array<OpcodeRow, opcode_count> rows{{
    {constant, "constant", 0, all_types, chosen, true, false},
    {index, "index", 0, integers, position, true, false},
    {load, "load", 0, all_types, chosen, false, false},
    {load_imag, "load_imag", 0, floats, chosen, false, false},
    {store, "store", 1, all_types, none, false, false},
    {store_complex, "store_complex", 2, floats, none, false, false},
    {add, "add", 2, numbers, same, true, true},
    {sub, "sub", 2, numbers, same, true, false},
    {mul, "mul", 2, numbers, same, true, true},
    {div, "div", 2, numbers, same, true, false},
    {rem, "rem", 2, numbers, same, true, false},
    {neg, "neg", 1, numbers, same, true, false},
    {abs, "abs", 1, numbers, same, true, false},
    {min, "min", 2, all_types, same, true, true},
    {max, "max", 2, all_types, same, true, true},
    {fma, "fma", 3, floats, same, true, false},
    {floor, "floor", 1, floats, same, true, false},
    {ceil, "ceil", 1, floats, same, true, false},
    {trunc, "trunc", 1, floats, same, true, false},
    {rint, "rint", 1, floats, same, true, false},
    {sqrt, "sqrt", 1, floats, same, true, false},
    {bit_and, "bit_and", 2, discrete, same, true, true},
    {bit_or, "bit_or", 2, discrete, same, true, true},
    {bit_xor, "bit_xor", 2, discrete, same, true, true},
    {bit_not, "bit_not", 1, discrete, same, true, false},
    {shift_left, "shift_left", 2, integers, same, true, false},
    {shift_right, "shift_right", 2, integers, same, true, false},
    {eq, "eq", 2, all_types, boolean, true, true},
    {ne, "ne", 2, all_types, boolean, true, true},
    {lt, "lt", 2, all_types, boolean, true, false},
    {le, "le", 2, all_types, boolean, true, false},
    {select, "select", 3, all_types, same, true, false},
    {cast, "cast", 1, all_types, chosen, true, false},
    {bitcast, "bitcast", 1, numbers, chosen, true, false},
    {round_to, "round_to", 1, floats, same, true, false},
    {table, "table", 1, integers, chosen, true, false},
    {scalb, "scalb", 2, floats, same, true, false},
    {reduce_sum, "reduce_sum", 1, numbers, same, false, false},
    {reduce_prod, "reduce_prod", 1, numbers, same, false, false},
    {reduce_min, "reduce_min", 1, all_types, same, false, false},
    {reduce_max, "reduce_max", 1, all_types, same, false, false},
    {reduce_and, "reduce_and", 1, discrete, same, false, false},
    {reduce_or, "reduce_or", 1, discrete, same, false, false},
    {reduce_argmin, "reduce_argmin", 1, all_types, position, false, false},
    {reduce_argmax, "reduce_argmax", 1, all_types, position, false, false},
    {exp, "exp", 1, floats, same, true, false},
    {expm1, "expm1", 1, floats, same, true, false},
    {log, "log", 1, floats, same, true, false},
    {log2, "log2", 1, floats, same, true, false},
    {log10, "log10", 1, floats, same, true, false},
    {log1p, "log1p", 1, floats, same, true, false},
    {sin, "sin", 1, floats, same, true, false},
    {cos, "cos", 1, floats, same, true, false},
    {tan, "tan", 1, floats, same, true, false},
    {asin, "asin", 1, floats, same, true, false},
    {acos, "acos", 1, floats, same, true, false},
    {atan, "atan", 1, floats, same, true, false},
    {atan2, "atan2", 2, floats, same, true, false},
    {sinh, "sinh", 1, floats, same, true, false},
    {cosh, "cosh", 1, floats, same, true, false},
    {tanh, "tanh", 1, floats, same, true, false},
    {asinh, "asinh", 1, floats, same, true, false},
    {acosh, "acosh", 1, floats, same, true, false},
    {atanh, "atanh", 1, floats, same, true, false},
    {erf, "erf", 1, floats, same, true, false},
    {erfinv, "erfinv", 1, floats, same, true, false},
    {pow, "pow", 2, numbers, same, true, false},
    {rsqrt, "rsqrt", 1, floats, same, true, false},
    {sigmoid, "sigmoid", 1, floats, same, true, false},
}};

constexpr bool in_order() {
  for (int i = 0; i < opcode_count; ++i) {
    if (rows[i].op != static_cast<Opcode>(i)) return false;
  }
  return true;
}
static_assert(in_order(), "a row is missing or out of place");

}  // namespace instruction_table_detail

/// All opcodes, in the order of `Opcode`.
constexpr std::span<const OpcodeRow, opcode_count> instruction_table() {
  return instruction_table_detail::rows;
}

constexpr const OpcodeRow& row_of(Opcode op) {
  return instruction_table()[static_cast<size_t>(op)];
}

constexpr bool is_load(Opcode op) {
  return op == Opcode::load || op == Opcode::load_imag;
}
constexpr bool is_store(Opcode op) {
  return op == Opcode::store || op == Opcode::store_complex;
}
constexpr bool is_reduce(Opcode op) {
  return op >= Opcode::reduce_sum && op <= Opcode::reduce_argmax;
}
/// Whether `expand_math` replaces the instruction.
constexpr bool is_math(Opcode op) {
  return op >= Opcode::exp;
}

/// The set that a compute type belongs to; `no_types` for dtypes that only exist in memory.
constexpr TypeSet type_set(Dtype t) {
  switch (t.val()) {
    case Dtype::Val::bool_:
      return booleans;
    case Dtype::Val::float32:
    case Dtype::Val::float64:
      return floats;
    case Dtype::Val::float16:
    case Dtype::Val::bfloat16:
    case Dtype::Val::complex64:
      return no_types;
    default:
      return integers;
  }
}

constexpr bool is_signed_integer(Dtype t) {
  return t == int8 || t == int16 || t == int32 || t == int64;
}

constexpr bool accepts(Opcode op, Dtype t) {
  return (row_of(op).accepts & type_set(t)) != 0;
}

/// Calls `f(std::type_identity<T>{})` with the C++ type of values of compute type `t`.
template <typename F>
constexpr decltype(auto) dispatch_compute_type(Dtype t, F&& f) {
  switch (t.val()) {
    case Dtype::Val::bool_:
      return f(std::type_identity<bool>{});
    case Dtype::Val::uint8:
      return f(std::type_identity<uint8_t>{});
    case Dtype::Val::uint16:
      return f(std::type_identity<uint16_t>{});
    case Dtype::Val::uint32:
      return f(std::type_identity<uint32_t>{});
    case Dtype::Val::uint64:
      return f(std::type_identity<uint64_t>{});
    case Dtype::Val::int8:
      return f(std::type_identity<int8_t>{});
    case Dtype::Val::int16:
      return f(std::type_identity<int16_t>{});
    case Dtype::Val::int32:
      return f(std::type_identity<int32_t>{});
    case Dtype::Val::int64:
      return f(std::type_identity<int64_t>{});
    case Dtype::Val::float64:
      return f(std::type_identity<double>{});
    default:
      return f(std::type_identity<float>{});
  }
}

}  // namespace lazuli::kir
