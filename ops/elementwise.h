#pragma once

#include <optional>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// Operations on elements. Operands of different shapes broadcast as in NumPy and operands of different
/// dtypes are promoted (`promote_types`); std::invalid_argument says where shapes or dtypes do not fit.
/// "Real" below means that complex64 is an error.
namespace lazuli {

// Conversion -----------------------------------------------------------------------------------------------

/// `a` with elements converted to `dtype`: float to integer truncates and saturates (NaN gives 0), anything
/// to bool is `!= 0`, complex to real takes the real part.
array astype(const array& a, Dtype dtype, StreamOrDevice s = {});
/// The bytes of `a` read as elements of `dtype`. Where the sizes differ, the last extent changes accordingly;
/// throws where it cannot.
array view(const array& a, const Dtype& dtype, StreamOrDevice s = {});
/// `a`, in memory of its own.
array copy(const array& a, StreamOrDevice s = {});
/// `a`, whose elements lie in row-major order once it is evaluated. (`allow_col_major` is accepted; the
/// result is row-major all the same.)
array contiguous(const array& a, bool allow_col_major = false, StreamOrDevice s = {});
/// `a`, through which no gradient flows.
array stop_gradient(const array& a, StreamOrDevice s = {});
/// The real part: float32 for complex64, `a` itself otherwise.
array real(const array& a, StreamOrDevice s = {});
/// The imaginary part: float32 for complex64, zeros of `a`'s dtype otherwise.
array imag(const array& a, StreamOrDevice s = {});
/// The complex conjugate; `a` itself where it is not complex.
array conjugate(const array& a, StreamOrDevice s = {});

// Arithmetic -----------------------------------------------------------------------------------------------

/// a + b. Integers wrap; of bools it is `or`.
array add(const array& a, const array& b, StreamOrDevice s = {});
/// a - b. Integers wrap; of bools it is `xor`.
array subtract(const array& a, const array& b, StreamOrDevice s = {});
/// a * b. Integers wrap; of bools it is `and`.
array multiply(const array& a, const array& b, StreamOrDevice s = {});
/// a / b, in floating point: integers are converted to float32 first.
array divide(const array& a, const array& b, StreamOrDevice s = {});
/// The quotient rounded towards negative infinity, real. An integer divided by zero gives 0.
array floor_divide(const array& a, const array& b, StreamOrDevice s = {});
/// What `floor_divide` leaves: it has the sign of `b`, real. The remainder by the integer zero is 0.
array remainder(const array& a, const array& b, StreamOrDevice s = {});
/// `{floor_divide(a, b), remainder(a, b)}`.
std::vector<array> divmod(const array& a, const array& b, StreamOrDevice s = {});
/// a to the power b. For integers, negative exponents give 0.
array power(const array& a, const array& b, StreamOrDevice s = {});
/// -a; not for bool.
array negative(const array& a, StreamOrDevice s = {});
/// `a` itself.
array positive(const array& a, StreamOrDevice s = {});
/// The absolute value; of complex64 the modulus, float32.
array abs(const array& a, StreamOrDevice s = {});
/// -1, 0 or 1 (0 for NaN); of complex64, a / |a|, or 0.
array sign(const array& a, StreamOrDevice s = {});
/// a * a.
array square(const array& a, StreamOrDevice s = {});
/// 1 / a, in floating point.
array reciprocal(const array& a, StreamOrDevice s = {});
/// The larger; NaN if either is NaN.
array maximum(const array& a, const array& b, StreamOrDevice s = {});
/// The smaller; NaN if either is NaN.
array minimum(const array& a, const array& b, StreamOrDevice s = {});
/// `a` limited to [a_min, a_max], either of which may be missing; throws where both are.
array clip(const array& a, const std::optional<array>& a_min = std::nullopt,
           const std::optional<array>& a_max = std::nullopt, StreamOrDevice s = {});

array operator-(const array& a);  // each as the function that does the same
array operator+(const array& a, const array& b);
array operator-(const array& a, const array& b);
array operator*(const array& a, const array& b);
array operator/(const array& a, const array& b);
array operator%(const array& a, const array& b);

// Rounding: the dtype stays, integers are unchanged, real
// ----------------------------------------------------

array floor(const array& a, StreamOrDevice s = {});
array ceil(const array& a, StreamOrDevice s = {});
array trunc(const array& a, StreamOrDevice s = {});
/// To the nearest, ties to even, with `decimals` decimal places. Complex numbers part by part.
array round(const array& a, int decimals, StreamOrDevice s = {});
inline array round(const array& a, StreamOrDevice s = {}) {
  return round(a, 0, s);
}

// Functions of floating point: integers are converted to float32 first
// ---------------------------------------

array sqrt(const array& a, StreamOrDevice s = {});
/// 1 / sqrt(a).
array rsqrt(const array& a, StreamOrDevice s = {});
array exp(const array& a, StreamOrDevice s = {});
/// exp(a) - 1, exact near zero.
array expm1(const array& a, StreamOrDevice s = {});
array log(const array& a, StreamOrDevice s = {});
array log2(const array& a, StreamOrDevice s = {});
array log10(const array& a, StreamOrDevice s = {});
/// log(1 + a), exact near zero.
array log1p(const array& a, StreamOrDevice s = {});
/// log(exp(a) + exp(b)), without overflow.
array logaddexp(const array& a, const array& b, StreamOrDevice s = {});
array sin(const array& a, StreamOrDevice s = {});
array cos(const array& a, StreamOrDevice s = {});
array tan(const array& a, StreamOrDevice s = {});
array arcsin(const array& a, StreamOrDevice s = {});
array arccos(const array& a, StreamOrDevice s = {});
array arctan(const array& a, StreamOrDevice s = {});
/// The angle of the point (b, a), real.
array arctan2(const array& a, const array& b, StreamOrDevice s = {});
array sinh(const array& a, StreamOrDevice s = {});
array cosh(const array& a, StreamOrDevice s = {});
array tanh(const array& a, StreamOrDevice s = {});
array arcsinh(const array& a, StreamOrDevice s = {});
array arccosh(const array& a, StreamOrDevice s = {});
array arctanh(const array& a, StreamOrDevice s = {});
/// Radians to degrees, real.
array degrees(const array& a, StreamOrDevice s = {});
/// Degrees to radians, real.
array radians(const array& a, StreamOrDevice s = {});
/// 1 / (1 + exp(-a)).
array sigmoid(const array& a, StreamOrDevice s = {});
/// The error function, real.
array erf(const array& a, StreamOrDevice s = {});
/// The inverse of `erf`, real.
array erfinv(const array& a, StreamOrDevice s = {});

// Comparison: the result is bool; complex numbers compare lexicographically
// -----------------------------------

array equal(const array& a, const array& b, StreamOrDevice s = {});
array not_equal(const array& a, const array& b, StreamOrDevice s = {});
array greater(const array& a, const array& b, StreamOrDevice s = {});
array greater_equal(const array& a, const array& b, StreamOrDevice s = {});
array less(const array& a, const array& b, StreamOrDevice s = {});
array less_equal(const array& a, const array& b, StreamOrDevice s = {});
/// |a - b| <= atol + rtol * |b|; infinities are close to themselves, NaN is close to NaN if `equal_nan`.
array isclose(const array& a, const array& b, double rtol = 1e-5, double atol = 1e-8, bool equal_nan = false,
              StreamOrDevice s = {});
array isnan(const array& a, StreamOrDevice s = {});
array isinf(const array& a, StreamOrDevice s = {});
array isfinite(const array& a, StreamOrDevice s = {});
array isposinf(const array& a, StreamOrDevice s = {});
array isneginf(const array& a, StreamOrDevice s = {});

array operator==(const array& a, const array& b);  // equal, not_equal, ...
array operator!=(const array& a, const array& b);
array operator>(const array& a, const array& b);
array operator>=(const array& a, const array& b);
array operator<(const array& a, const array& b);
array operator<=(const array& a, const array& b);

// Logic: operands are converted to bool first, the result is bool
// --------------------------------------------

array logical_not(const array& a, StreamOrDevice s = {});  // 0 is false
array logical_and(const array& a, const array& b, StreamOrDevice s = {});
array logical_or(const array& a, const array& b, StreamOrDevice s = {});
array logical_xor(const array& a, const array& b, StreamOrDevice s = {});
array operator&&(const array& a, const array& b);
array operator||(const array& a, const array& b);

// Bits: integers and bool only
// ---------------------------------------------------------------------------------

array bitwise_and(const array& a, const array& b, StreamOrDevice s = {});
array bitwise_or(const array& a, const array& b, StreamOrDevice s = {});
array bitwise_xor(const array& a, const array& b, StreamOrDevice s = {});
array bitwise_invert(const array& a, StreamOrDevice s = {});
/// Shifted by a count of the width or more, every bit is lost. Bools become uint8 first.
array left_shift(const array& a, const array& b, StreamOrDevice s = {});
/// Signed types keep their sign. Bools become uint8 first.
array right_shift(const array& a, const array& b, StreamOrDevice s = {});
array operator&(const array& a, const array& b);
array operator|(const array& a, const array& b);
array operator^(const array& a, const array& b);
array operator<<(const array& a, const array& b);
array operator>>(const array& a, const array& b);
array operator~(const array& a);

// Selection
// ----------------------------------------------------------------------------------------------------

/// x where `condition` (converted to bool) holds, y elsewhere.
array where(const array& condition, const array& x, const array& y, StreamOrDevice s = {});
/// `a` with NaN replaced by `nan`, and infinities by `posinf` and `neginf`, or by the dtype's largest and
/// smallest finite value where those are missing.
array nan_to_num(const array& a, float nan = 0.0f, const std::optional<float> posinf = std::nullopt,
                 const std::optional<float> neginf = std::nullopt, StreamOrDevice s = {});

}  // namespace lazuli
