#include <algorithm>
#include <limits>
#include <numbers>

#include <lazuli/compiler/kernel_ir/math_coefficients.h>
#include <lazuli/compiler/kernel_ir/math_expansion.h>

// Functions of float32 whose results are rounded to 16 bits: off by less than 2^-15.9, that is 0.02 units in
// the last place of float16. Where the result is below 2^-126, bfloat16's least normal number, it may be 0.

namespace lazuli::kir::math {
namespace {

Expression at_least(Expression x, double limit) {
  return select(x < limit, limit, x);  // NaN stays
}
Expression at_most(Expression x, double limit) {
  return select(x > limit, limit, x);
}

/// An integer n in a float32's low bits, to become an exponent, and what is left of the number.
struct Parts {
  Expression power;  ///< 2^n
  Expression rest;   ///< from -1/2 to 1/2
};

/// The nearest integer of `x`, which is from -127, giving a power of 0, to 128, giving infinity.
Parts split_exponent(Expression x) {
  const double magic = 0x1.8p23 + 127;
  const Expression shifted = x + magic;
  return {shifted.bitcast(int32).shift_left(23).bitcast(float32), x - (shifted - magic)};
}

/// 2^(y + 1/2). Halves are split off, so that the power does not overflow before the result does.
Expression exp2_after_half(Expression y) {
  const Parts parts = split_exponent(at_most(at_least(y, -127), 128));
  return horner(parts.rest, coefficients::exp2_after_half_short) * parts.power;
}

/// 2^y - 1 with full relative accuracy, as 2^n (2^r - 1) + (2^n - 1), for y from -127 to 127.
Expression exp2_minus_1(Expression y) {
  const Parts parts = split_exponent(y);
  const Expression q = parts.rest * horner(parts.rest, coefficients::exp2_minus_1_short);
  return fma(parts.power, q, parts.power - 1);
}

/// Where erf_exponent is nearest to -127, which gives a power of 0.
constexpr double erf_exponent_limit = 9.14;

/// log2(1 - erf(a)) for 0 <= a <= erf_exponent_limit.
Expression erf_exponent(Expression a) {
  return a * polynomial(a, coefficients::erf_exponent_short);
}

}  // namespace

Expression short_divide(Expression a, Expression b) {
  // Of what is beyond these the reciprocal would overflow, or be subnormal and lose digits.
  const Expression size = abs(b);
  const Expression scale = select(size > 0x1p64, 0x1p-64, select(size < 0x1p-64, 0x1p64, b.like(1)));
  return a * (b.like(1) / (b * scale)) * scale;
}

Expression short_exp(Expression x) {
  return exp2_after_half(fma(x, std::numbers::log2e, x.like(-0.5)));
}

Expression short_sigmoid(Expression x) {
  return 1 / (exp2_after_half(fma(x, -std::numbers::log2e, x.like(-0.5))) + 1);
}

Expression short_tanh(Expression x) {
  // (e^2a - 1) / (e^2a + 1)
  const Expression a = at_most(abs(x), 9.5);
  const Expression e = exp2_minus_1(a * (2 * std::numbers::log2e));
  return copy_sign(e / (e + 2), x);
}

Expression short_erf(Expression x) {
  const Expression a = at_most(abs(x), 4);
  const Parts parts = split_exponent(erf_exponent(a));
  const Expression q = parts.rest * horner(parts.rest, coefficients::exp2_minus_1_short);
  return copy_sign(fma(-parts.power, q, 1 - parts.power), x);
}

Expression short_erf_plus_1(Expression x) {
  const Parts parts = split_exponent(erf_exponent(at_most(abs(x), erf_exponent_limit)));
  const Expression outside = horner(parts.rest, coefficients::exp2_short) * parts.power;
  return select(x < 0, outside, 2 - outside);
}

}  // namespace lazuli::kir::math
