#include <limits>
#include <numbers>
#include <stdexcept>

#include <fmt/format.h>

#include <lazuli/compiler/kernel_ir/builder.h>
#include <lazuli/compiler/kernel_ir/expression.h>
#include <lazuli/compiler/kernel_ir/instruction_table.h>

/// Functions of complex values by those of real ones. On branch cuts the sign of a zero says which side is
/// meant, as in C; so imaginary parts are negated, never subtracted from zero.
namespace lazuli::kir {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Complex {
  Expression re;
  Expression im;

  Complex conjugate() const { return {re, -im}; }
  /// i * this and -i * this, exact.
  Complex times_i() const { return {-im, re}; }
  Complex times_minus_i() const { return {im, -re}; }
  Complex operator-() const { return {-re, -im}; }
};

Complex operator*(Complex a, Complex b) {
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
Complex operator*(Complex a, double b) {
  return {a.re * b, a.im * b};
}
Complex plus_one(Complex z) {
  return {z.re + 1, z.im};
}
Complex one_minus(Complex z) {
  return {1 - z.re, -z.im};
}
Complex minus_one(Complex z) {
  return {z.re - 1, z.im};
}
Complex choose(Expression condition, Complex a, Complex b) {
  return {select(condition, a.re, b.re), select(condition, a.im, b.im)};
}

Expression is_infinite(Expression a) {
  return abs(a) == infinity;
}

Expression float64_of(Expression a) {
  return a.cast(float64);
}
Expression float32_of(Expression a) {
  return a.cast(float32);
}

Complex complex_sqrt(Complex z) {
  // In float64 squares of float32 parts are exact enough and stay in range.
  const Expression x = float64_of(z.re);
  const Expression y = float64_of(z.im);
  const Expression root = sqrt((abs(x) + sqrt(fma(x, x, y * y))) * 0.5);
  const Expression other = select(root == 0, 0, abs(y) / (root * 2));
  const Expression left = z.re < 0;
  const Expression re = select(is_infinite(z.im), infinity, float32_of(select(left, other, root)));
  const Expression im = select(is_infinite(z.im), infinity, float32_of(select(left, root, other)));
  return {re, copy_sign(abs(im), z.im)};
}

/// log|z| where z = (x, y) and `minus_one` is |z|^2 - 1 in float64, accurate near zero.
Expression log_modulus(Expression x, Expression y, Expression minus_one) {
  const Expression near = (minus_one > -0.5) & (minus_one < 2);
  const Expression by_log1p = float32_of(minus_one).math(Opcode::log1p) * 0.5;
  const Expression modulus = sqrt(fma(x, x, y * y));
  // Brought into float32's range at either end.
  const Expression large = modulus > 1;
  const Expression scaled = float32_of(modulus * select(large, modulus.like(0x1p-32), 0x1p32));
  const Expression shift = scaled.like(32 * std::numbers::ln2);
  const Expression by_log = scaled.math(Opcode::log) + select(large, shift, -shift);
  const Expression result = select(near, by_log1p, by_log);
  return select(is_infinite(float32_of(x)) | is_infinite(float32_of(y)), infinity, result);
}

Complex complex_log(Complex z) {
  const Expression x = float64_of(z.re);
  const Expression y = float64_of(z.im);
  const Expression xx = x * x;
  const Expression yy = y * y;
  const Expression swap = xx < yy;
  const Expression minus_one = (select(swap, yy, xx) - 1) + select(swap, xx, yy);
  return {log_modulus(x, y, minus_one), z.im.math(Opcode::atan2, z.re)};
}

Complex complex_log1p(Complex z) {
  const Expression x = float64_of(z.re);
  const Expression y = float64_of(z.im);
  const Expression minus_one = fma(x, x + 2, y * y);
  return {log_modulus(x + 1, y, minus_one), z.im.math(Opcode::atan2, z.re + 1)};
}

Complex complex_exp(Complex z) {
  const Expression scale = z.re.math(Opcode::exp);
  // A zero imaginary part stays one, even beside an infinity.
  return {select(z.im == 0, scale, scale * z.im.math(Opcode::cos)),
          select(z.im == 0, z.im, scale * z.im.math(Opcode::sin))};
}

Complex complex_expm1(Complex z) {
  const Expression half_sine = (z.im * 0.5).math(Opcode::sin);
  const Expression re = z.re.math(Opcode::expm1) * z.im.math(Opcode::cos) - half_sine * half_sine * 2;
  return {re, select(z.im == 0, z.im, z.re.math(Opcode::exp) * z.im.math(Opcode::sin))};
}

Complex complex_sinh(Complex z) {
  const Expression re = z.re.math(Opcode::sinh) * z.im.math(Opcode::cos);
  const Expression im = z.re.math(Opcode::cosh) * z.im.math(Opcode::sin);
  return {select(z.re == 0, z.re, re), select(z.im == 0, z.im, im)};
}

Complex complex_cosh(Complex z) {
  const Expression re = z.re.math(Opcode::cosh) * z.im.math(Opcode::cos);
  const Expression im = z.re.math(Opcode::sinh) * z.im.math(Opcode::sin);
  return {re, select((z.re == 0) | (z.im == 0), copy_sign(z.re.like(0), z.re) * z.im, im)};
}

/// Kahan's formula, with its limit where squares would overflow.
Complex complex_tanh(Complex z) {
  const Expression t = z.im.math(Opcode::tan);
  const Expression s = z.re.math(Opcode::sinh);
  const Expression beta = fma(t, t, 1);
  const Expression rho = sqrt(fma(s, s, 1));
  const Expression denominator = fma(beta * s, s, 1);
  const Complex near{beta * rho * s / denominator, t / denominator};
  const Expression decay = (abs(z.re) * -2).math(Opcode::exp) * 4;
  const Expression far_im = z.im.math(Opcode::sin) * z.im.math(Opcode::cos) * decay;
  const Complex far{copy_sign(z.re.like(1), z.re),
                    select(is_infinite(z.im), copy_sign(z.im.like(0), z.im), far_im)};
  return choose(abs(z.re) > 10, far, near);
}

/// Kahan's formulas for the inverse functions.
Complex complex_asin(Complex z) {
  const Complex minus = complex_sqrt(one_minus(z));
  const Complex plus = complex_sqrt(plus_one(z));
  return {z.re.math(Opcode::atan2, (minus * plus).re), (minus.conjugate() * plus).im.math(Opcode::asinh)};
}

Complex complex_acos(Complex z) {
  const Complex minus = complex_sqrt(one_minus(z));
  const Complex plus = complex_sqrt(plus_one(z));
  return {minus.re.math(Opcode::atan2, plus.re) * 2, (plus.conjugate() * minus).im.math(Opcode::asinh)};
}

Complex complex_acosh(Complex z) {
  const Complex minus = complex_sqrt(minus_one(z));
  const Complex plus = complex_sqrt(plus_one(z));
  return {(minus.conjugate() * plus).re.math(Opcode::asinh), minus.im.math(Opcode::atan2, plus.re) * 2};
}

Complex complex_atanh(Complex z) {
  const Expression x = float64_of(z.re);
  const Expression y = float64_of(z.im);
  const Expression away = 1 - x;
  const Expression re = float32_of(x * 4 / fma(away, away, y * y)).math(Opcode::log1p) * 0.25;
  const Expression across = float32_of(fma(away, x + 1, -(y * y)));
  const Expression im = (z.im * 2).math(Opcode::atan2, across) * 0.5;
  return {re, im};
}

Complex reciprocal(Complex z) {
  Builder& builder = z.re.builder();
  const Value quotient =
      builder.div(builder.constant_complex(1, 0), builder.make_complex(z.re.value(), z.im.value()));
  return {z.re.like(builder.real(quotient)), z.re.like(builder.imag(quotient))};
}

Complex apply(Opcode op, Complex z) {
  switch (op) {
    case Opcode::sqrt:
      return complex_sqrt(z);
    case Opcode::rsqrt:
      return reciprocal(complex_sqrt(z));
    case Opcode::exp:
      return complex_exp(z);
    case Opcode::expm1:
      return complex_expm1(z);
    case Opcode::log:
      return complex_log(z);
    case Opcode::log2:
      return complex_log(z) * (1 / std::numbers::ln2);
    case Opcode::log10:
      return complex_log(z) * (1 / std::numbers::ln10);
    case Opcode::log1p:
      return complex_log1p(z);
    case Opcode::sinh:
      return complex_sinh(z);
    case Opcode::cosh:
      return complex_cosh(z);
    case Opcode::tanh:
      return complex_tanh(z);
    case Opcode::sin:
      return complex_sinh(z.times_i()).times_minus_i();
    case Opcode::cos:
      return complex_cosh(z.times_i());
    case Opcode::tan:
      return complex_tanh(z.times_i()).times_minus_i();
    case Opcode::asin:
      return complex_asin(z);
    case Opcode::acos:
      return complex_acos(z);
    case Opcode::acosh:
      return complex_acosh(z);
    case Opcode::atanh:
      return complex_atanh(z);
    case Opcode::asinh:
      return complex_asin(z.times_i()).times_minus_i();
    case Opcode::atan:
      return complex_atanh(z.times_i()).times_minus_i();
    case Opcode::sigmoid:
      return reciprocal(plus_one(complex_exp(-z)));
    default:
      throw std::logic_error(fmt::format("[kir::Builder] {} is not defined for complex64.", row_of(op).name));
  }
}

Complex parts(Builder& builder, Value value) {
  const Value z = builder.cast(value, complex64);
  return {{builder, builder.real(z)}, {builder, builder.imag(z)}};
}

}  // namespace

Value Builder::complex_math(Opcode op, Value a) {
  const Complex result = apply(op, parts(*this, a));
  return make_complex(result.re.value(), result.im.value());
}

Value Builder::complex_math(Opcode op, Value a, Value b) {
  if (op != Opcode::pow) {
    throw std::logic_error(fmt::format("[kir::Builder] {} is not defined for complex64.", row_of(op).name));
  }
  const Complex base = parts(*this, a);
  const Complex exponent = parts(*this, b);
  const Complex general = complex_exp(exponent * complex_log(base));
  // 0^0 is 1, and 0 to a power with positive real part 0.
  const Expression zero_base = (base.re == 0) & (base.im == 0);
  const Expression zero_exponent = (exponent.re == 0) & (exponent.im == 0);
  const Expression zero = base.re.like(0);
  const Expression one = base.re.like(1);
  Complex result = choose(zero_base & (exponent.re > 0), Complex{zero, zero}, general);
  result = choose(zero_exponent, Complex{one, zero}, result);
  return make_complex(result.re.value(), result.im.value());
}

}  // namespace lazuli::kir
