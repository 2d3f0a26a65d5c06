#include <lazuli/ops/elementwise.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include <lazuli/ops/elementwise_table.h>

namespace lazuli {

namespace {

array unary(Elementwise id, const array& a, StreamOrDevice s) {
  return apply_elementwise(id, {a}, s);
}

array binary(Elementwise id, const array& a, const array& b, StreamOrDevice s) {
  return apply_elementwise(id, {a, b}, s);
}

/// Roundings leave integers alone.
array rounding(Elementwise id, const array& a, StreamOrDevice s) {
  return issubdtype(a.dtype(), inexact) ? unary(id, a, s) : a;
}

/// The largest finite value of a floating point dtype.
double largest(Dtype dtype) {
  if (dtype == float16) return 65504.0;
  if (dtype == bfloat16) return std::ldexp(255.0, 120);
  return dtype == float64 ? std::numeric_limits<double>::max() : std::numeric_limits<float>::max();
}

}  // namespace

// Arithmetic.

array add(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::add, a, b, s);
}
array subtract(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::subtract, a, b, s);
}
array multiply(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::multiply, a, b, s);
}
array divide(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::divide, a, b, s);
}
array floor_divide(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::floor_divide, a, b, s);
}
array remainder(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::remainder, a, b, s);
}
std::vector<array> divmod(const array& a, const array& b, StreamOrDevice s) {
  return {floor_divide(a, b, s), remainder(a, b, s)};
}
array power(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::power, a, b, s);
}
array negative(const array& a, StreamOrDevice s) {
  if (a.dtype() == bool_) {
    throw std::invalid_argument("[negative] bool is not supported: use logical_not instead");
  }
  return unary(Elementwise::negative, a, s);
}
array positive(const array& a, StreamOrDevice) {
  return a;
}
array abs(const array& a, StreamOrDevice s) {
  return unary(Elementwise::abs, a, s);
}
array sign(const array& a, StreamOrDevice s) {
  return unary(Elementwise::sign, a, s);
}
array square(const array& a, StreamOrDevice s) {
  return unary(Elementwise::square, a, s);
}
array reciprocal(const array& a, StreamOrDevice s) {
  return unary(Elementwise::reciprocal, a, s);
}
array maximum(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::maximum, a, b, s);
}
array minimum(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::minimum, a, b, s);
}
array clip(const array& a, const std::optional<array>& a_min, const std::optional<array>& a_max,
           StreamOrDevice s) {
  if (!a_min && !a_max) throw std::invalid_argument("[clip] at least one of a_min and a_max must be given");
  const array raised = a_min ? maximum(a, *a_min, s) : a;
  return a_max ? minimum(raised, *a_max, s) : raised;
}

array operator-(const array& a) {
  return negative(a);
}
array operator+(const array& a, const array& b) {
  return add(a, b);
}
array operator-(const array& a, const array& b) {
  return subtract(a, b);
}
array operator*(const array& a, const array& b) {
  return multiply(a, b);
}
array operator/(const array& a, const array& b) {
  return divide(a, b);
}
array operator%(const array& a, const array& b) {
  return remainder(a, b);
}

// Rounding.

array floor(const array& a, StreamOrDevice s) {
  return rounding(Elementwise::floor, a, s);
}
array ceil(const array& a, StreamOrDevice s) {
  return rounding(Elementwise::ceil, a, s);
}
array trunc(const array& a, StreamOrDevice s) {
  return rounding(Elementwise::trunc, a, s);
}
array round(const array& a, int decimals, StreamOrDevice s) {
  if (decimals == 0) return rounding(Elementwise::round, a, s);
  const Dtype dtype = at_least_float(a.dtype());
  const double scale = std::pow(10.0, decimals);
  const array scaled = multiply(a, array(scale, dtype), s);
  return astype(multiply(unary(Elementwise::round, scaled, s), array(1.0 / scale, dtype), s), a.dtype(), s);
}

// Functions of floating point.

array sqrt(const array& a, StreamOrDevice s) {
  return unary(Elementwise::sqrt, a, s);
}
array rsqrt(const array& a, StreamOrDevice s) {
  return unary(Elementwise::rsqrt, a, s);
}
array exp(const array& a, StreamOrDevice s) {
  return unary(Elementwise::exp, a, s);
}
array expm1(const array& a, StreamOrDevice s) {
  return unary(Elementwise::expm1, a, s);
}
array log(const array& a, StreamOrDevice s) {
  return unary(Elementwise::log, a, s);
}
array log2(const array& a, StreamOrDevice s) {
  return unary(Elementwise::log2, a, s);
}
array log10(const array& a, StreamOrDevice s) {
  return unary(Elementwise::log10, a, s);
}
array log1p(const array& a, StreamOrDevice s) {
  return unary(Elementwise::log1p, a, s);
}
array logaddexp(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::logaddexp, a, b, s);
}
array sin(const array& a, StreamOrDevice s) {
  return unary(Elementwise::sin, a, s);
}
array cos(const array& a, StreamOrDevice s) {
  return unary(Elementwise::cos, a, s);
}
array tan(const array& a, StreamOrDevice s) {
  return unary(Elementwise::tan, a, s);
}
array arcsin(const array& a, StreamOrDevice s) {
  return unary(Elementwise::arcsin, a, s);
}
array arccos(const array& a, StreamOrDevice s) {
  return unary(Elementwise::arccos, a, s);
}
array arctan(const array& a, StreamOrDevice s) {
  return unary(Elementwise::arctan, a, s);
}
array arctan2(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::arctan2, a, b, s);
}
array sinh(const array& a, StreamOrDevice s) {
  return unary(Elementwise::sinh, a, s);
}
array cosh(const array& a, StreamOrDevice s) {
  return unary(Elementwise::cosh, a, s);
}
array tanh(const array& a, StreamOrDevice s) {
  return unary(Elementwise::tanh, a, s);
}
array arcsinh(const array& a, StreamOrDevice s) {
  return unary(Elementwise::arcsinh, a, s);
}
array arccosh(const array& a, StreamOrDevice s) {
  return unary(Elementwise::arccosh, a, s);
}
array arctanh(const array& a, StreamOrDevice s) {
  return unary(Elementwise::arctanh, a, s);
}
array degrees(const array& a, StreamOrDevice s) {
  return unary(Elementwise::degrees, a, s);
}
array radians(const array& a, StreamOrDevice s) {
  return unary(Elementwise::radians, a, s);
}
array sigmoid(const array& a, StreamOrDevice s) {
  return unary(Elementwise::sigmoid, a, s);
}
array erf(const array& a, StreamOrDevice s) {
  return unary(Elementwise::erf, a, s);
}
array erfinv(const array& a, StreamOrDevice s) {
  return unary(Elementwise::erfinv, a, s);
}

