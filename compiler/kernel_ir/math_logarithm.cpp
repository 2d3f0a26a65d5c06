#include <limits>
#include <numbers>

#include <lazuli/compiler/kernel_ir/math_coefficients.h>
#include <lazuli/compiler/kernel_ir/math_expansion.h>

namespace lazuli::kir::math {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// x = (1 + f) * 2^e with 1 + f between sqrt(1/2) and sqrt(2).
struct Decomposition {
  Expression f;
  Expression e;
  Expression integer_e;
};

Decomposition decompose_normal(Expression x) {
  const Format format = format_of(x);
  const Expression bits = x.bitcast(format.integer);
  // Counting from sqrt(1/2) instead of 1 centres the mantissa.
  const uint64_t offset = format.type == float64 ? 0x3fe6a09e667f3bcdu : 0x3f3504f3u;
  const uint64_t mask = (uint64_t{1} << format.mantissa) - 1;
  const Expression moved = bits - bits.bits_like(offset);
  const Expression e = moved.shift_right(format.mantissa);
  const Expression m = ((moved & bits.bits_like(mask)) + bits.bits_like(offset)).bitcast(format.type);
  // Few machines convert vectors of int64; adding to the bits of a large number does it too.
  const Expression as_float = format.type == float64
                                  ? (e + e.bits_like(0x4338000000000000u)).bitcast(float64) - 0x1.8p52
                                  : e.cast(float32);
  return {m - 1, as_float, e};
}

Decomposition decompose(Expression x) {
  const Expression small = x < pick(x, 0x1p-126, 0x1p-1022);
  const double shift = pick(x, 24, 54);
  Decomposition d = decompose_normal(select(small, x * pick(x, 0x1p24, 0x1p54), x));
  d.e = d.e - select(small, shift, x.like(0));
  return d;
}

/// log(1 + f) - f.
Expression log_tail(Expression f) {
  if (f.type() == float32) return f * f * fma(polynomial(f, coefficients::log_32), f, -0.5);
  // log(1 + f) = log((1 + s) / (1 - s)) = 2 s + s z R(z), and f = 2 s + s f.
  const Expression s = f / (f + 2);
  const Expression z = s * s;
  const Expression half = f * f * 0.5;
  return fma(s, fma(z, polynomial(z, coefficients::log_64), half), -half);
}

/// The logarithm of zero and of negative numbers, NaN and infinity; `result` is that of the others.
Expression with_special_cases(Expression x, Expression result) {
  result = select(x < infinity, result, x);
  return select(x <= 0, select(x == 0, -infinity, x.like(not_a_number)), result);
}

Expression natural(const Decomposition& d) {
  const Split ln2 = split(d.f, std::numbers::ln2_v<long double>);
  return fma(d.e, ln2.high, d.f + fma(d.e, ln2.low, log_tail(d.f)));
}

/// log(1 + f) * factor.
Expression scaled(Expression f, long double factor) {
  const Split k = split(f, factor);
  return fma(f, k.high, fma(log_tail(f), k.high, f * k.low));
}

/// A sum of two float64 values, for the logarithm in `pow`.
struct Pair {
  Expression high;
  Expression low;
};

/// a + b exactly, for |a| >= |b|.
Pair fast_sum(Expression a, Expression b) {
  const Expression sum = a + b;
  return {sum, b - (sum - a)};
}

Pair product(Pair a, Pair b) {
  const Expression high = a.high * b.high;
  return fast_sum(high, fma(a.high, b.low, fma(a.low, b.high, fma(a.high, b.high, -high))));
}

/// log(x) to about 66 bits, of positive, finite x.
Pair accurate_log(Expression x) {
  const Decomposition d = decompose(x);
  const Expression f = d.f;
  const Expression denominator = f + 2;
  const Expression denominator_low = f - (denominator - 2);
  const Expression s_high = f / denominator;
  const Expression remainder = fma(-s_high, denominator_low, fma(-s_high, denominator, f));
  const Pair s{s_high, remainder / denominator};
  const Pair z = product(s, s);
  // 2 s + s z (2/3 + z (...)): the first terms as pairs.
  constexpr auto& all = coefficients::log_pow_64;
  constexpr std::array<double, all.size() - 1> after_first{all[1], all[2], all[3], all[4],
                                                           all[5], all[6], all[7], all[8]};
  const Split two_thirds = split(f, 2.0L / 3);
  const Expression tail = fma(z.high, polynomial(z.high, after_first), all[0] - two_thirds.high);
  Pair slope = fast_sum(f.like(two_thirds.high), tail);
  slope.low = slope.low + two_thirds.low;
  const Pair cubic = product(product(s, z), slope);
  // 42 bits of ln 2, so that their product with an exponent is exact.
  constexpr double ln2_high = 0x1.62e42fefa38p-1;
  constexpr auto ln2_low = static_cast<double>(std::numbers::ln2_v<long double> - ln2_high);
  const Pair twice{s.high * 2, s.low * 2};
  const Pair first = fast_sum(twice.high, cubic.high);
  const Expression e_high = d.e * ln2_high;
  const Expression sum = e_high + first.high;
  const Expression sum_low = first.high - (sum - e_high);
  return fast_sum(sum, sum_low + (first.low + (fma(d.e, ln2_low, twice.low + cubic.low))));
}

/// The result of pow from `magnitude`, that of |x|, with the sign and the special cases.
Expression finish_pow(Expression x, Expression y, Expression magnitude) {
  const Format format = format_of(x);
  const Expression a = abs(x);
  const Expression is_integer = rint(y) == y;
  const Expression half = y * 0.5;
  const Expression is_odd = is_integer & (rint(half) != half);
  const Expression sign =
      x.bitcast(format.integer) &
      x.bitcast(format.integer).bits_like(uint64_t{1} << (format.type == float64 ? 63 : 31));
  const Expression signed_bits = magnitude.bitcast(format.integer) | sign;
  Expression result = select(is_odd, signed_bits.bitcast(format.type), magnitude);
  result = select((x < 0) & (x > -infinity) & !is_integer, not_a_number, result);
  result = select((x != x) | (y != y), x + y, result);
  return select((y == 0) | (x == 1) | ((a == 1) & (abs(y) == infinity)), 1, result);
}

Expression pow_32(Expression x, Expression y) {
  const Expression a = abs(x);
  Expression log_a = log_of_normal(a.cast(float64));
  log_a = select(a.cast(float64) == 0, -infinity, log_a);
  log_a = select(a.cast(float64) == infinity, infinity, log_a);
  Expression t = y.cast(float64) * log_a * std::numbers::log2e;
  t = select(t < -160, -160, t);
  t = select(t > 160, 160, t);
  const Expression n = rint(t);
  const Expression r = ((t - n) * std::numbers::ln2).cast(float32);
  const Expression bits = (n.cast(float32) + (0x1.8p23 + 2 * 127)).bitcast(int32);
  return finish_pow(x, y, scale(reduced_exp(r), bits));
}

Expression pow_64(Expression x, Expression y) {
  const Expression a = abs(x);
  Pair log_a = accurate_log(a);
  log_a.high = select(a == 0, -infinity, log_a.high);
  log_a.high = select(a == infinity, infinity, log_a.high);
  const Expression product_high = y * log_a.high;
  const Expression product_low = fma(y, log_a.low, fma(y, log_a.high, -product_high));
  const Expression outside = abs(product_high) > 800;
  const Expression high = select(outside, copy_sign(x.like(800), product_high), product_high);
  const ExponentialReduction reduced = reduce_exponential(high);
  const Expression r = reduced.r + select(outside, 0, product_low);
  return finish_pow(x, y, scale(reduced_exp(r), reduced.bits));
}

}  // namespace

