#pragma once

#include <span>

#include <lazuli/array/array.h>

/// Derivatives of elementwise operations as graphs: what the rows of the table refer to.
namespace lazuli::derivatives {

/// A derivative that is asked for: of y = f(x...) with respect to one of the operands, times `g`. In a
/// gradient `g` is the cotangent of y, and the result is that of the operand, before sums over broadcast
/// axes; in a Jacobian-vector product `g` is the operand's tangent, and the result is its share of y's.
struct Partial {
  std::span<const array> x;
  const array& y;
  size_t operand;
  const array& g;
  bool is_gradient;

  /// g times a derivative; in the gradient of a complex function the derivative is conjugated.
  array times(const array& derivative) const;
  /// g over a number, in the same sense.
  array over(const array& number) const;
  /// A constant of the operands' dtype.
  array constant(double value) const;
};

array copy(const Partial& p);
array real(const Partial& p);
array imag(const Partial& p);
array conjugate(const Partial& p);
array make_complex(const Partial& p);

array subtract(const Partial& p);
array multiply(const Partial& p);
array divide(const Partial& p);
array remainder(const Partial& p);
array power(const Partial& p);
array negative(const Partial& p);
array abs(const Partial& p);
array sign(const Partial& p);
array square(const Partial& p);
array reciprocal(const Partial& p);
array maximum(const Partial& p);
array minimum(const Partial& p);

array sqrt(const Partial& p);
array rsqrt(const Partial& p);
array exp(const Partial& p);
array expm1(const Partial& p);
array log(const Partial& p);
array log2(const Partial& p);
array log10(const Partial& p);
array log1p(const Partial& p);
array logaddexp(const Partial& p);
array sin(const Partial& p);
array cos(const Partial& p);
array tan(const Partial& p);
array arcsin(const Partial& p);
array arccos(const Partial& p);
array arctan(const Partial& p);
array arctan2(const Partial& p);
array sinh(const Partial& p);
array cosh(const Partial& p);
array tanh(const Partial& p);
array arcsinh(const Partial& p);
array arccosh(const Partial& p);
array arctanh(const Partial& p);
array degrees(const Partial& p);
array radians(const Partial& p);
array sigmoid(const Partial& p);
array erf(const Partial& p);
array erfinv(const Partial& p);

array select(const Partial& p);

}  // namespace lazuli::derivatives
