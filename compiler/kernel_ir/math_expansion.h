#pragma once

#include <array>
#include <cstddef>

#include <lazuli/compiler/kernel_ir/expression.h>
#include <lazuli/compiler/kernel_ir/instruction_table.h>

/// Expansions of math instructions into basic ones, for float32 and float64. They are free of branches: a
/// vector's elements take all paths, and `select` picks. Within 2 ULP in float32, but for the short ones.
namespace lazuli::kir::math {

/// What is known of a math instruction, so that a shorter expansion serves as well.
struct Known {
  bool rounded = false;       ///< its value only goes into values that are rounded to 16 bits
  bool not_positive = false;  ///< its operand is 0 or less, or no number
  bool beside_1 = false;      ///< it only goes into sums of which one operand is 1 at least
};

/// The expansion of a math instruction (`b` is ignored by those with one operand).
Expression expand(Opcode op, Expression a, Expression b, Known known, MathForm form);

Expression exp(Expression x);
Expression expm1(Expression x);
Expression sinh(Expression x);
Expression cosh(Expression x);
Expression tanh(Expression x);
Expression sigmoid(Expression x);

Expression log(Expression x);
Expression log2(Expression x);
Expression log10(Expression x);
Expression log1p(Expression x);
Expression asinh(Expression x);
Expression acosh(Expression x);
Expression atanh(Expression x);
Expression pow(Expression x, Expression y);
/// By repeated squaring; a negative exponent gives 0 but for the bases 1 and -1.
Expression integer_pow(Expression x, Expression y);

Expression sin(Expression x);
Expression cos(Expression x);
Expression tan(Expression x);
Expression asin(Expression x);
Expression acos(Expression x);
Expression atan(Expression x);
Expression atan2(Expression y, Expression x);

Expression erf(Expression x);
Expression erfinv(Expression x);

// For float32 values that are rounded to float16 or bfloat16 before anybody sees them (math_short.cpp).
Expression short_exp(Expression x);
/// a / b by the reciprocal of b, which is worth it where b is the same for many a.
Expression short_divide(Expression a, Expression b);
Expression short_sigmoid(Expression x);
Expression short_tanh(Expression x);
Expression short_erf(Expression x);
/// erf(x) + 1, with relative accuracy too where the two nearly cancel (down to x = -6).
Expression short_erf_plus_1(Expression x);

// Those of float32 that look tables up (math_by_table.cpp).
Expression exp_by_table(Expression x, bool not_positive);
/// The same where it is only added to others, one of which is 1 or more: off by 2^-24 of that.
Expression summed_exp_by_table(Expression x, bool not_positive);
Expression erf_by_table(Expression x);
Expression short_erf_by_table(Expression x);
/// x * (1 + erf(x * factor)) for a factor above 0, a zero's sign aside.
Expression short_times_erf_plus_1_by_table(Expression x, double factor);
Expression short_exp_by_table(Expression x, bool not_positive);
Expression short_sigmoid_by_table(Expression x);

// What the functions above share.

/// A floating-point type's layout.
struct Format {
  Dtype type;
  Dtype integer;
  int mantissa;  ///< stored bits of the mantissa
  int bias;      ///< of the exponent

  /// 1.5 * 2^mantissa: added to a small number, leaves its nearest integer in the low bits.
  double magic() const { return type == float64 ? 0x1.8p52 : 0x1.8p23; }
};
inline Format format_of(Expression x) {
  return x.type() == float64 ? Format{float64, int64, 52, 1023} : Format{float32, int32, 23, 127};
}

/// One of two constants, by type.
inline double pick(Expression x, double for_float32, double for_float64) {
  return x.type() == float64 ? for_float64 : for_float32;
}

/// coefficients[0] + x * (coefficients[1] + x * ...), with the fewest operations and roundings.
template <size_t n>
Expression horner(Expression x, const std::array<double, n>& coefficients) {
  Expression result = x.like(coefficients[n - 1]);
  for (size_t i = n - 1; i-- > 0;) result = fma(result, x, coefficients[i]);
  return result;
}

/// The same polynomial; a long one with a shorter chain of dependent steps.
template <size_t n>
Expression polynomial(Expression x, const std::array<double, n>& coefficients) {
  if constexpr (n < 6) {
    return horner(x, coefficients);
  } else {
    // Even and odd terms side by side: half as long a chain of dependent steps for one more multiplication.
    const Expression square = x * x;
    Expression even = x.like(coefficients[(n - 1) / 2 * 2]);
    Expression odd = x.like(coefficients[n / 2 * 2 - 1]);
    for (size_t i = (n - 1) / 2 * 2; i >= 2; i -= 2) even = fma(even, square, coefficients[i - 2]);
    for (size_t i = n / 2 * 2 - 1; i >= 3; i -= 2) odd = fma(odd, square, coefficients[i - 2]);
    return fma(odd, x, even);
  }
}

/// A number as the sum of two of the type, for constants that need more bits than it has.
struct Split {
  double high;
  double low;
};
inline Split split(Expression x, long double value) {
  if (x.type() == float64) {
    const auto high = static_cast<double>(value);
    return {high, static_cast<double>(value - high)};
  }
  const auto high = static_cast<float>(value);
  return {high, static_cast<double>(static_cast<float>(value - high))};
}

/// x = n * ln 2 + r with |r| <= ln 2 / 2. The low bits of `bits` are n + 2 * bias.
struct ExponentialReduction {
  Expression bits;
  Expression r;
};
ExponentialReduction reduce_exponential(Expression x);
/// e^r for a reduced argument.
Expression reduced_exp(Expression r);
/// p * 2^n for `bits` as above, n from far below the least exponent to one above the largest.
Expression scale(Expression p, Expression bits);
/// 2^(n + extra), which has to be in range.
Expression power_of_two(Expression bits, Format format, int extra);

/// log(x) for normal, positive, finite x.
Expression log_of_normal(Expression x);
/// The same, and what its rounding lost.
struct LogarithmInParts {
  Expression high;
  Expression low;
};
LogarithmInParts log_of_normal_in_parts(Expression x);

}  // namespace lazuli::kir::math
