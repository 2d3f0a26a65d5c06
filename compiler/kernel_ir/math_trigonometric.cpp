#include <limits>
#include <numbers>
#include <vector>

#include <lazuli/compiler/kernel_ir/math_coefficients.h>
#include <lazuli/compiler/kernel_ir/math_expansion.h>

namespace lazuli::kir::math {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr long double pi = std::numbers::pi_v<long double>;

/// |x| = quadrant * pi/2 + r with |r| <= pi/4 (a trifle more); the low two bits of `quadrant`, an int32 or
/// int64 like the type, are those of the quadrant.
struct Quarter {
  Expression quadrant;
  Expression r;      ///< float64
  Expression r_low;  ///< what r lacks; zero for float32
};

Expression modulo_4(Expression x) {
  return fma(rint(x * 0.25), -4, x);
}

/// A sum and its rounding error.
struct Sum {
  Expression high;
  Expression low;
};
Sum exact_sum(Expression a, Expression b) {
  const Expression sum = a + b;
  const Expression back = sum - a;
  return {sum, (a - (sum - back)) + (b - back)};
}

/// For float32, in float64: x * 2/pi modulo 4 from 106 bits of 2/pi, chosen by the size of x. That is exact
/// enough for the float32 numbers closest to multiples of pi/2.
Quarter reduce_32(Expression x) {
  const Expression a = abs(x).cast(float64);
  const auto& rows = coefficients::two_over_pi_32;
  Expression p0 = a.like(rows[0][0]);
  Expression p1 = a.like(rows[0][1]);
  for (size_t k = 1; k < rows.size(); ++k) {
    const Expression beyond = a >= coefficients::two_over_pi_limits_32[k - 1];
    p0 = select(beyond, rows[k][0], p0);
    p1 = select(beyond, rows[k][1], p1);
  }
  const Expression high = a * p0;
  const Expression low = fma(a, p1, fma(a, p0, -high));
  const Expression turned = modulo_4(high);
  const Expression n = rint((turned + low).cast(float32));
  const Expression fraction = (turned - n.cast(float64)) + low;
  return {(n + 0x1.8p23).bitcast(int32), fraction * std::numbers::pi * 0.5, a.like(0)};
}

/// The same for float64 from 212 bits, as a pair.
Quarter reduce_64(Expression x) {
  constexpr auto& rows = coefficients::two_over_pi_64;
  const Expression size = abs(x);
  constexpr size_t pieces = rows[0].size();
  std::vector<Expression> p;
  for (size_t i = 0; i < pieces; ++i) p.push_back(x.like(rows[0][i]));
  double limit = 1;
  Expression a = size;
  for (size_t k = 1; k < rows.size(); ++k) {
    limit *= 0x1p86;
    const Expression beyond = size >= limit;
    for (size_t i = 0; i < pieces; ++i) p[i] = select(beyond, rows[k][i], p[i]);
    if (k == 6) a = select(beyond, size * 0x1p-512, size);
  }
  // Each product as a pair; the terms modulo 4 are summed exactly, from the largest down.
  std::vector<Expression> terms;
  for (const Expression& piece : p) {
    terms.push_back(a * piece);
    terms.push_back(fma(a, piece, -terms.back()));
  }
  Expression sum = modulo_4(terms[0]);
  Expression errors = terms.back();
  for (size_t i = 1; i + 1 < terms.size(); ++i) {
    const Sum next = exact_sum(sum, modulo_4(terms[i]));
    sum = next.high;
    errors = errors + next.low;
  }
  const Expression n = rint(sum);
  const Sum fraction = exact_sum(sum - n, errors);
  const Split half_pi = split(x, pi / 2);
  const Expression r = fraction.high * half_pi.high;
  const Expression r_low =
      fma(fraction.high, half_pi.high, -r) + fma(fraction.high, half_pi.low, fraction.low * half_pi.high);
  return {(n + 0x1.8p52).bitcast(int64), r, r_low};
}

Quarter reduce(Expression x) {
  return x.type() == float64 ? reduce_64(x) : reduce_32(x);
}

struct SineAndCosine {
  Expression sine;
  Expression cosine;
};

template <size_t n, size_t m>
SineAndCosine reduced_sine_and_cosine(Expression r, const std::array<double, n>& sine,
                                      const std::array<double, m>& cosine) {
  const Expression z = r * r;
  return {fma(r * z, polynomial(z, sine), r), fma(z * z, polynomial(z, cosine), fma(z, -0.5, 1))};
}

SineAndCosine sine_and_cosine_64(const Quarter& q) {
  const Expression r = q.r;
  const Expression z = r * r;
  const Expression half = z * 0.5;
  const Expression w = 1 - half;
  // sin(r + l) = sin r + l cos r; cos(r + l) = cos r - l sin r, with what 1 - z/2 lost put back.
  const Expression sine = r + fma(r * z, polynomial(z, coefficients::sin_64), q.r_low * w);
  const Expression lost = (1 - w) - half;
  const Expression cosine = w + (lost + fma(z * z, polynomial(z, coefficients::cos_64), -(r * q.r_low)));
  return {sine, cosine};
}

SineAndCosine reduced_sine_and_cosine(const Quarter& q, Dtype type) {
  if (type == float64) return sine_and_cosine_64(q);
  return reduced_sine_and_cosine(q.r.cast(float32), coefficients::sin_32, coefficients::cos_32);
}

/// Whether bit `bit` of the quadrant is set.
Expression has_bit(Expression quadrant, int bit) {
  return (quadrant & quadrant.like(1 << bit)) != 0;
}

/// The sign bit, if bit 1 of the quadrant is set.
Expression sign_of_quadrant(Expression quadrant, Format format) {
  return (quadrant & quadrant.like(2)).shift_left(8 * format.type.size() - 2);
}

Expression with_flipped_sign(Expression value, Expression sign_bits) {
  return (value.bitcast(sign_bits.type()) ^ sign_bits).bitcast(value.type());
}

Expression sign_bits_of(Expression x) {
  const Expression bits = x.bitcast(format_of(x).integer);
  return bits & bits.bits_like(x.type() == float64 ? uint64_t{1} << 63 : uint64_t{1} << 31);
}

/// What asin adds to its argument's reduced form: s z A(z).
Expression asin_tail(Expression s, Expression z) {
  const Expression p =
      s.type() == float64 ? polynomial(z, coefficients::asin_64) : polynomial(z, coefficients::asin_32);
  return s * z * p;
}

/// atan(t) - t for |t| <= 1/2.
Expression atan_tail(Expression t) {
  const Expression z = t * t;
  const Expression p =
      t.type() == float64 ? polynomial(z, coefficients::atan_64) : polynomial(z, coefficients::atan_32);
  return t * z * p;
}

}  // namespace

