#include <bit>
#include <numbers>

#include <lazuli/compiler/kernel_ir/math_expansion.h>
#include <lazuli/compiler/kernel_ir/math_tables.h>

// Functions of float32 by tables of 32 entries. A number that is rounded to a grid of 2^-k by adding 1.5 *
// 2^(23-k) has its place on the grid in its low bits: these number the entry, and what rounding took away is
// the argument of a short polynomial.

namespace lazuli::kir::math {
namespace {

/// A number's place on a grid.
struct Place {
  Expression bits;     ///< int32, the low bits number it
  Expression rounded;  ///< the grid's point
};
Place place_on_grid(Expression shifted, double magic) {
  return {shifted.bitcast(int32), shifted - magic};
}

Expression look_up(Table table, Expression bits) {
  return bits.like(bits.builder().look_up(table, bits.value()));
}
Expression scalb(Expression a, Expression b) {
  return a.like(a.builder().scalb(a.value(), b.value()));
}

Expression at_least(Expression x, double limit) {
  return select(x < limit, limit, x);  // NaN stays
}
Expression at_most(Expression x, double limit) {
  return select(x > limit, limit, x);
}

/// The same for a number that is not below -limit, by its bits, which is cheaper; NaN may become the limit.
Expression at_most_by_bits(Expression x, float limit) {
  const Expression bits = x.bitcast(int32);
  return bits.binary(Opcode::min, bits.bits_like(std::bit_cast<uint32_t>(limit))).bitcast(float32);
}

constexpr double exp_magic = 0x1.8p18;  // a grid of 1/32

/// e^x for x that is not below -104. Above 89, where it may be, the place stands still and r grows, which
/// gives infinity in the end; NaN stays in r.
Expression exp_from(Expression x, bool not_positive) {
  const Expression limited = not_positive ? x : at_most_by_bits(x, 89);
  const Place place = place_on_grid(fma(limited, std::numbers::log2e, exp_magic), exp_magic);
  const Split ln2 = split(x, std::numbers::ln2_v<long double>);
  const Expression r = fma(place.rounded, -ln2.low, fma(place.rounded, -ln2.high, x));
  // e^r - 1 for |r| <= ln 2 / 64, 2^-24.2 off e^r.
  const Expression q = r * fma(r, 0.500011058, 1.00001475);
  const Expression power = look_up(Table::exp2, place.bits);
  return scalb(fma(power, q, power), place.rounded);
}

/// e^(x * sign) for a sign of 1 or -1, where that is rounded to 16 bits. The place is that of `limited`: x,
/// but for where it is above 89.
Expression short_exp_from(Expression x, Expression limited, double sign) {
  const Place place = place_on_grid(fma(limited, sign * std::numbers::log2e, exp_magic), exp_magic);
  const Expression r = fma(place.rounded, -sign * std::numbers::ln2, x);
  const Expression power = look_up(Table::exp2_line_0, place.bits);
  return scalb(fma(sign > 0 ? power : -power, r, power), place.rounded);
}

}  // namespace

Expression exp_by_table(Expression x, bool not_positive) {
  return exp_from(at_least(x, -104), not_positive);
}

Expression summed_exp_by_table(Expression x, bool not_positive) {
  const Expression above = at_least(x, -104);
  const Expression limited = not_positive ? above : at_most_by_bits(above, 89);
  const Place place = place_on_grid(fma(limited, std::numbers::log2e, exp_magic), exp_magic);
  // What ln 2 loses by its rounding grows with x, by less than e^x shrinks.
  const Expression r = fma(place.rounded, -std::numbers::ln2, above);
  const Expression power = scalb(look_up(Table::exp2, place.bits), place.rounded);
  return power * fma(r, fma(r, 0.500011058, 1.00001475), 1);
}

constexpr double erf_magic = 0x1.8p20;  // a grid of 1/8

Expression erf_by_table(Expression x) {
  const Expression a = at_most(abs(x), 3.9375 - 0x1p-20);
  const Expression place = (a + erf_magic).bitcast(int32);
  const Expression t = a - look_up(Table::erf_at, place);
  Expression slope = look_up(Table::erf_4, place);
  for (const Table table : {Table::erf_3, Table::erf_2, Table::erf_1}) {
    slope = fma(slope, t, look_up(table, place));
  }
  // The slope is that of erf(x) - x, so that it is added to a small argument instead of multiplying it.
  return copy_sign(fma(slope, t, t + look_up(Table::erf_0, place)), x);
}

/// erf(a) for a >= 0, by a cubic on each interval; where it is nearly 1, as accurate as float32, so that 1 -
/// erf may be seen. (The cubic is one in a, not in what rounding to the grid took away: the terms are not
/// large, and two operations fewer.)
Expression short_erf_of_absolute(Expression a) {
  const Expression limited = at_most(a, 3.9375 - 0x1p-20);
  const Expression place = (limited + erf_magic).bitcast(int32);
  Expression value = look_up(Table::erf_short_3, place);
  for (const Table table : {Table::erf_short_2, Table::erf_short_1, Table::erf_short_0}) {
    value = fma(value, limited, look_up(table, place));
  }
  return value;
}

Expression short_erf_by_table(Expression x) {
  return copy_sign(short_erf_of_absolute(abs(x)), x);
}

Expression short_times_erf_plus_1_by_table(Expression x, double factor) {
  const Expression a = abs(x);
  return fma(a, short_erf_of_absolute(a * factor), x);
}

Expression short_exp_by_table(Expression x, bool not_positive) {
  const Expression above = at_least(x, -104);
  return short_exp_from(above, not_positive ? above : at_most_by_bits(above, 89), 1);
}

Expression short_sigmoid_by_table(Expression x) {
  const Expression limited = at_least(at_most(x, 104), -89);
  return 1 / (short_exp_from(limited, limited, -1) + 1);
}

}  // namespace lazuli::kir::math
