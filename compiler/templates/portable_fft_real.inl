// The passes between transforms of real rows and of complex ones of half the length (fft_real.cpp). See
// portable_vectors.inl for how this is compiled.

#if LAZULI_TEMPLATES_AVX512

/// 16 complex numbers.
struct ComplexV {
  FloatV re;
  FloatV im;
};

LAZULI_INLINE ComplexV load_complex(const float* p) {
  const __m512 low = _mm512_loadu_ps(p), high = _mm512_loadu_ps(p + 16);
  return {(FloatV)_mm512_permutex2var_ps(low, even_lanes(), high),
          (FloatV)_mm512_permutex2var_ps(low, odd_lanes(), high)};
}

LAZULI_INLINE void store_complex(float* p, ComplexV v) {
  _mm512_storeu_ps(p, _mm512_permutex2var_ps((__m512)v.re, low_pairs(), (__m512)v.im));
  _mm512_storeu_ps(p + 16, _mm512_permutex2var_ps((__m512)v.re, high_pairs(), (__m512)v.im));
}

/// The same, the last one first.
LAZULI_INLINE ComplexV load_complex_reversed(const float* p) {
  const __m512 low = _mm512_loadu_ps(p), high = _mm512_loadu_ps(p + 16);
  const __m512i last = _mm512_set1_epi32(30);
  return {(FloatV)_mm512_permutex2var_ps(low, _mm512_sub_epi32(last, even_lanes()), high),
          (FloatV)_mm512_permutex2var_ps(low, _mm512_sub_epi32(_mm512_set1_epi32(31), even_lanes()), high)};
}

LAZULI_INLINE void store_complex_reversed(float* p, ComplexV v) {
  const __m512i first = _mm512_xor_si512(low_pairs(), _mm512_set1_epi32(15));  // 15 - lane, of each part
  const __m512i second = _mm512_xor_si512(low_pairs(), _mm512_set1_epi32(7));  // 7 - lane
  _mm512_storeu_ps(p, _mm512_permutex2var_ps((__m512)v.re, first, (__m512)v.im));
  _mm512_storeu_ps(p + 16, _mm512_permutex2var_ps((__m512)v.re, second, (__m512)v.im));
}

#endif

void fft_put_together(const float* z, int64_t half, const float* cosines, const float* sines, int64_t begin,
                      int64_t end, float* out) {
  int64_t k = begin;
#if LAZULI_TEMPLATES_AVX512
  const FloatV a_half = splat(0.5f);
  for (; k + 15 <= end; k += 16) {
    const ComplexV a = load_complex(z + 2 * k), b = load_complex_reversed(z + 2 * (half - k - 15));
    const FloatV even_re = a.re + b.re, even_im = a.im - b.im;
    const FloatV odd_re = a.im + b.im, odd_im = b.re - a.re;
    const FloatV wr = load_vector<FloatV>(cosines + k), wi = load_vector<FloatV>(sines + k);
    const FloatV re = fma(odd_re, wr, -(odd_im * wi)), im = fma(odd_re, wi, odd_im * wr);
    store_complex(out + 2 * k, {a_half * (even_re + re), a_half * (even_im + im)});
    store_complex_reversed(out + 2 * (half - k - 15), {a_half * (even_re - re), a_half * (im - even_im)});
  }
#endif
  for (; k <= end; ++k) {
    const float* const a = z + 2 * k;
    const float* const b = z + 2 * (half - k);
    const float even_re = a[0] + b[0], even_im = a[1] - b[1];
    const float odd_re = a[1] + b[1], odd_im = b[0] - a[0];
    const float re = odd_re * cosines[k] - odd_im * sines[k], im = odd_re * sines[k] + odd_im * cosines[k];
    out[2 * k] = 0.5f * (even_re + re);
    out[2 * k + 1] = 0.5f * (even_im + im);
    out[2 * (half - k)] = 0.5f * (even_re - re);
    out[2 * (half - k) + 1] = 0.5f * (im - even_im);
  }
}

void fft_take_apart(const float* in, int64_t half, const float* cosines, const float* sines, float factor,
                    int64_t begin, int64_t end, float* z) {
  int64_t k = begin;
#if LAZULI_TEMPLATES_AVX512
  const FloatV factors = splat(factor);
  for (; k + 15 <= end; k += 16) {
    const ComplexV a = load_complex(in + 2 * k), b = load_complex_reversed(in + 2 * (half - k - 15));
    const FloatV sum_re = a.re + b.re, sum_im = a.im - b.im;
    const FloatV difference_re = a.re - b.re, difference_im = a.im + b.im;
    const FloatV wr = load_vector<FloatV>(cosines + k), wi = load_vector<FloatV>(sines + k);
    const FloatV re = fma(difference_re, wr, difference_im * wi);
    const FloatV im = fma(difference_im, wr, -(difference_re * wi));
    store_complex(z + 2 * k, {factors * (sum_re - im), factors * (sum_im + re)});
    store_complex_reversed(z + 2 * (half - k - 15), {factors * (sum_re + im), factors * (re - sum_im)});
  }
#endif
  for (; k <= end; ++k) {
    const float* const a = in + 2 * k;
    const float* const b = in + 2 * (half - k);
    const float sum_re = a[0] + b[0], sum_im = a[1] - b[1];
    const float difference_re = a[0] - b[0], difference_im = a[1] + b[1];
    const float re = difference_re * cosines[k] + difference_im * sines[k];
    const float im = difference_im * cosines[k] - difference_re * sines[k];
    z[2 * k] = factor * (sum_re - im);
    z[2 * k + 1] = factor * (sum_im + re);
    z[2 * (half - k)] = factor * (sum_re + im);
    z[2 * (half - k) + 1] = factor * (re - sum_im);
  }
}
