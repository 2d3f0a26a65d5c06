#pragma once

#include <span>

#include <lazuli/compiler/kernel_ir/builder.h>

/// Expressions of elementwise operations that take more than one instruction: what the rows of the table
/// refer to. `x` are the operands, of one type where nothing else is said.
namespace lazuli::expressions {

using kir::Builder;
using kir::Value;
using Operands = std::span<const Value>;

// Arithmetic of every type; bools are added by `or`, multiplied by `and`.
Value add(Builder& b, Operands x);
Value subtract(Builder& b, Operands x);
Value multiply(Builder& b, Operands x);
Value floor_divide(Builder& b, Operands x);
Value remainder(Builder& b, Operands x);
Value power(Builder& b, Operands x);
Value absolute(Builder& b, Operands x);
Value sign(Builder& b, Operands x);
Value reciprocal(Builder& b, Operands x);
Value maximum(Builder& b, Operands x);
Value minimum(Builder& b, Operands x);
Value round(Builder& b, Operands x);
Value square_root(Builder& b, Operands x);
Value reciprocal_square_root(Builder& b, Operands x);
Value logaddexp(Builder& b, Operands x);
Value sigmoid(Builder& b, Operands x);

// Comparison of every type.
Value equal(Builder& b, Operands x);
Value not_equal(Builder& b, Operands x);
Value less(Builder& b, Operands x);
Value less_equal(Builder& b, Operands x);
Value is_nan(Builder& b, Operands x);
Value is_infinite(Builder& b, Operands x);
Value is_finite(Builder& b, Operands x);

/// Whether bool values are both, or either, true.
Value both(Builder& b, Value p, Value q);
Value either(Builder& b, Value p, Value q);
/// A constant of the value's type.
Value like(Builder& b, Value value, double constant);
/// Conversion as `astype` defines it, to the compute type of `dtype`, rounded to its precision.
Value convert(Builder& b, Value value, Dtype dtype);

}  // namespace lazuli::expressions