Expression sin(Expression x) {
  const Quarter q = reduce(x);
  const SineAndCosine both = reduced_sine_and_cosine(q, x.type());
  const Expression value = select(has_bit(q.quadrant, 0), both.cosine, both.sine);
  return with_flipped_sign(value, sign_of_quadrant(q.quadrant, format_of(x)) ^ sign_bits_of(x));
}

Expression cos(Expression x) {
  const Quarter q = reduce(x);
  const SineAndCosine both = reduced_sine_and_cosine(q, x.type());
  const Expression value = select(has_bit(q.quadrant, 0), both.sine, both.cosine);
  return with_flipped_sign(value, sign_of_quadrant(q.quadrant + 1, format_of(x)));
}

Expression tan(Expression x) {
  const Quarter q = reduce(x);
  // The quotient of two rounded numbers has no error to spare for their own, so float32 divides in float64.
  const SineAndCosine both = x.type() == float64
                                 ? sine_and_cosine_64(q)
                                 : reduced_sine_and_cosine(q.r, coefficients::sin_36, coefficients::cos_36);
  const Expression odd = has_bit(q.quadrant, 0);
  const Expression quotient = select(odd, -both.cosine, both.sine) / select(odd, both.sine, both.cosine);
  return with_flipped_sign(quotient.cast(x.type()), sign_bits_of(x));
}