Expression log_of_normal(Expression x) {
  return natural(decompose_normal(x));
}

LogarithmInParts log_of_normal_in_parts(Expression x) {
  const Decomposition d = decompose_normal(x);
  const Split ln2 = split(d.f, std::numbers::ln2_v<long double>);
  const Expression rest = d.f + fma(d.e, ln2.low, log_tail(d.f));
  const Expression high = fma(d.e, ln2.high, rest);
  return {high, fma(d.e, ln2.high, -high) + rest};
}

Expression log(Expression x) {
  return with_special_cases(x, natural(decompose(x)));
}

Expression log2(Expression x) {
  const Decomposition d = decompose(x);
  return with_special_cases(x, d.e + scaled(d.f, std::numbers::log2e_v<long double>));
}

Expression log10(Expression x) {
  const Decomposition d = decompose(x);
  const Split log10_2 = split(x, std::numbers::ln2_v<long double> / std::numbers::ln10_v<long double>);
  const Expression mantissa = scaled(d.f, std::numbers::log10e_v<long double>);
  return with_special_cases(x, fma(d.e, log10_2.high, fma(d.e, log10_2.low, mantissa)));
}

Expression log1p(Expression x) {
  const Format format = format_of(x);
  const Expression u = x + 1;
  // What rounding u lost, which matters as long as u is not much larger than 1.
  const Expression back = u - 1;
  const Expression lost = (1 - (u - back)) + (x - back);
  Decomposition d = decompose_normal(u);
  const Expression one_bits = d.integer_e.bits_like(static_cast<uint64_t>(format.bias) << format.mantissa);
  const Expression inverse_power = (one_bits - d.integer_e.shift_left(format.mantissa)).bitcast(format.type);
  d.f = d.f + select(u < 0x1p60, lost * inverse_power, x.like(0));
  return select(x == 0, x, with_special_cases(u, natural(d)));
}

