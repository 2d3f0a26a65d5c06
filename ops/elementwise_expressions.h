#pragma once

#include <span>

#include <lazuli/compiler/kernel_ir/builder.h>

/// Expressions of elementwise operations that take more than one call of the builder: what the rows of the
/// table refer to. `x` are the operands, all of one type.
namespace lazuli::expressions {

using kir::Builder;
using kir::Value;
using Operands = std::span<const Value>;

Value floor_divide(Builder& b, Operands x);
Value remainder(Builder& b, Operands x);
Value power(Builder& b, Operands x);
Value sign(Builder& b, Operands x);
Value round(Builder& b, Operands x);
Value logaddexp(Builder& b, Operands x);
Value is_nan(Builder& b, Operands x);
Value is_infinite(Builder& b, Operands x);
Value is_finite(Builder& b, Operands x);

/// A constant of the value's type.
Value like(Builder& b, Value value, double constant);
/// Conversion as `astype` defines it, to the compute type of `dtype`, rounded to its precision.
Value convert(Builder& b, Value value, Dtype dtype);

}  // namespace lazuli::expressions
