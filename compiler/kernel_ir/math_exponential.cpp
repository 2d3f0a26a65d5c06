#include <numbers>

#include <lazuli/compiler/kernel_ir/math_coefficients.h>
#include <lazuli/compiler/kernel_ir/math_expansion.h>

namespace lazuli::kir::math {
namespace {

/// `x` brought into [low, high]; NaN stays.
Expression clamp(Expression x, double low, double high) {
  x = select(x < low, low, x);
  return select(x > high, high, x);
}

/// e^r - 1 for a reduced argument, with full relative accuracy.
Expression reduced_expm1(Expression r) {
  const Expression p =
      r.type() == float64 ? polynomial(r, coefficients::exp_64) : polynomial(r, coefficients::exp_32);
  return fma(r * r, p, r);
}

/// e^a / 2 for a >= 0, which only overflows where sinh and cosh do.
Expression half_exp(Expression a) {
  const double limit = pick(a, 90, 711);
  const ExponentialReduction reduced = reduce_exponential(select(a > limit, limit, a));
  return scale(reduced_exp(reduced.r), reduced.bits - 1);
}

}  // namespace

ExponentialReduction reduce_exponential(Expression x) {
  const Format format = format_of(x);
  const double magic = format.magic() + 2 * format.bias;
  const Expression shifted = fma(x, std::numbers::log2e, magic);
  const Expression n = shifted - magic;
  const Split ln2 = split(x, std::numbers::ln2_v<long double>);
  // The first step is exact: x and n * ln2.high nearly cancel.
  const Expression r = fma(n, -ln2.low, fma(n, -ln2.high, x));
  return {shifted.bitcast(format.integer), r};
}

Expression reduced_exp(Expression r) {
  const Expression p =
      r.type() == float64 ? polynomial(r, coefficients::exp_64) : polynomial(r, coefficients::exp_short_32);
  return fma(fma(p, r, 1), r, 1);
}

Expression scale(Expression p, Expression bits) {
  // Two factors, each of about half the exponent: 2^n alone may be out of range though the result is not.
  // With the bias doubled in `bits`, each half carries it once; what else stands there is shifted out.
  const int mantissa = p.type() == float64 ? 52 : 23;
  const Expression half = bits.shift_right(1);
  const Expression first = half.shift_left(mantissa).bitcast(p.type());
  const Expression second = (bits - half).shift_left(mantissa).bitcast(p.type());
  return p * first * second;
}

Expression power_of_two(Expression bits, Format format, int extra) {
  return (bits + (extra - format.bias)).shift_left(format.mantissa).bitcast(format.type);
}

Expression exp(Expression x) {
  const ExponentialReduction reduced = reduce_exponential(clamp(x, pick(x, -104, -746), pick(x, 89, 710)));
  return scale(reduced_exp(reduced.r), reduced.bits);
}

Expression expm1(Expression x) {
  const ExponentialReduction reduced = reduce_exponential(clamp(x, pick(x, -18, -40), pick(x, 89, 710)));
  const Expression q = reduced_expm1(reduced.r);
  // Half the power, which does not overflow; doubled at the end.
  const Expression power = power_of_two(reduced.bits, format_of(x), -1);
  const Expression result = fma(power, q, power - 0.5) * 2;
  return select(abs(x) < pick(x, 0x1p-25, 0x1p-54), x, result);
}

Expression sinh(Expression x) {
  const Expression a = abs(x);
  const Expression z = a * a;
  const Expression p =
      x.type() == float64 ? polynomial(z, coefficients::sinh_64) : polynomial(z, coefficients::sinh_32);
  const Expression small = fma(a * z, p, a);
  const Expression half = half_exp(a);
  return copy_sign(select(a < 1, small, half - 0.25 / half), x);
}

Expression cosh(Expression x) {
  const Expression half = half_exp(abs(x));
  return half + 0.25 / half;
}

Expression tanh(Expression x) {
  const Expression a = abs(x);
  const Expression z = a * a;
  const Expression p =
      x.type() == float64 ? polynomial(z, coefficients::tanh_64) : polynomial(z, coefficients::tanh_32);
  const Expression small = fma(a * z, p, a);
  // 1 - 2 / (e^2a + 1); where the argument is cut off, that is 1.
  const double limit = pick(x, 9.5, 19.5);
  const Expression clamped = select(a > limit, limit, a);
  const ExponentialReduction reduced = reduce_exponential(clamped + clamped);
  const Expression e = reduced_exp(reduced.r) * power_of_two(reduced.bits, format_of(x), 0);
  return copy_sign(select(a < 0.625, small, 1 - 2 / (e + 1)), x);
}

Expression sigmoid(Expression x) {
  // From e^-|x| for either sign, so that nothing overflows and small results keep their accuracy.
  const Expression negative = -abs(x);
  const double limit = pick(x, -104, -746);
  const ExponentialReduction reduced = reduce_exponential(select(negative < limit, limit, negative));
  const Expression e = scale(reduced_exp(reduced.r), reduced.bits);
  // e / (1 + e) for negative x would round thrice; so it corrects e instead.
  const Expression w = e / (e + 1);
  return select(x < 0, fma(-e, w, e), 1 - w);
}

}  // namespace lazuli::kir::math