Expression asinh(Expression x) {
  const Expression a = abs(x);
  if (x.type() == float32) {
    const Expression wide = a.cast(float64);
    const Expression near = fma(a * a * a, -1.0 / 6, a);
    const Expression far = log_of_normal(wide + sqrt(fma(wide, wide, 1))).cast(float32);
    return copy_sign(select(a < infinity, select(a < 0x1p-10, near, far), a), x);
  }
  const Expression large = a > 0x1p60;
  const Expression square = a * a;
  const Expression near = log1p(select(large, a, a + square / (sqrt(square + 1) + 1)));
  return copy_sign(near + select(large, std::numbers::ln2, a.like(0)), x);
}

Expression acosh(Expression x) {
  if (x.type() == float32) {
    const Expression wide = x.cast(float64);
    const Expression result = log_of_normal(wide + sqrt(fma(wide, wide, -1))).cast(float32);
    return select(x < 1, not_a_number, select(x < infinity, result, x));
  }
  const Expression large = x > 0x1p60;
  const Expression t = x - 1;
  const Expression near = log1p(select(large, x, t + sqrt(t * (t + 2))));
  return select(x < 1, not_a_number, near + select(large, std::numbers::ln2, x.like(0)));
}

Expression atanh(Expression x) {
  const Expression a = abs(x);
  if (x.type() == float32) {
    const Expression wide = a.cast(float64);
    const Expression near = fma(a * a * a, 1.0 / 3, a);
    const Expression far = (log_of_normal((wide + 1) / (1 - wide)) * 0.5).cast(float32);
    const Expression inside = select(a < 0x1p-10, near, far);
    return copy_sign(select(a < 1, inside, select(a == 1, infinity, x.like(not_a_number))), x);
  }
  return copy_sign(log1p(a * 2 / (1 - a)) * 0.5, x);
}

Expression pow(Expression x, Expression y) {
  return x.type() == float64 ? pow_64(x, y) : pow_32(x, y);
}

Expression integer_pow(Expression x, Expression y) {
  const bool has_sign = is_signed_integer(x.type());
  const int bits = 8 * x.type().size() - (has_sign ? 1 : 0);
  Expression result = x.like(1);
  Expression power = x;
  for (int bit = 0; bit < bits; ++bit) {
    const Expression set = (y & y.bits_like(uint64_t{1} << bit)) != 0;
    result = select(set, result * power, result);
    if (bit + 1 < bits) power = power * power;
  }
  if (!has_sign) return result;
  return select((y < 0) & (abs(x) != 1), 0, result);
}

}  // namespace lazuli::kir::math
