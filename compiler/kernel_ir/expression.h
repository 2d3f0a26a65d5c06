#pragma once

#include <cstdint>

#include <lazuli/compiler/kernel_ir/builder.h>

namespace lazuli::kir {

/// A real value with operators, so that expansions read like formulas. Numbers among the operands become
/// constants of the other operand's type.
class Expression {
 public:
  Expression(Builder& builder, Value value) : builder_(&builder), value_(value) {}

  Value value() const { return value_; }
  Dtype type() const { return value_.type; }
  Builder& builder() const { return *builder_; }

  Expression like(double number) const { return {*builder_, builder_->constant(type(), number)}; }
  Expression like(Value other) const { return {*builder_, other}; }
  Expression bits_like(uint64_t bits) const { return like(builder_->constant_bits(type(), bits)); }

  Expression operator-() const { return like(builder_->neg(value_)); }

  friend Expression operator+(Expression a, Expression b) {
    return a.like(a.builder_->add(a.value_, b.value_));
  }
  friend Expression operator-(Expression a, Expression b) {
    return a.like(a.builder_->sub(a.value_, b.value_));
  }
  friend Expression operator*(Expression a, Expression b) {
    return a.like(a.builder_->mul(a.value_, b.value_));
  }
  friend Expression operator/(Expression a, Expression b) {
    return a.like(a.builder_->div(a.value_, b.value_));
  }
  friend Expression operator<(Expression a, Expression b) {
    return a.like(a.builder_->lt(a.value_, b.value_));
  }
  friend Expression operator<=(Expression a, Expression b) {
    return a.like(a.builder_->le(a.value_, b.value_));
  }
  friend Expression operator>(Expression a, Expression b) { return b < a; }
  friend Expression operator>=(Expression a, Expression b) { return b <= a; }
  friend Expression operator==(Expression a, Expression b) {
    return a.like(a.builder_->eq(a.value_, b.value_));
  }
  friend Expression operator!=(Expression a, Expression b) {
    return a.like(a.builder_->ne(a.value_, b.value_));
  }
  friend Expression operator&(Expression a, Expression b) { return a.binary(Opcode::bit_and, b); }
  friend Expression operator|(Expression a, Expression b) { return a.binary(Opcode::bit_or, b); }
  friend Expression operator^(Expression a, Expression b) { return a.binary(Opcode::bit_xor, b); }

  friend Expression operator+(Expression a, double b) { return a + a.like(b); }
  friend Expression operator-(Expression a, double b) { return a - a.like(b); }
  friend Expression operator*(Expression a, double b) { return a * a.like(b); }
  friend Expression operator/(Expression a, double b) { return a / a.like(b); }
  friend Expression operator+(double a, Expression b) { return b.like(a) + b; }
  friend Expression operator-(double a, Expression b) { return b.like(a) - b; }
  friend Expression operator*(double a, Expression b) { return b.like(a) * b; }
  friend Expression operator/(double a, Expression b) { return b.like(a) / b; }
  friend Expression operator<(Expression a, double b) { return a < a.like(b); }
  friend Expression operator<=(Expression a, double b) { return a <= a.like(b); }
  friend Expression operator>(Expression a, double b) { return a > a.like(b); }
  friend Expression operator>=(Expression a, double b) { return a >= a.like(b); }
  friend Expression operator==(Expression a, double b) { return a == a.like(b); }
  friend Expression operator!=(Expression a, double b) { return a != a.like(b); }

  Expression unary(Opcode op) const { return like(builder_->unary(op, value_)); }
  Expression binary(Opcode op, Expression b) const { return like(builder_->binary(op, value_, b.value_)); }
  Expression math(Opcode op) const { return like(builder_->math(op, value_)); }
  Expression math(Opcode op, Expression b) const { return like(builder_->math(op, value_, b.value_)); }

  Expression cast(Dtype to) const { return like(builder_->cast(value_, to)); }
  Expression bitcast(Dtype to) const { return like(builder_->bitcast(value_, to)); }
  Expression shift_left(int count) const { return binary(Opcode::shift_left, like(count)); }
  /// Arithmetic for signed types.
  Expression shift_right(int count) const { return binary(Opcode::shift_right, like(count)); }
  Expression operator!() const { return unary(Opcode::bit_not); }

 private:
  Builder* builder_;
  Value value_;
};

inline Expression fma(Expression a, Expression b, Expression c) {
  return a.like(a.builder().fma(a.value(), b.value(), c.value()));
}
inline Expression fma(Expression a, double b, Expression c) {
  return fma(a, a.like(b), c);
}
inline Expression fma(Expression a, Expression b, double c) {
  return fma(a, b, a.like(c));
}
inline Expression fma(Expression a, double b, double c) {
  return fma(a, a.like(b), a.like(c));
}

inline Expression select(Expression condition, Expression a, Expression b) {
  return a.like(a.builder().select(condition.value(), a.value(), b.value()));
}
inline Expression select(Expression condition, Expression a, double b) {
  return select(condition, a, a.like(b));
}
inline Expression select(Expression condition, double a, Expression b) {
  return select(condition, b.like(a), b);
}

inline Expression abs(Expression a) {
  return a.unary(Opcode::abs);
}
inline Expression sqrt(Expression a) {
  return a.unary(Opcode::sqrt);
}
inline Expression rint(Expression a) {
  return a.unary(Opcode::rint);
}

/// The signed integer type as wide as a floating-point type.
inline Dtype integer_like(Dtype type) {
  return type == float64 ? Dtype(int64) : Dtype(int32);
}

/// `magnitude` (not negative) with the sign of `sign`.
inline Expression copy_sign(Expression magnitude, Expression sign) {
  const Dtype integer = integer_like(sign.type());
  const Expression bits = sign.bitcast(integer);
  const Expression mask = bits.bits_like(integer == int64 ? uint64_t{1} << 63 : uint64_t{1} << 31);
  return (magnitude.bitcast(integer) | (bits & mask)).bitcast(sign.type());
}

}  // namespace lazuli::kir
