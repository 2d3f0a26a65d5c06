#include <lazuli/ops/elementwise_expressions.h>

#include <limits>

namespace lazuli::expressions {

using kir::Opcode;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

bool is_floating(Value v) {
  return v.is_complex() || v.type == float32 || v.type == float64;
}

Value both(Builder& b, Value p, Value q) {
  return b.binary(Opcode::bit_and, p, q);
}

Value either(Builder& b, Value p, Value q) {
  return b.binary(Opcode::bit_or, p, q);
}

/// Whether a remainder must move by one divisor to get the divisor's sign.
Value has_wrong_sign(Builder& b, Value remainder, Value divisor) {
  const Value zero = like(b, divisor, 0);
  return both(b, b.ne(remainder, zero), b.ne(b.lt(remainder, zero), b.lt(divisor, zero)));
}

}  // namespace

Value like(Builder& b, Value value, double constant) {
  if (value.is_complex()) return b.constant_complex(static_cast<float>(constant), 0.0f);
  return b.constant(value.type, constant);
}

Value floor_divide(Builder& b, Operands x) {
  const Value quotient = b.div(x[0], x[1]);
  if (is_floating(x[0])) return b.unary(Opcode::floor, quotient);
  if (!issubdtype(x[0].type, signedinteger)) return quotient;
  const Value down = has_wrong_sign(b, b.rem(x[0], x[1]), x[1]);
  return b.sub(quotient, b.cast(down, quotient.type));
}

Value remainder(Builder& b, Operands x) {
  const Value rest = b.rem(x[0], x[1]);
  if (!is_floating(x[0]) && !issubdtype(x[0].type, signedinteger)) return rest;
  return b.select(has_wrong_sign(b, rest, x[1]), b.add(rest, x[1]), rest);
}

Value power(Builder& b, Operands x) {
  return x[0].type == bool_ ? either(b, x[0], b.logical_not(x[1])) : b.math(Opcode::pow, x[0], x[1]);
}

Value sign(Builder& b, Operands x) {
  const Value v = x[0];
  if (v.type == bool_) return v;
  const Value zero = like(b, v, 0);
  if (v.is_complex()) {
    const Value modulus = b.abs(v);
    const Value unit = b.make_complex(b.div(b.real(v), modulus), b.div(b.imag(v), modulus));
    return b.select(b.eq(v, zero), zero, unit);
  }
  const Value one = like(b, v, 1);
  const Value positive = b.select(b.lt(zero, v), one, zero);
  return issubdtype(v.type, unsignedinteger) ? positive : b.select(b.lt(v, zero), b.neg(one), positive);
}

Value round(Builder& b, Operands x) {
  if (!x[0].is_complex()) return b.unary(Opcode::rint, x[0]);
  return b.make_complex(b.unary(Opcode::rint, b.real(x[0])), b.unary(Opcode::rint, b.imag(x[0])));
}

Value logaddexp(Builder& b, Operands x) {
  const Value high = b.max(x[0], x[1]);
  const Value low = b.min(x[0], x[1]);
  // Where the difference is not a number (equal infinities), or does not matter.
  const Value least = b.real(low);
  const Value most = b.real(high);
  const Value is_high =
      either(b, b.eq(least, like(b, least, -infinity)), b.eq(most, like(b, most, infinity)));
  const Value sum = b.add(high, b.math(Opcode::log1p, b.math(Opcode::exp, b.sub(low, high))));
  return b.select(is_high, high, sum);
}

Value is_nan(Builder& b, Operands x) {
  return is_floating(x[0]) ? b.ne(x[0], x[0]) : b.constant(bool_, 0);
}

Value is_infinite(Builder& b, Operands x) {
  if (!is_floating(x[0])) return b.constant(bool_, 0);
  const auto test = [&](Value v) { return b.eq(b.abs(v), like(b, v, infinity)); };
  return x[0].is_complex() ? either(b, test(b.real(x[0])), test(b.imag(x[0]))) : test(x[0]);
}

Value is_finite(Builder& b, Operands x) {
  if (!is_floating(x[0])) return b.constant(bool_, 1);
  const auto test = [&](Value v) { return b.lt(b.abs(v), like(b, v, infinity)); };
  return x[0].is_complex() ? both(b, test(b.real(x[0])), test(b.imag(x[0]))) : test(x[0]);
}

Value convert(Builder& b, Value value, Dtype dtype) {
  const Value result = b.cast(value, dtype);
  // What is stored is rounded anyway; what is used by the same kernel must be, too.
  return dtype == float16 || dtype == bfloat16 ? b.round_to(result, dtype) : result;
}

}  // namespace lazuli::expressions
