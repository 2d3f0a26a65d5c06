// Exponentials and logarithms for sums of exponentials. See portable_vectors.inl for how this is compiled.

/// x, or what is nearest to it from -80 to 80; 80 for NaN.
#if LAZULI_TEMPLATES_AVX2
// One instruction each, where the compiler would take two.
LAZULI_INLINE FloatV bounded(FloatV x) {
  const __m256 below = _mm256_min_ps((__m256)x, _mm256_set1_ps(80.0f));
  return (FloatV)_mm256_max_ps(below, _mm256_set1_ps(-80.0f));
}
LAZULI_INLINE DoubleV bounded(DoubleV x) {
  const __m256d below = _mm256_min_pd((__m256d)x, _mm256_set1_pd(80.0));
  return (DoubleV)_mm256_max_pd(below, _mm256_set1_pd(-80.0));
}
#else
template <typename V>
LAZULI_INLINE V bounded(V x) {
  const V below = x < V{} + 80 ? x : V{} + 80;
  return below > V{} - 80 ? below : V{} - 80;
}
#endif

/// 2^n * v for whole n, which are the low bits of `shifted`; the result is normal.
LAZULI_INLINE FloatV times_power(FloatV v, FloatV shifted) {
  return (FloatV)((UintV)v + ((UintV)shifted << 23));
}
LAZULI_INLINE DoubleV times_power(DoubleV v, DoubleV shifted) {
  return (DoubleV)((LongV)v + ((LongV)shifted << 52));
}

/// p = p * x + c, for n vectors.
template <int n, typename V, typename T>
LAZULI_INLINE void next_power(V* p, const V* x, T c) {
  LAZULI_UNROLL
  for (int k = 0; k < n; ++k) p[k] = fma(p[k], x[k], splat(c));
}

// What follows is done to n vectors in step, since each of them is one long chain of instructions that wait
// for each other.

/// x = e^x. What is below e^-80 comes out as e^-80, which adds nothing to a sum of 1; what is above e^80, and
/// NaN, as e^80: whoever adds few of them up knows by their sum that there were such.
///
/// 2^i * 2^f, where i is the nearest whole number to x / ln 2, and a polynomial with the least relative error
/// (4e-9) that is exact at 0.
template <int n>
LAZULI_INLINE void exp_of_terms(FloatV* x) {
  constexpr float coefficients[] = {0.001341000097f, 0.009618030783f, 0.05550297314f,
                                    0.2402265108f,   0.6931472254f,   1.0f};
  const FloatV magic = splat(0x1.8p23f);
  const FloatV base = splat(1.44269504f);
  FloatV shifted[n];
  FloatV power[n];
  LAZULI_UNROLL
  for (int k = 0; k < n; ++k) {
    x[k] = bounded(x[k]);
    shifted[k] = fma(x[k], base, magic);
    power[k] = splat(0.0001546973198f);
  }
  LAZULI_UNROLL
  for (int k = 0; k < n; ++k) x[k] = fma(x[k], base, magic - shifted[k]);
  LAZULI_UNROLL
  for (const float c : coefficients) next_power<n>(power, x, c);
  LAZULI_UNROLL
  for (int k = 0; k < n; ++k) x[k] = times_power(power[k], shifted[k]);
}

/// The same with ln 2 in two parts and a Taylor polynomial, whose first term left out is below 2^-57.
template <int n>
LAZULI_INLINE void exp_of_terms(DoubleV* x) {
  constexpr double inverse_factorials[] = {
      1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
      1.0 / 120,       1.0 / 24,       1.0 / 6,       0.5,          1.0,         1.0};
  const DoubleV magic = splat(0x1.8p52);
  DoubleV shifted[n];
  DoubleV power[n];
  LAZULI_UNROLL
  for (int k = 0; k < n; ++k) {
    x[k] = bounded(x[k]);
    shifted[k] = fma(x[k], splat(0x1.71547652b82fep0), magic);
    const DoubleV i = shifted[k] - magic;
    x[k] = fma(i, splat(-0x1.62e42fefa38p-1), x[k]);
    x[k] = fma(i, splat(-0x1.ef35793c7673p-45), x[k]);
    power[k] = splat(1.0 / 6227020800);
  }
  LAZULI_UNROLL
  for (const double c : inverse_factorials) next_power<n>(power, x, c);
  LAZULI_UNROLL
  for (int k = 0; k < n; ++k) x[k] = times_power(power[k], shifted[k]);
}

/// x[k] = base[k] + log(x[k]) for x that are zero (for which the logarithm is some number) or normal. The
/// exponent times ln 2 is added to the base first, in one rounding: where the two are almost opposite, little
/// is lost.
///
/// The exponent is such that the rest, 1 + f, is in [0.75, 1.5); the polynomial has the least error (4e-8) of
/// those that are exact at 0.
template <int n>
LAZULI_INLINE void plus_logs(const FloatV* base, FloatV* x) {
  constexpr float coefficients[] = {0.1318213596f, -0.1743497753f, 0.2025371917f, -0.2498104572f,
                                    0.3332269341f, -0.5000006465f, 1.000001085f};
  FloatV high[n];
  FloatV power[n];
  LAZULI_UNROLL
  for (int k = 0; k < n; ++k) {
    const IntV exponent = ((IntV)x[k] - splat(0x3f400000)) >> 23;
    x[k] = (FloatV)((IntV)x[k] - (exponent << 23)) - splat(1.0f);
    high[k] = fma(__builtin_convertvector(exponent, FloatV), splat(0.693147181f), base[k]);
    power[k] = splat(-0.0538542024f);
  }
  LAZULI_UNROLL
  for (const float c : coefficients) next_power<n>(power, x, c);
  LAZULI_UNROLL
  for (int k = 0; k < n; ++k) x[k] = fma(power[k], x[k], high[k]);
}

/// The same by 2 artanh(u), u = f / (2 + f), |u| <= 1/5, whose first term left out is below 2^-56.
template <int n>
LAZULI_INLINE void plus_logs(const DoubleV* base, DoubleV* x) {
  // The exponent with its bias, as whole numbers and as the last bits of 2^52: there is no instruction for
  // the conversion everywhere.
  const UlongV bias = UlongV{} + (uint64_t{1023} << 52);
  DoubleV exponents[n];
  DoubleV square[n];
  DoubleV power[n];
  LAZULI_UNROLL
  for (int k = 0; k < n; ++k) {
    const UlongV bits = (UlongV)x[k];
    const UlongV exponent = (bits - (UlongV{} + 0x3fe8000000000000) + bias) >> 52;
    exponents[k] = (DoubleV)(exponent | (UlongV{} + 0x4330000000000000)) - splat(0x1p52 + 1023);
    const DoubleV f = (DoubleV)(bits - (exponent << 52) + bias) - splat(1.0);
    x[k] = f / (splat(2.0) + f);
    square[k] = x[k] * x[k];
    power[k] = splat(2.0 / 21);
  }
  LAZULI_UNROLL
  for (int i = 19; i >= 1; i -= 2) next_power<n>(power, square, 2.0 / i);
  LAZULI_UNROLL
  for (int k = 0; k < n; ++k) {
    const DoubleV high = fma(exponents[k], splat(0x1.62e42fefa38p-1), base[k]);
    x[k] = high + fma(power[k], x[k], exponents[k] * splat(0x1.ef35793c7673p-45));
  }
}

template <typename V>
LAZULI_INLINE V exp_of_term(V x) {
  exp_of_terms<1>(&x);
  return x;
}
template <typename V>
LAZULI_INLINE V plus_log(V base, V x) {
  plus_logs<1>(&base, &x);
  return x;
}
