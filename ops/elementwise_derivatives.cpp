#include <lazuli/ops/elementwise_derivatives.h>

#include <numbers>
#include <stdexcept>

#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>

namespace lazuli::derivatives {

namespace {

using std::numbers::ln10;
using std::numbers::ln2;
using std::numbers::pi;

bool is_complex(const array& a) {
  return a.dtype() == complex64;
}

/// The real number as a complex one, unless it is one already.
array complex_of(const array& a) {
  return astype(a, complex64);
}

array imaginary(const array& a) {
  return apply_elementwise(Elementwise::make_complex, {array(0.0f), a}, {});
}

/// x² + c, c - x² and so on are written with x·x: one rounding, and a derivative as simple.
array squared(const array& a) {
  return lazuli::square(a);
}

}  // namespace

array Partial::times(const array& derivative) const {
  return lazuli::multiply(g, is_gradient ? lazuli::conjugate(derivative) : derivative);
}

array Partial::over(const array& number) const {
  return lazuli::divide(g, is_gradient ? lazuli::conjugate(number) : number);
}

array Partial::constant(double value) const {
  return array(value, x.back().dtype());
}

array copy(const Partial& p) {
  return p.g;
}

array real(const Partial& p) {
  if (!is_complex(p.x[0])) return p.g;
  return p.is_gradient ? complex_of(p.g) : lazuli::real(p.g);
}

array imag(const Partial& p) {
  if (!is_complex(p.x[0])) return zeros_like(p.g);
  return p.is_gradient ? imaginary(p.g) : lazuli::imag(p.g);
}

array conjugate(const Partial& p) {
  return lazuli::conjugate(p.g);
}

array make_complex(const Partial& p) {
  const bool is_real_part = p.operand == 0;
  if (p.is_gradient) return is_real_part ? lazuli::real(p.g) : lazuli::imag(p.g);
  return is_real_part ? complex_of(p.g) : imaginary(p.g);
}

array subtract(const Partial& p) {
  return p.operand == 0 ? p.g : lazuli::negative(p.g);
}
array multiply(const Partial& p) {
  return p.times(p.x[1 - p.operand]);
}
array divide(const Partial& p) {
  const array of_first = p.over(p.x[1]);
  if (p.operand == 0) return of_first;
  const array quotient = p.is_gradient ? lazuli::conjugate(p.y) : p.y;
  return lazuli::negative(lazuli::multiply(of_first, quotient));
}
array remainder(const Partial& p) {
  return p.operand == 0 ? p.g : p.times(lazuli::negative(lazuli::floor_divide(p.x[0], p.x[1])));
}
array power(const Partial& p) {
  // Where the factor in front is 0 so is the derivative, whatever is behind it: 0 · ∞ at x = 0.
  const array& x = p.x[0];
  const array& exponent = p.x[1];
  const array zero = p.constant(0);
  if (p.operand == 0) {
    const array lowered = lazuli::power(x, lazuli::subtract(exponent, p.constant(1)));
    return p.times(where(exponent == zero, zero, lazuli::multiply(exponent, lowered)));
  }
  const array is_zero = x == zero;
  return p.times(where(is_zero, zero, lazuli::multiply(p.y, lazuli::log(where(is_zero, p.constant(1), x)))));
}
array negative(const Partial& p) {
  return lazuli::negative(p.g);
}
array abs(const Partial& p) {
  const array direction = lazuli::sign(p.x[0]);
  if (!is_complex(p.x[0])) return lazuli::multiply(p.g, direction);
  if (p.is_gradient) return lazuli::multiply(complex_of(p.g), direction);
  return lazuli::real(lazuli::multiply(p.g, lazuli::conjugate(direction)));
}
array sign(const Partial& p) {
  if (!is_complex(p.x[0])) return zeros_like(p.g);
  throw std::invalid_argument("[vjp] sign has no gradient for complex64");
}
array square(const Partial& p) {
  return p.times(lazuli::multiply(p.constant(2), p.x[0]));
}
array reciprocal(const Partial& p) {
  return lazuli::negative(p.times(squared(p.y)));
}
// Of equal operands the second counts.
array maximum(const Partial& p) {
  const array is_first = lazuli::greater(p.x[0], p.x[1]);
  const array zero = p.constant(0);
  return p.operand == 0 ? where(is_first, p.g, zero) : where(is_first, zero, p.g);
}
array minimum(const Partial& p) {
  const array is_first = lazuli::less(p.x[0], p.x[1]);
  const array zero = p.constant(0);
  return p.operand == 0 ? where(is_first, p.g, zero) : where(is_first, zero, p.g);
}

array sqrt(const Partial& p) {
  return p.over(lazuli::add(p.y, p.y));
}
array rsqrt(const Partial& p) {
  return p.times(lazuli::multiply(p.constant(-0.5), lazuli::multiply(p.y, squared(p.y))));
}
array exp(const Partial& p) {
  return p.times(p.y);
}
array expm1(const Partial& p) {
  return p.times(lazuli::add(p.y, p.constant(1)));
}
array log(const Partial& p) {
  return p.over(p.x[0]);
}
array log2(const Partial& p) {
  return p.over(lazuli::multiply(p.x[0], p.constant(ln2)));
}
array log10(const Partial& p) {
  return p.over(lazuli::multiply(p.x[0], p.constant(ln10)));
}
array log1p(const Partial& p) {
  return p.over(lazuli::add(p.x[0], p.constant(1)));
}
array logaddexp(const Partial& p) {
  // Equal infinities have no difference, but the share of the larger operand is 1.
  const array& own = p.x[p.operand];
  return p.times(where(own == p.y, p.constant(1), lazuli::exp(lazuli::subtract(own, p.y))));
}
array sin(const Partial& p) {
  return p.times(lazuli::cos(p.x[0]));
}
array cos(const Partial& p) {
  return lazuli::negative(p.times(lazuli::sin(p.x[0])));
}
array tan(const Partial& p) {
  return p.times(lazuli::add(squared(p.y), p.constant(1)));
}
array arcsin(const Partial& p) {
  return p.times(lazuli::rsqrt(lazuli::subtract(p.constant(1), squared(p.x[0]))));
}
array arccos(const Partial& p) {
  return lazuli::negative(arcsin(p));
}
array arctan(const Partial& p) {
  return p.over(lazuli::add(squared(p.x[0]), p.constant(1)));
}
array arctan2(const Partial& p) {
  const array norm = lazuli::add(squared(p.x[0]), squared(p.x[1]));
  const array scaled = p.times(lazuli::divide(p.x[1 - p.operand], norm));
  return p.operand == 0 ? scaled : lazuli::negative(scaled);
}
array sinh(const Partial& p) {
  return p.times(lazuli::cosh(p.x[0]));
}
array cosh(const Partial& p) {
  return p.times(lazuli::sinh(p.x[0]));
}
array tanh(const Partial& p) {
  return p.times(lazuli::subtract(p.constant(1), squared(p.y)));
}
array arcsinh(const Partial& p) {
  return p.times(lazuli::rsqrt(lazuli::add(squared(p.x[0]), p.constant(1))));
}
array arccosh(const Partial& p) {
  // Two roots rather than one of the product, for the branch that complex numbers take.
  const array low = lazuli::rsqrt(lazuli::subtract(p.x[0], p.constant(1)));
  return p.times(lazuli::multiply(low, lazuli::rsqrt(lazuli::add(p.x[0], p.constant(1)))));
}
array arctanh(const Partial& p) {
  return p.over(lazuli::subtract(p.constant(1), squared(p.x[0])));
}
array degrees(const Partial& p) {
  return p.times(p.constant(180 / pi));
}
array radians(const Partial& p) {
  return p.times(p.constant(pi / 180));
}
array sigmoid(const Partial& p) {
  return p.times(lazuli::multiply(p.y, lazuli::subtract(p.constant(1), p.y)));
}
array erf(const Partial& p) {
  const array gauss = lazuli::exp(lazuli::negative(squared(p.x[0])));
  return p.times(lazuli::multiply(p.constant(2 * std::numbers::inv_sqrtpi), gauss));
}
array erfinv(const Partial& p) {
  return p.times(lazuli::multiply(p.constant(0.5 / std::numbers::inv_sqrtpi), lazuli::exp(squared(p.y))));
}

array select(const Partial& p) {
  const array zero = p.constant(0);
  return p.operand == 1 ? where(p.x[0], p.g, zero) : where(p.x[0], zero, p.g);
}

}  // namespace lazuli::derivatives