Expression asin(Expression x) {
  const Expression a = abs(x);
  const Expression large = a > 0.5;
  // asin(a) = pi/2 - 2 asin(sqrt((1 - a) / 2)).
  const Expression z = select(large, (1 - a) * 0.5, a * a);
  const Expression s = select(large, sqrt(z), a);
  const Expression tail = asin_tail(s, z);
  const Split half_pi = split(x, pi / 2);
  // The first difference may lie in the binade above the result's: what it loses is put back.
  const Expression first = fma(s, -2, half_pi.high);
  const Expression lost = fma(s, -2, half_pi.high - first);
  const Expression from_right = first - (fma(tail, 2, -half_pi.low) - lost);
  return copy_sign(select(large, from_right, s + tail), x);
}

Expression acos(Expression x) {
  const Expression a = abs(x);
  const Expression large = a > 0.5;
  const Expression z = select(large, (1 - a) * 0.5, a * a);
  const Expression s = select(large, sqrt(z), x);
  const Expression tail = asin_tail(s, z);
  const Split half_pi = split(x, pi / 2);
  const Split whole_pi = split(x, pi);
  const Expression middle = half_pi.high - (s - (half_pi.low - tail));
  const Expression left = fma(s, -2, whole_pi.high) - fma(tail, 2, -whole_pi.low);
  return select(large, select(x < 0, left, (s + tail) * 2), middle);
}

Expression atan(Expression x) {
  const Expression a = abs(x);
  const Expression middle = a > 0.5;
  const Expression far = a > 2.5;
  // atan(a) = pi/4 + atan((a - 1) / (a + 1)) = pi/2 + atan(-1 / a).
  const Expression numerator = select(far, -1, select(middle, a - 1, a));
  const Expression denominator = select(far, a, select(middle, a + 1, a.like(1)));
  const Expression t = numerator / denominator;
  const Split quarter = split(x, pi / 4);
  const Split half = split(x, pi / 2);
  const Expression high = select(far, half.high, select(middle, quarter.high, a.like(0)));
  const Expression low = select(far, half.low, select(middle, quarter.low, a.like(0)));
  return copy_sign(high + (t + (atan_tail(t) + low)), x);
}

Expression atan2(Expression y, Expression x) {
  const Format format = format_of(x);
  const Expression ax = abs(x);
  const Expression ay = abs(y);
  const Expression steep = ay > ax;
  Expression small = select(steep, ax, ay);
  Expression large = select(steep, ay, ax);
  const Expression zero = x.like(0);
  const Expression one = x.like(1);
  // Neither sum nor difference below may overflow, nor a quotient of small numbers lose bits to subnormals.
  const Expression factor = select(large > pick(x, 0x1p125, 0x1p1021), pick(x, 0x1p-4, 0x1p-4), one);
  small = small * factor;
  large = large * factor;
  // atan(s / l) = pi/4 + atan((s - l) / (s + l)).
  const Expression middle = small + small >= large;
  const Expression quotient = select(middle, small - large, small) / select(middle, small + large, large);
  // Two infinities are as good as two ones, and two zeros as 0 and 1.
  const Expression t = select((small == infinity) | (large == 0), zero, quotient);
  const Expression turns = select(middle & (large != 0), one, zero);
  const Expression angle = t + atan_tail(t);
  // The angle is now turns * pi/4 + angle; mirror it at the diagonal and at the y axis.
  const Expression mirrored = select(steep, 2 - turns, turns);
  const Expression mirrored_angle = select(steep, -angle, angle);
  const Expression bits = x.bitcast(format.integer);
  const Expression left = bits < bits.like(0);
  const Expression all_turns = select(left, 4 - mirrored, mirrored);
  const Expression last_angle = select(left, -mirrored_angle, mirrored_angle);
  const Split quarter = split(x, pi / 4);
  const Expression result = fma(all_turns, quarter.high, fma(all_turns, quarter.low, last_angle));
  const Expression with_sign = copy_sign(abs(result), y);
  return select((x != x) | (y != y), x + y, with_sign);
}

}  // namespace lazuli::kir::math