// Comparison.

array equal(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::equal, a, b, s);
}
array not_equal(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::not_equal, a, b, s);
}
array greater(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::greater, a, b, s);
}
array greater_equal(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::greater_equal, a, b, s);
}
array less(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::less, a, b, s);
}
array less_equal(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::less_equal, a, b, s);
}
array isnan(const array& a, StreamOrDevice s) {
  return unary(Elementwise::isnan, a, s);
}
array isinf(const array& a, StreamOrDevice s) {
  return unary(Elementwise::isinf, a, s);
}
array isfinite(const array& a, StreamOrDevice s) {
  return unary(Elementwise::isfinite, a, s);
}
array isposinf(const array& a, StreamOrDevice s) {
  return unary(Elementwise::isposinf, a, s);
}
array isneginf(const array& a, StreamOrDevice s) {
  return unary(Elementwise::isneginf, a, s);
}

array isclose(const array& a, const array& b, double rtol, double atol, bool equal_nan, StreamOrDevice s) {
  const Dtype dtype = at_least_float(promote_types(a.dtype(), b.dtype()));
  const Dtype real_dtype = dtype == complex64 ? float32 : dtype;
  const array x = astype(a, dtype, s);
  const array y = astype(b, dtype, s);
  const array tolerance = add(array(atol, real_dtype), multiply(array(rtol, real_dtype), abs(y, s), s), s);
  const array is_near = logical_and(less_equal(abs(subtract(x, y, s), s), tolerance, s), isfinite(y, s), s);
  // Equal infinities are close, though their difference is not a number.
  array result = logical_or(is_near, equal(x, y, s), s);
  if (equal_nan) result = logical_or(result, logical_and(isnan(x, s), isnan(y, s), s), s);
  return result;
}

array operator==(const array& a, const array& b) {
  return equal(a, b);
}
array operator!=(const array& a, const array& b) {
  return not_equal(a, b);
}
array operator>(const array& a, const array& b) {
  return greater(a, b);
}
array operator>=(const array& a, const array& b) {
  return greater_equal(a, b);
}
array operator<(const array& a, const array& b) {
  return less(a, b);
}
array operator<=(const array& a, const array& b) {
  return less_equal(a, b);
}

// Logic and bits.

array logical_not(const array& a, StreamOrDevice s) {
  return unary(Elementwise::logical_not, a, s);
}
array logical_and(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::logical_and, a, b, s);
}
array logical_or(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::logical_or, a, b, s);
}
array logical_xor(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::logical_xor, a, b, s);
}
array operator&&(const array& a, const array& b) {
  return logical_and(a, b);
}
array operator||(const array& a, const array& b) {
  return logical_or(a, b);
}

array bitwise_and(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::bitwise_and, a, b, s);
}
array bitwise_or(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::bitwise_or, a, b, s);
}
array bitwise_xor(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::bitwise_xor, a, b, s);
}
array bitwise_invert(const array& a, StreamOrDevice s) {
  return unary(Elementwise::bitwise_invert, a, s);
}
array left_shift(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::left_shift, a, b, s);
}
array right_shift(const array& a, const array& b, StreamOrDevice s) {
  return binary(Elementwise::right_shift, a, b, s);
}
array operator&(const array& a, const array& b) {
  return bitwise_and(a, b);
}
array operator|(const array& a, const array& b) {
  return bitwise_or(a, b);
}
array operator^(const array& a, const array& b) {
  return bitwise_xor(a, b);
}
array operator<<(const array& a, const array& b) {
  return left_shift(a, b);
}
array operator>>(const array& a, const array& b) {
  return right_shift(a, b);
}
array operator~(const array& a) {
  return bitwise_invert(a);
}

// Selection.

array where(const array& condition, const array& x, const array& y, StreamOrDevice s) {
  return apply_elementwise(Elementwise::select, {condition, x, y}, s);
}

array nan_to_num(const array& a, float nan, const std::optional<float> posinf,
                 const std::optional<float> neginf, StreamOrDevice s) {
  const Dtype dtype = a.dtype();
  if (!issubdtype(dtype, inexact)) return a;
  if (dtype == complex64) {
    return apply_elementwise(
        Elementwise::make_complex,
        {nan_to_num(real(a, s), nan, posinf, neginf, s), nan_to_num(imag(a, s), nan, posinf, neginf, s)}, s);
  }
  const array high(posinf ? static_cast<double>(*posinf) : largest(dtype), dtype);
  const array low(neginf ? static_cast<double>(*neginf) : -largest(dtype), dtype);
  const array finite = where(isposinf(a, s), high, where(isneginf(a, s), low, a, s), s);
  return where(isnan(a, s), array(nan, dtype), finite, s);
}

}  // namespace lazuli
