#include <limits>
#include <stdexcept>

#include <fmt/format.h>

#include <lazuli/compiler/kernel_ir/builder.h>
#include <lazuli/compiler/kernel_ir/expression.h>
#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/kernel_ir/scalar.h>

/// Arithmetic and comparison of real and complex values. Complex ones are pairs of float32 values.
namespace lazuli::kir {
namespace {

/// The parts of a value, zero for the imaginary part of a real one.
struct Parts {
  Expression re;
  Expression im;
};

Parts parts(Builder& builder, Value value) {
  const Value z = builder.cast(value, complex64);
  return {{builder, builder.real(z)}, {builder, builder.imag(z)}};
}

Value join(Expression re, Expression im) {
  return re.builder().make_complex(re.value(), im.value());
}

bool any_complex(Value a, Value b) {
  return a.is_complex() || b.is_complex();
}

/// Smith's division: scaled by the larger part of the divisor, so that squares do not overflow.
Value divide(Parts a, Parts b) {
  const Expression real_leads = abs(b.re) >= abs(b.im);
  const Expression big = select(real_leads, b.re, b.im);
  const Expression small = select(real_leads, b.im, b.re);
  const Expression ratio = select(big == 0, 0, small / big);  // by 0 + 0i: parts divided by zero
  const Expression denominator = fma(small, ratio, big);
  const Expression p = select(real_leads, a.re, a.im);
  const Expression q = select(real_leads, a.im, a.re);
  const Expression re = fma(q, ratio, p) / denominator;
  const Expression im = fma(-p, ratio, q) / denominator;
  return join(re, select(real_leads, im, -im));
}

/// Parts are squared in float64, where they neither overflow nor vanish.
Value modulus(Parts a) {
  const Expression re = a.re.cast(float64);
  const Expression im = a.im.cast(float64);
  const Expression root = sqrt(fma(re, re, im * im)).cast(float32);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return select((abs(a.re) == infinity) | (abs(a.im) == infinity), infinity, root).value();
}

}  // namespace

Value Builder::make_complex(Value re, Value im) {
  return {cast(re, float32).id, cast(im, float32).id, complex64};
}

Value Builder::constant_complex(float re, float im) {
  return make_complex(constant_bits(float32, scalar::to_bits(re)),
                      constant_bits(float32, scalar::to_bits(im)));
}

Value Builder::real(Value a) {
  return a.is_complex() ? Value{a.id, no_value, float32} : a;
}

Value Builder::imag(Value a) {
  return a.is_complex() ? Value{a.imag, no_value, float32} : constant(a.type, 0);
}

Value Builder::add(Value a, Value b) {
  if (!any_complex(a, b)) return binary(Opcode::add, a, b);
  const Parts x = parts(*this, a);
  const Parts y = parts(*this, b);
  return join(x.re + y.re, x.im + y.im);
}

Value Builder::sub(Value a, Value b) {
  if (!any_complex(a, b)) return binary(Opcode::sub, a, b);
  const Parts x = parts(*this, a);
  const Parts y = parts(*this, b);
  return join(x.re - y.re, x.im - y.im);
}

Value Builder::mul(Value a, Value b) {
  if (!any_complex(a, b)) return binary(Opcode::mul, a, b);
  const Parts x = parts(*this, a);
  const Parts y = parts(*this, b);
  return join(x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re);
}

Value Builder::div(Value a, Value b) {
  if (!any_complex(a, b)) return binary(Opcode::div, a, b);
  return divide(parts(*this, a), parts(*this, b));
}

Value Builder::neg(Value a) {
  if (!a.is_complex()) return unary(Opcode::neg, a);
  return make_complex(neg(real(a)), neg(imag(a)));
}

Value Builder::abs(Value a) {
  return a.is_complex() ? modulus(parts(*this, a)) : unary(Opcode::abs, a);
}

Value Builder::eq(Value a, Value b) {
  if (!any_complex(a, b)) return binary(Opcode::eq, a, b);
  const Parts x = parts(*this, a);
  const Parts y = parts(*this, b);
  return ((x.re == y.re) & (x.im == y.im)).value();
}

Value Builder::ne(Value a, Value b) {
  if (!any_complex(a, b)) return binary(Opcode::ne, a, b);
  const Parts x = parts(*this, a);
  const Parts y = parts(*this, b);
  return ((x.re != y.re) | (x.im != y.im)).value();
}

Value Builder::lt(Value a, Value b) {
  if (!any_complex(a, b)) return binary(Opcode::lt, a, b);
  const Parts x = parts(*this, a);
  const Parts y = parts(*this, b);
  return ((x.re < y.re) | ((x.re == y.re) & (x.im < y.im))).value();
}

Value Builder::le(Value a, Value b) {
  if (!any_complex(a, b)) return binary(Opcode::le, a, b);
  const Parts x = parts(*this, a);
  const Parts y = parts(*this, b);
  return ((x.re < y.re) | ((x.re == y.re) & (x.im <= y.im))).value();
}

Value Builder::min(Value a, Value b) {
  if (!any_complex(a, b)) return binary(Opcode::min, a, b);
  const Value is_nan = ne(a, a);
  return select(binary(Opcode::bit_or, is_nan, lt(a, b)), a, b);
}

Value Builder::max(Value a, Value b) {
  if (!any_complex(a, b)) return binary(Opcode::max, a, b);
  const Value is_nan = ne(a, a);
  return select(binary(Opcode::bit_or, is_nan, lt(b, a)), a, b);
}

Value Builder::math(Opcode op, Value a) {
  if (row_of(op).operands != 1) {
    throw std::logic_error(fmt::format("[kir::Builder] {} takes two operands.", row_of(op).name));
  }
  return a.is_complex() ? complex_math(op, a) : unary(op, a);
}

Value Builder::math(Opcode op, Value a, Value b) {
  return any_complex(a, b) ? complex_math(op, a, b) : binary(op, a, b);
}

}  // namespace lazuli::kir
