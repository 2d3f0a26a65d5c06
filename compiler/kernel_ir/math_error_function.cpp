#include <algorithm>
#include <limits>

#include <lazuli/compiler/kernel_ir/math_coefficients.h>
#include <lazuli/compiler/kernel_ir/math_expansion.h>

namespace lazuli::kir::math {
namespace {

/// x * polynomial(t) + more, multiplied before the last sum, so that the sum is not rounded in a higher
/// binade than the result.
template <size_t n>
Expression times_polynomial(Expression x, Expression t, const std::array<double, n>& coefficients,
                            Expression more) {
  std::array<double, n - 1> after_first;
  std::copy(coefficients.begin() + 1, coefficients.end(), after_first.begin());
  return fma(polynomial(t, after_first), t * x, fma(x, coefficients[0], more));
}
template <size_t n>
Expression times_polynomial(Expression x, Expression t, const std::array<double, n>& coefficients) {
  return times_polynomial(x, t, coefficients, x.like(-0.0));
}

/// 1 - 2^u with u = log2(1 - erf(a)), which is 0 at 0: u has full relative accuracy there, and so has the
/// result, since 2^u - 1 = 2^n (2^r - 1) + (2^n - 1) keeps that of r = u where n is 0. One path for every
/// argument.
Expression erf_32(Expression x) {
  constexpr double limit = 4;  // where the result rounds to 1
  const Expression a = abs(x);
  const Expression clamped = select(a > limit, limit, a);
  const Expression u = fma(clamped, horner(clamped, coefficients::erf_exponent_32), -clamped);
  const Format format = format_of(x);
  const double magic = format.magic() + format.bias;
  const Expression shifted = u + magic;
  const Expression r = u - (shifted - magic);
  const Expression power = shifted.bitcast(int32).shift_left(format.mantissa).bitcast(float32);
  const Expression q = fma(r, horner(r, coefficients::exp2_minus_1_32), r);
  return copy_sign(fma(-power, q, 1 - power), x);
}

Expression erf_64(Expression x) {
  constexpr double limit = 6;
  const Expression a = abs(x);
  const Expression clamped = select(a > limit, limit, a);
  const Expression z = clamped * clamped;
  const Expression small = fma(polynomial(z, coefficients::erf_small_64), a, a);
  // 1 - e^-g, the power's argument being its logarithm's polynomial.
  const Expression g = polynomial(clamped, coefficients::erf_large_64);
  const ExponentialReduction reduced = reduce_exponential(-g);
  const Expression power = power_of_two(reduced.bits, format_of(x), 0);
  const Expression large = 1 - reduced_exp(reduced.r) * power;
  return copy_sign(select(a < 1, small, large), x);
}

}  // namespace

Expression erf(Expression x) {
  return x.type() == float64 ? erf_64(x) : erf_32(x);
}

Expression erfinv(Expression x) {
  const Expression a = abs(x);
  const LogarithmInParts logarithm = log_of_normal_in_parts(fma(-a, a, 1));
  const Expression w = -logarithm.high;
  const Expression root = sqrt(w);
  Expression inside = a;
  if (x.type() == float64) {
    const Expression central = times_polynomial(a, w - 3.125, coefficients::erfinv_central_64);
    const Expression middle = times_polynomial(a, root - 3.25, coefficients::erfinv_middle_64);
    const Expression tail = times_polynomial(a, root - 5, coefficients::erfinv_tail_64);
    inside = select(w < 6.25, central, select(w < 16, middle, tail));
  } else {
    // What rounding w lost would show; near w = 4.5, where that is most, the slope is 0.23.
    const Expression lost = logarithm.low * -0.23 * a;
    const Expression central = times_polynomial(a, w, coefficients::erfinv_central_32, lost);
    const Expression tail = times_polynomial(a, root - 3, coefficients::erfinv_tail_32);
    inside = select(w < 5, central, tail);
  }
  const Expression edge = select(a == 1, std::numeric_limits<double>::infinity(),
                                 x.like(std::numeric_limits<double>::quiet_NaN()));
  return copy_sign(select(a < 1, inside, edge), x);
}

}  // namespace lazuli::kir::math
