#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <lazuli/array/stream.h>
#include <lazuli/compiler/operations.h>

/// The table of elementwise operations.
namespace lazuli {

namespace derivatives {
struct Partial;
}

/// A row of the table. The rows stand in this order.
enum class Elementwise : uint8_t {
  // Conversion.
  copy,
  contiguous,
  real,
  imag,
  conjugate,
  make_complex,
  // Arithmetic.
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  remainder,
  power,
  negative,
  abs,
  sign,
  square,
  reciprocal,
  maximum,
  minimum,
  // Rounding.
  floor,
  ceil,
  trunc,
  round,
  // Functions of floating point.
  sqrt,
  rsqrt,
  exp,
  expm1,
  log,
  log2,
  log10,
  log1p,
  logaddexp,
  sin,
  cos,
  tan,
  arcsin,
  arccos,
  arctan,
  arctan2,
  sinh,
  cosh,
  tanh,
  arcsinh,
  arccosh,
  arctanh,
  degrees,
  radians,
  sigmoid,
  erf,
  erfinv,
  // Comparison.
  equal,
  not_equal,
  greater,
  greater_equal,
  less,
  less_equal,
  isnan,
  isinf,
  isfinite,
  isposinf,
  isneginf,
  // Logic and bits.
  logical_not,
  logical_and,
  logical_or,
  logical_xor,
  bitwise_and,
  bitwise_or,
  bitwise_xor,
  bitwise_invert,
  left_shift,
  right_shift,
  // Selection.
  select,
};
inline constexpr int elementwise_count = static_cast<int>(Elementwise::select) + 1;

/// Which dtypes an operation takes, and what its operands are converted to once they are promoted.
enum class OperandRule : uint8_t {
  any,
  real,           ///< not complex64
  to_float,       ///< integers become float32
  real_to_float,  ///< the same, not complex64
  boolean,        ///< everything becomes bool
  bits,           ///< integers and bool only
  shift,          ///< the same; bool becomes uint8
  selection,      ///< the first becomes bool, the others are promoted
};

/// The dtype of the result.
enum class ResultRule : uint8_t {
  same,  ///< the operands'
  boolean,
  real_part,  ///< float32 for complex64
  complex,    ///< complex64
};

/// Everything about an elementwise operation without parameters.
struct ElementwiseRow {
  Elementwise id;
  std::string_view name;
  int arity;
  OperandRule operands;
  ResultRule result;
  int cost;  ///< roughly in simple instructions
  kir::Value (*expression)(kir::Builder& b, std::span<const kir::Value> x);
  array (*derivative)(const derivatives::Partial& p);  ///< null where it is zero or the result has none
};

std::span<const ElementwiseRow> elementwise_table();

/// The operation of a row: one instance for the process.
const Ref<const Operation>& elementwise_operation(Elementwise id);

/// The operation applied to operands, promoted as its rule says.
array apply_elementwise(Elementwise id, std::vector<array> operands, StreamOrDevice s);

/// `a` converted to a dtype to which it was promoted: a scalar constant at once, anything else lazily.
array promoted(const array& a, Dtype dtype, StreamOrDevice s);

/// Floating point dtypes as they are, float32 for others.
Dtype at_least_float(Dtype dtype);

}  // namespace lazuli
