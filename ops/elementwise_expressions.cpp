#include <lazuli/ops/elementwise_expressions.h>

#include <limits>

namespace lazuli::expressions {

using kir::Opcode;

namespace {

bool is_bool(Value v) {
  return v.type == bool_;
}
bool is_floating(Value v) {
  return v.is_complex() || v.type == float32 || v.type == float64;
}
bool is_unsigned(Value v) {
  return issubdtype(v.type, unsignedinteger);
}

/// Whether a remainder must move by one divisor to get the divisor's sign.
Value has_wrong_sign(Builder& b, Value remainder, Value divisor) {
  const Value zero = like(b, divisor, 0);
  const Value differs = b.binary(Opcode::bit_xor, b.lt(remainder, zero), b.lt(divisor, zero));
  return both(b, b.ne(remainder, zero), differs);
}

/// base^exponent of integers, by squaring. Every bit of the exponent counts: odd bases never become 0 or 1.
Value integer_power(Builder& b, Value base, Value exponent) {
  const Value zero = like(b, base, 0);
  const Value one = like(b, base, 1);
  const bool is_signed = !is_unsigned(base);
  const int bits = base.type.size() * 8 - (is_signed ? 1 : 0);
  Value result = one;
  Value square = base;
  for (int bit = 0; bit < bits; ++bit) {
    const Value mask = b.constant_bits(base.type, uint64_t{1} << bit);
    const Value is_set = b.ne(b.binary(Opcode::bit_and, exponent, mask), zero);
    result = b.mul(result, b.select(is_set, square, one));
    if (bit + 1 < bits) square = b.mul(square, square);
  }
  return is_signed ? b.select(b.lt(exponent, zero), zero, result) : result;
}

}  // namespace

Value like(Builder& b, Value value, double constant) {
  if (value.is_complex()) return b.constant_complex(static_cast<float>(constant), 0.0f);
  return b.constant(value.type, constant);
}

Value both(Builder& b, Value p, Value q) {
  return b.binary(Opcode::bit_and, p, q);
}

Value either(Builder& b, Value p, Value q) {
  return b.binary(Opcode::bit_or, p, q);
}

Value add(Builder& b, Operands x) {
  return is_bool(x[0]) ? either(b, x[0], x[1]) : b.add(x[0], x[1]);
}

Value subtract(Builder& b, Operands x) {
  return is_bool(x[0]) ? b.binary(Opcode::bit_xor, x[0], x[1]) : b.sub(x[0], x[1]);
}

Value multiply(Builder& b, Operands x) {
  return is_bool(x[0]) ? both(b, x[0], x[1]) : b.mul(x[0], x[1]);
}

Value floor_divide(Builder& b, Operands x) {
  if (is_bool(x[0])) return both(b, x[0], x[1]);
  const Value quotient = b.div(x[0], x[1]);
  if (is_floating(x[0])) return b.unary(Opcode::floor, quotient);
  if (is_unsigned(x[0])) return quotient;
  const Value down = has_wrong_sign(b, b.rem(x[0], x[1]), x[1]);
  return b.sub(quotient, b.cast(down, quotient.type));
}

Value remainder(Builder& b, Operands x) {
  if (is_bool(x[0])) return b.constant(bool_, 0);
  const Value rest = b.rem(x[0], x[1]);
  if (is_unsigned(x[0])) return rest;
  return b.select(has_wrong_sign(b, rest, x[1]), b.add(rest, x[1]), rest);
}

Value power(Builder& b, Operands x) {
  if (is_bool(x[0])) return either(b, x[0], b.logical_not(x[1]));
  return is_floating(x[0]) ? b.math(Opcode::pow, x[0], x[1]) : integer_power(b, x[0], x[1]);
}

Value absolute(Builder& b, Operands x) {
  return is_bool(x[0]) || is_unsigned(x[0]) ? x[0] : b.abs(x[0]);
}

Value sign(Builder& b, Operands x) {
  const Value v = x[0];
  if (is_bool(v)) return v;
  const Value zero = like(b, v, 0);
  if (v.is_complex()) {
    const Value modulus = b.abs(v);
    const Value unit = b.make_complex(b.div(b.real(v), modulus), b.div(b.imag(v), modulus));
    return b.select(b.eq(v, zero), zero, unit);
  }
  const Value one = like(b, v, 1);
  if (is_unsigned(v)) return b.select(b.eq(v, zero), zero, one);
  return b.select(b.lt(v, zero), b.neg(one), b.select(b.lt(zero, v), one, zero));
}

Value reciprocal(Builder& b, Operands x) {
  return b.div(like(b, x[0], 1), x[0]);
}

Value maximum(Builder& b, Operands x) {
  if (is_bool(x[0])) return either(b, x[0], x[1]);
  if (!x[0].is_complex()) return b.max(x[0], x[1]);
  const Value takes_second = either(b, b.lt(x[0], x[1]), is_nan(b, x.subspan(1, 1)));
  return b.select(is_nan(b, x.first(1)), x[0], b.select(takes_second, x[1], x[0]));
}

Value minimum(Builder& b, Operands x) {
  if (is_bool(x[0])) return both(b, x[0], x[1]);
  if (!x[0].is_complex()) return b.min(x[0], x[1]);
  const Value takes_second = either(b, b.lt(x[1], x[0]), is_nan(b, x.subspan(1, 1)));
  return b.select(is_nan(b, x.first(1)), x[0], b.select(takes_second, x[1], x[0]));
}

Value round(Builder& b, Operands x) {
  if (!x[0].is_complex()) return b.unary(Opcode::rint, x[0]);
  return b.make_complex(b.unary(Opcode::rint, b.real(x[0])), b.unary(Opcode::rint, b.imag(x[0])));
}

Value square_root(Builder& b, Operands x) {
  if (!x[0].is_complex()) return b.unary(Opcode::sqrt, x[0]);
  // Of re and im, the one that can be found without cancellation first, the other from 2 re im = im(z).
  const Value re = b.real(x[0]);
  const Value im = b.imag(x[0]);
  const Value zero = b.constant(float32, 0);
  const Value half = b.constant(float32, 0.5);
  const Value big = b.unary(Opcode::sqrt, b.mul(half, b.add(b.abs(x[0]), b.abs(re))));
  const Value small = b.select(b.eq(big, zero), zero, b.mul(half, b.div(b.abs(im), big)));
  const Value right = b.le(zero, re);
  const Value is_below = b.lt(b.bitcast(im, int32), b.constant(int32, 0));  // also for -0
  const Value height = b.select(right, small, big);
  return b.make_complex(b.select(right, big, small), b.select(is_below, b.neg(height), height));
}

Value reciprocal_square_root(Builder& b, Operands x) {
  if (!x[0].is_complex()) return b.math(Opcode::rsqrt, x[0]);
  return b.div(like(b, x[0], 1), square_root(b, x));
}

Value logaddexp(Builder& b, Operands x) {
  const Value high = b.max(x[0], x[1]);
  const Value low = b.min(x[0], x[1]);
  const double infinity = std::numeric_limits<double>::infinity();
  // Where the difference is not a number (equal infinities), or does not matter.
  const Value is_high = either(b, b.eq(low, like(b, low, -infinity)), b.eq(high, like(b, high, infinity)));
  const Value sum = b.add(high, b.math(Opcode::log1p, b.math(Opcode::exp, b.sub(low, high))));
  return b.select(is_high, high, sum);
}

Value sigmoid(Builder& b, Operands x) {
  if (!x[0].is_complex()) return b.math(Opcode::sigmoid, x[0]);
  const Value one = like(b, x[0], 1);
  return b.div(one, b.add(one, b.math(Opcode::exp, b.neg(x[0]))));
}

Value equal(Builder& b, Operands x) {
  return is_bool(x[0]) ? b.logical_not(b.binary(Opcode::bit_xor, x[0], x[1])) : b.eq(x[0], x[1]);
}

Value not_equal(Builder& b, Operands x) {
  return is_bool(x[0]) ? b.binary(Opcode::bit_xor, x[0], x[1]) : b.ne(x[0], x[1]);
}

Value less(Builder& b, Operands x) {
  return is_bool(x[0]) ? both(b, b.logical_not(x[0]), x[1]) : b.lt(x[0], x[1]);
}

Value less_equal(Builder& b, Operands x) {
  return is_bool(x[0]) ? either(b, b.logical_not(x[0]), x[1]) : b.le(x[0], x[1]);
}

Value is_nan(Builder& b, Operands x) {
  if (!is_floating(x[0])) return b.constant(bool_, 0);
  if (!x[0].is_complex()) return b.ne(x[0], x[0]);
  const Value re = b.real(x[0]);
  const Value im = b.imag(x[0]);
  return either(b, b.ne(re, re), b.ne(im, im));
}

Value is_infinite(Builder& b, Operands x) {
  if (!is_floating(x[0])) return b.constant(bool_, 0);
  const auto test = [&](Value v) {
    return b.eq(b.abs(v), like(b, v, std::numeric_limits<double>::infinity()));
  };
  return x[0].is_complex() ? either(b, test(b.real(x[0])), test(b.imag(x[0]))) : test(x[0]);
}

Value is_finite(Builder& b, Operands x) {
  if (!is_floating(x[0])) return b.constant(bool_, 1);
  const auto test = [&](Value v) {
    return b.lt(b.abs(v), like(b, v, std::numeric_limits<double>::infinity()));
  };
  return x[0].is_complex() ? both(b, test(b.real(x[0])), test(b.imag(x[0]))) : test(x[0]);
}

Value convert(Builder& b, Value value, Dtype dtype) {
  if (dtype == bool_ && value.is_complex()) {
    const Value zero = b.constant(float32, 0);
    return either(b, b.ne(b.real(value), zero), b.ne(b.imag(value), zero));
  }
  const Value result = b.cast(value, kir::compute_type(dtype));
  // What is stored is rounded anyway; what is used by the same kernel must be, too.
  return dtype == float16 || dtype == bfloat16 ? b.round_to(result, dtype) : result;
}

}  // namespace lazuli::expressions
