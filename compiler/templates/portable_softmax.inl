// The portable kernels of softmax. See portable_vectors.inl for how this is compiled.

/// exp(x) for x <= 0 or NaN: 2^n * e^r with n the nearest whole number to x / ln 2, ln 2 in two parts, and a
/// Taylor polynomial of degree 7 for e^r over |r| <= ln 2 / 2, where the first term left out is below 2^-27.
/// Below the smallest normal float the result is zero.
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

/// The loops below run over whole vectors and then over one padded copy of the rest.
float max_of(const float* s, int64_t count) {
  FloatV best = splat(-__builtin_inff());
  int64_t i = 0;
  for (; i + float_lanes <= count; i += float_lanes) {
    const FloatV v = load_vector<FloatV>(s + i);
    best = select((IntV)(v > best), v, best);
  }
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

/// tanh(x) = sign(x) * (1 - e) / (1 + e) with e = exp(-2|x|): the error is absolute, of the size of a
/// rounding of 1, which is what a score that stands in an exponent needs.
LAZULI_INLINE FloatV cap_scores(FloatV s, float cap) {
  const FloatV x = s / splat(cap);
  const UintV sign = (UintV)x & 0x80000000u;
  const FloatV e = exp_nonpositive((FloatV)((UintV)x & 0x7fffffffu) * splat(-2.0f));
  const FloatV t = (splat(1.0f) - e) / (splat(1.0f) + e);
  return (FloatV)((UintV)t | sign) * splat(cap);
}

void soft_cap(float* s, int64_t count, float cap) {
  int64_t i = 0;
  for (; i + float_lanes <= count; i += float_lanes) {
    store_vector(s + i, cap_scores(load_vector<FloatV>(s + i), cap));
  }
  if (i < count) {
    float rest[float_lanes] = {};
    for (int64_t j = i; j < count; ++j) rest[j - i] = s[j];
    store_vector(rest, cap_scores(load_vector<FloatV>(rest), cap));
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
