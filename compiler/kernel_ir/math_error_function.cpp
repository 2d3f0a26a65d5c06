#include <limits>

#include <lazuli/compiler/kernel_ir/math_coefficients.h>
#include <lazuli/compiler/kernel_ir/math_expansion.h>

namespace lazuli::kir::math {

Expression erf(Expression x) {
  const bool wide = x.type() == float64;
  const double limit = pick(x, 4, 6);  // where the result rounds to 1
  const Expression a = abs(x);
  const Expression clamped = select(a > limit, limit, a);
  const Expression z = clamped * clamped;
  const Expression small =
      fma(wide ? polynomial(z, coefficients::erf_small_64) : polynomial(z, coefficients::erf_small_32), a, a);
  // 1 - e^-g, the power's argument being its logarithm's polynomial.
  const Expression g = wide ? polynomial(clamped, coefficients::erf_large_64)
                            : polynomial(clamped, coefficients::erf_large_32);
  const ExponentialReduction reduced = reduce_exponential(-g);
  const Expression power = power_of_two(reduced.bits, format_of(x), 0);
  const Expression large = 1 - reduced_exp(reduced.r) * power;
  return copy_sign(select(a < pick(x, 0.93, 1), small, large), x);
}

Expression erfinv(Expression x) {
  const Expression a = abs(x);
  const Expression w = -log_of_normal(fma(-a, a, 1));
  const Expression root = sqrt(w);
  Expression factor = w;
  if (x.type() == float64) {
    const Expression central = polynomial(w - 3.125, coefficients::erfinv_central_64);
    const Expression middle = polynomial(root - 3.25, coefficients::erfinv_middle_64);
    const Expression tail = polynomial(root - 5, coefficients::erfinv_tail_64);
    factor = select(w < 6.25, central, select(w < 16, middle, tail));
  } else {
    const Expression central = polynomial(w, coefficients::erfinv_central_32);
    const Expression tail = polynomial(root - 3, coefficients::erfinv_tail_32);
    factor = select(w < 5, central, tail);
  }
  const Expression edge = select(a == 1, std::numeric_limits<double>::infinity(),
                                 x.like(std::numeric_limits<double>::quiet_NaN()));
  return select(a < 1, factor * x, copy_sign(edge, x));
}

}  // namespace lazuli::kir::math
