// The portable kernels of softmax. See portable_vectors.inl for how this is compiled.

/// exp(x) for x <= 0, or just above, or NaN: 2^n * e^r with n the nearest whole number to x / ln 2, ln 2 in
/// two parts, and a Taylor polynomial of degree 7 for e^r over |r| <= ln 2 / 2, where the first term left out
/// is below 2^-27. Below the smallest normal float the result is zero.
#if LAZULI_TEMPLATES_AVX512
/// Here n is in sixteenths, whose powers of two stand in a register, so that degree 3 is enough.
LAZULI_INLINE FloatV exp_nonpositive(FloatV x) {
  const FloatV powers = {0x1p0f,        0x1.0b5586p0f, 0x1.172b84p0f, 0x1.2387a6p0f,
                         0x1.306fe0p0f, 0x1.3dea64p0f, 0x1.4bfdaep0f, 0x1.5ab07ep0f,
                         0x1.6a09e6p0f, 0x1.7a1148p0f, 0x1.8ace54p0f, 0x1.9c4918p0f,
                         0x1.ae89fap0f, 0x1.c199bep0f, 0x1.d5818ep0f, 0x1.ea4afap0f};
  const FloatV magic = splat(0x1.8p19f);
  const FloatV shifted = fma(x, splat(1.44269504f), magic);
  const FloatV n = shifted - magic;
  FloatV r = fma(n, splat(-0x1.62e4p-1f), x);
  r = fma(n, splat(-0x1.7f7d1cp-20f), r);
  FloatV poly = fma(splat(1.0f / 6), r, splat(0.5f));
  poly = fma(poly, r, splat(1.0f)) * r;
  const FloatV power = (FloatV)_mm512_permutexvar_ps((__m512i)shifted, (__m512)powers);
  const FloatV e = fma(power, poly, power);
  // NaN is kept.
  const __mmask16 seen = _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(-87.3f), _CMP_NLT_UQ);
  return (FloatV)_mm512_maskz_scalef_ps(seen, (__m512)e, (__m512)n);
}
#else
LAZULI_INLINE FloatV exp_nonpositive(FloatV x) {
  const FloatV magic = splat(0x1.8p23f);
  const FloatV shifted = fma(x, splat(1.44269504f), magic);
  const FloatV n = shifted - magic;
  FloatV r = fma(n, splat(-0x1.62e4p-1f), x);
  r = fma(n, splat(-0x1.7f7d1cp-20f), r);
  FloatV poly = splat(1.0f / 5040);
  poly = fma(poly, r, splat(1.0f / 720));
  poly = fma(poly, r, splat(1.0f / 120));
  poly = fma(poly, r, splat(1.0f / 24));
  poly = fma(poly, r, splat(1.0f / 6));
  poly = fma(poly, r, splat(0.5f));
  poly = fma(poly, r, splat(1.0f));
  poly = fma(poly, r, splat(1.0f));
  const FloatV power = (FloatV)(((UintV)shifted + splat(127u)) << 23);
  return select((IntV)(x < splat(-87.3f)), FloatV{}, poly * power);
}
#endif

LAZULI_INLINE FloatV larger(FloatV v, FloatV best) {
#if LAZULI_TEMPLATES_AVX512
  return (FloatV)_mm512_max_ps((__m512)v, (__m512)best);  // the second where one is NaN
#else
  return select((IntV)(v > best), v, best);
#endif
}

/// The loops below run over whole vectors and then over one padded copy of the rest.
float max_of(const float* s, int64_t count) {
  FloatV best = splat(-__builtin_inff());
  FloatV other = best;
  int64_t i = 0;
  for (; i + 2 * float_lanes <= count; i += 2 * float_lanes) {
    best = larger(load_vector<FloatV>(s + i), best);
    other = larger(load_vector<FloatV>(s + i + float_lanes), other);
  }
  for (; i + float_lanes <= count; i += float_lanes) best = larger(load_vector<FloatV>(s + i), best);
  best = larger(other, best);
  // No lane of `best` is NaN.
#if LAZULI_TEMPLATES_AVX512
  float result = _mm512_reduce_max_ps((__m512)best);
#else
  float result = -__builtin_inff();
  for (int64_t lane = 0; lane < float_lanes; ++lane) result = best[lane] > result ? best[lane] : result;
#endif
  for (; i < count; ++i) result = s[i] > result ? s[i] : result;
  return result;
}

float exp_sum(float* s, int64_t count, float max) {
  FloatV sum = FloatV{};
  int64_t i = 0;
  for (; i + float_lanes <= count; i += float_lanes) {
    const FloatV e = exp_nonpositive(load_vector<FloatV>(s + i) - splat(max));
    store_vector(s + i, e);
    sum += e;
  }
  float total = sum_lanes(sum);
  if (i < count) {
    float rest[float_lanes] = {};
    for (int64_t j = i; j < count; ++j) rest[j - i] = s[j] - max;
    store_vector(rest, exp_nonpositive(load_vector<FloatV>(rest)));
    for (int64_t j = i; j < count; ++j) {
      s[j] = rest[j - i];
      total += s[j];
    }
  }
  return total;
}

/// e^x as above, for results that are rounded to bfloat16: the first term left out is below 2^-15.
LAZULI_INLINE FloatV exp_nonpositive_short(FloatV x) {
  const FloatV magic = splat(0x1.8p23f);
  const FloatV shifted = fma(x, splat(1.44269504f), magic);
  const FloatV r = fma(shifted - magic, splat(-0x1.62e43p-1f), x);
  FloatV poly = splat(1.0f / 24);
  poly = fma(poly, r, splat(1.0f / 6));
  poly = fma(poly, r, splat(0.5f));
  poly = fma(poly, r, splat(1.0f));
  poly = fma(poly, r, splat(1.0f));
  const FloatV power = (FloatV)(((UintV)shifted + splat(127u)) << 23);
  return select((IntV)(x < splat(-87.3f)), FloatV{}, poly * power);
}

/// Rounds to nearest, ties to even. A quiet NaN stays one.
LAZULI_INLINE HalfV round_to_bfloat16(FloatV v) {
  const UintV bits = (UintV)v;
  return __builtin_convertvector((bits + ((bits >> 16 & 1u) + 0x7fffu)) >> 16, HalfV);
}

float exp_sum_bfloat16(const float* s, int64_t count, float scale, float max, uint16_t* p) {
  FloatV sum = FloatV{};
  int64_t i = 0;
  for (; i + float_lanes <= count; i += float_lanes) {
    const FloatV e = exp_nonpositive_short(fma(load_vector<FloatV>(s + i), splat(scale), splat(-max)));
    store_vector(p + i, round_to_bfloat16(e));
    sum += e;
  }
  if (i < count) {
    float rest[float_lanes];
    uint16_t rounded[float_lanes];
    for (int64_t j = 0; j < float_lanes; ++j) rest[j] = i + j < count ? s[i + j] * scale - max : -100.0f;
    const FloatV e = exp_nonpositive_short(load_vector<FloatV>(rest));
    store_vector(rounded, round_to_bfloat16(e));
    for (int64_t j = i; j < count; ++j) p[j] = rounded[j - i];
    sum += e;
  }
  return sum_lanes(sum);
}

/// cap * tanh(s / cap), as tanh(x) = sign(x) * (1 - e) / (1 + e) with e = exp(-2|x|): the error is absolute,
/// of the size of a rounding of `cap`, which is what a score that stands in an exponent needs. `factor` is
/// -2 / cap.
LAZULI_INLINE FloatV cap_scores(FloatV s, float cap, float factor) {
  const UintV sign = (UintV)s & 0x80000000u;
  const FloatV e = exp_nonpositive((FloatV)((UintV)s & 0x7fffffffu) * splat(factor));
  const FloatV t = fma(e, splat(-cap), splat(cap)) / (splat(1.0f) + e);
  return (FloatV)((UintV)t | sign);
}

void soft_cap(float* s, int64_t count, float cap) {
  const float factor = -2.0f / cap;
  int64_t i = 0;
  for (; i + float_lanes <= count; i += float_lanes) {
    store_vector(s + i, cap_scores(load_vector<FloatV>(s + i), cap, factor));
  }
  if (i < count) {
    float rest[float_lanes] = {};
    for (int64_t j = i; j < count; ++j) rest[j - i] = s[j];
    store_vector(rest, cap_scores(load_vector<FloatV>(rest), cap, factor));
    for (int64_t j = i; j < count; ++j) s[j] = rest[j - i];
  }
}

void scale(float* s, int64_t count, float factor) {
  int64_t i = 0;
  for (; i + float_lanes <= count; i += float_lanes) {
    store_vector(s + i, load_vector<FloatV>(s + i) * splat(factor));
  }
  for (; i < count; ++i) s[i] *= factor;
}
