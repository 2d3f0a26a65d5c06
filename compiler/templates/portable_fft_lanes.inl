// Rows and columns of complex numbers into lanes (fft_plan.h) and back, for Fourier transforms. See
// portable_vectors.inl for how this is compiled.

/// Where real and imaginary parts of an element stand: exchanged for inverse transforms.
struct FftParts {
  explicit FftParts(bool exchanged) : re(exchanged ? 16 : 0), im(exchanged ? 0 : 16) {}
  int64_t re;
  int64_t im;
};

#if LAZULI_TEMPLATES_AVX512

/// Four columns of 16 rows, the first of which is returned in `v[0]`: parts of 16 bytes of four rows make a
/// vector, so that only half of the steps are permutations.
LAZULI_INLINE void load_four_columns(const float* const* rows, int64_t column, __m512 (&v)[4]) {
  __m512 parts[4];
  LAZULI_UNROLL
  for (int i = 0; i < 4; ++i) {
    parts[i] = _mm512_castps128_ps512(_mm_loadu_ps(rows[i] + column));
    parts[i] = _mm512_insertf32x4(parts[i], _mm_loadu_ps(rows[i + 4] + column), 1);
    parts[i] = _mm512_insertf32x4(parts[i], _mm_loadu_ps(rows[i + 8] + column), 2);
    parts[i] = _mm512_insertf32x4(parts[i], _mm_loadu_ps(rows[i + 12] + column), 3);
  }
  const __m512d low01 = _mm512_castps_pd(_mm512_unpacklo_ps(parts[0], parts[1]));
  const __m512d high01 = _mm512_castps_pd(_mm512_unpackhi_ps(parts[0], parts[1]));
  const __m512d low23 = _mm512_castps_pd(_mm512_unpacklo_ps(parts[2], parts[3]));
  const __m512d high23 = _mm512_castps_pd(_mm512_unpackhi_ps(parts[2], parts[3]));
  v[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(low01, low23));
  v[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low01, low23));
  v[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high01, high23));
  v[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high01, high23));
}

/// 16 vectors as the columns of a matrix, by rows.
LAZULI_INLINE void transpose_vectors(__m512 (&v)[16]) {
  LAZULI_UNROLL
  for (int i = 0; i < 16; i += 4) {
    const __m512d low01 = _mm512_castps_pd(_mm512_unpacklo_ps(v[i], v[i + 1]));
    const __m512d high01 = _mm512_castps_pd(_mm512_unpackhi_ps(v[i], v[i + 1]));
    const __m512d low23 = _mm512_castps_pd(_mm512_unpacklo_ps(v[i + 2], v[i + 3]));
    const __m512d high23 = _mm512_castps_pd(_mm512_unpackhi_ps(v[i + 2], v[i + 3]));
    v[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(low01, low23));
    v[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low01, low23));
    v[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high01, high23));
    v[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high01, high23));
  }
  LAZULI_UNROLL
  for (int i = 0; i < 4; ++i) {  // quarters of v[i], v[i + 4], v[i + 8] and v[i + 12]
    const __m512 low_even = _mm512_shuffle_f32x4(v[i], v[i + 4], 0x88);
    const __m512 low_odd = _mm512_shuffle_f32x4(v[i], v[i + 4], 0xdd);
    const __m512 high_even = _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0x88);
    const __m512 high_odd = _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0xdd);
    v[i] = _mm512_shuffle_f32x4(low_even, high_even, 0x88);
    v[i + 4] = _mm512_shuffle_f32x4(low_odd, high_odd, 0x88);
    v[i + 8] = _mm512_shuffle_f32x4(low_even, high_even, 0xdd);
    v[i + 12] = _mm512_shuffle_f32x4(low_odd, high_odd, 0xdd);
  }
}

void fft_from_rows(const float* from, int64_t stride, int64_t count, int64_t length, bool exchanged,
                   float* to, const float* ahead) {
  const FftParts parts(exchanged);
  const float* rows[16];  // the last one again where there are fewer
  for (int64_t i = 0; i < 16; ++i) rows[i] = from + (i < count ? i : count - 1) * stride;
  int64_t k = 0;
  for (; k + 2 <= length; k += 2, to += 64) {
    if (ahead != nullptr) {  // as many bytes as are read
      LAZULI_UNROLL
      for (int i = 0; i < 64; i += 16) __builtin_prefetch(ahead + i, 0, 2);
      ahead += 64;
    }
    __m512 v[4];
    load_four_columns(rows, 2 * k, v);
    _mm512_storeu_ps(to + parts.re, v[0]);
    _mm512_storeu_ps(to + parts.im, v[1]);
    _mm512_storeu_ps(to + 32 + parts.re, v[2]);
    _mm512_storeu_ps(to + 32 + parts.im, v[3]);
  }
  for (int64_t i = 0; k < length && i < 16; ++i) {
    to[parts.re + i] = rows[i][2 * k];
    to[parts.im + i] = rows[i][2 * k + 1];
  }
}

void fft_to_rows(float* from, int64_t length, bool exchanged, int64_t count, float* to, int64_t stride,
                 bool past_caches) {
  const FftParts parts(exchanged);
  int64_t k = 0;
  for (; k + 8 <= length; k += 8, from += 8 * 32) {
    __m512 v[16];
    LAZULI_UNROLL
    for (int i = 0; i < 16; i += 2) {
      v[i] = _mm512_loadu_ps(from + 16 * i + parts.re);
      v[i + 1] = _mm512_loadu_ps(from + 16 * i + parts.im);
    }
    transpose_vectors(v);
    if (past_caches && count == 16) {
      LAZULI_UNROLL
      for (int i = 0; i < 16; ++i) _mm512_stream_ps(to + i * stride + 2 * k, v[i]);
    } else if (count == 16) {
      LAZULI_UNROLL
      for (int i = 0; i < 16; ++i) _mm512_storeu_ps(to + i * stride + 2 * k, v[i]);
    } else {
      LAZULI_UNROLL
      for (int i = 0; i < 16; ++i) {
        if (i < count) _mm512_storeu_ps(to + i * stride + 2 * k, v[i]);
      }
    }
  }
  for (; k < length; ++k, from += 32) {
    for (int64_t i = 0; i < count; ++i) {
      to[i * stride + 2 * k] = from[parts.re + i];
      to[i * stride + 2 * k + 1] = from[parts.im + i];
    }
  }
}

LAZULI_INLINE __m512i even_lanes() {
  return _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
}
LAZULI_INLINE __m512i odd_lanes() {
  return _mm512_or_si512(even_lanes(), _mm512_set1_epi32(1));
}
LAZULI_INLINE __m512i low_pairs() {
  return _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
}
LAZULI_INLINE __m512i high_pairs() {
  return _mm512_or_si512(low_pairs(), _mm512_set1_epi32(8));
}

void fft_from_columns(const float* from, int64_t stride, int64_t count, int64_t length, bool exchanged,
                      float* to) {
  const FftParts parts(exchanged);
  const uint32_t mask = count == 16 ? 0xffffffffu : (1u << 2 * count) - 1;
  for (int64_t k = 0; k < length; ++k, from += stride, to += 32) {
    const __m512 low = _mm512_maskz_loadu_ps((__mmask16)mask, from);
    const __m512 high = _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), from + 16);
    _mm512_storeu_ps(to + parts.re, _mm512_permutex2var_ps(low, even_lanes(), high));
    _mm512_storeu_ps(to + parts.im, _mm512_permutex2var_ps(low, odd_lanes(), high));
  }
}

void fft_to_columns(const float* from, int64_t length, bool exchanged, int64_t count, float* to,
                    int64_t stride) {
  const FftParts parts(exchanged);
  const uint32_t mask = count == 16 ? 0xffffffffu : (1u << 2 * count) - 1;
  for (int64_t k = 0; k < length; ++k, from += 32, to += stride) {
    const __m512 re = _mm512_loadu_ps(from + parts.re);
    const __m512 im = _mm512_loadu_ps(from + parts.im);
    _mm512_mask_storeu_ps(to, (__mmask16)mask, _mm512_permutex2var_ps(re, low_pairs(), im));
    _mm512_mask_storeu_ps(to + 16, (__mmask16)(mask >> 16), _mm512_permutex2var_ps(re, high_pairs(), im));
  }
}

/// 16 elements of the lanes become lanes, and the first `count` lanes elements.
LAZULI_INLINE void exchange_lanes(const float* from, int64_t count, float* to) {
  for (int64_t part = 0; part < 32; part += 16) {
    const float* rows[16];
    for (int64_t i = 0; i < 16; ++i) rows[i] = from + 32 * i + part;
    for (int64_t lane = 0; lane < count; lane += 4) {
      __m512 v[4];
      load_four_columns(rows, lane, v);
      LAZULI_UNROLL
      for (int i = 0; i < 4; ++i) {
        if (lane + i < count) _mm512_storeu_ps(to + (lane + i) * 32 + part, v[i]);
      }
    }
  }
}

#else

void fft_from_rows(const float* from, int64_t stride, int64_t count, int64_t length, bool exchanged,
                   float* to, const float* /*ahead*/) {
  if (count < 16) {
    for (int64_t i = 0; i < 32 * length; ++i) to[i] = 0;
  }
  // Real and imaginary parts are the columns of a matrix of floats, and rows of it transposed.
  transpose(from, stride, count, 2 * length, to, 16);
  for (int64_t k = 0; exchanged && k < length; ++k, to += 32) {
    for (int64_t lane = 0; lane < 16; lane += float_lanes) {
      const FloatV re = load_vector<FloatV>(to + lane);
      store_vector(to + lane, load_vector<FloatV>(to + 16 + lane));
      store_vector(to + 16 + lane, re);
    }
  }
}

void fft_to_rows(float* from, int64_t length, bool exchanged, int64_t count, float* to, int64_t stride,
                 bool /*past_caches*/) {
  float* at = from;
  for (int64_t k = 0; exchanged && k < length; ++k, at += 32) {
    for (int64_t lane = 0; lane < 16; lane += float_lanes) {
      const FloatV re = load_vector<FloatV>(at + lane);
      store_vector(at + lane, load_vector<FloatV>(at + 16 + lane));
      store_vector(at + 16 + lane, re);
    }
  }
  transpose(from, 16, 2 * length, count, to, stride);
}

void fft_from_columns(const float* from, int64_t stride, int64_t count, int64_t length, bool exchanged,
                      float* to) {
  const FftParts parts(exchanged);
  for (int64_t k = 0; k < length; ++k, from += stride, to += 32) {
    for (int64_t i = 0; i < count; ++i) {
      to[parts.re + i] = from[2 * i];
      to[parts.im + i] = from[2 * i + 1];
    }
    for (int64_t i = count; i < 16; ++i) to[i] = to[16 + i] = 0;
  }
}

void fft_to_columns(const float* from, int64_t length, bool exchanged, int64_t count, float* to,
                    int64_t stride) {
  const FftParts parts(exchanged);
  for (int64_t k = 0; k < length; ++k, from += 32, to += stride) {
    for (int64_t i = 0; i < count; ++i) {
      to[2 * i] = from[parts.re + i];
      to[2 * i + 1] = from[parts.im + i];
    }
  }
}

LAZULI_INLINE void exchange_lanes(const float* from, int64_t count, float* to) {
  transpose(from, 32, 16, count, to, 32);
  transpose(from + 16, 32, 16, count, to + 16, 32);
}

#endif

void fft_turn(float* x, int64_t length, const float* of_block, const float* of_lanes, int64_t count,
              float* to, int64_t to_stride) {
  for (int64_t k = 0; k < length; k += 16, to += to_stride) {
    const int64_t end = k + 16 < length ? k + 16 : length;
    for (int64_t i = k; i < end; ++i) {
      for (int64_t lane = 0; lane < 16; lane += float_lanes) {
        float* const at = x + 32 * i + lane;
        const float* const lanes = of_lanes + 32 * i + lane;
        const FloatV lane_re = load_vector<FloatV>(lanes), lane_im = load_vector<FloatV>(lanes + 16);
        const FloatV block_re = splat(of_block[2 * i]), block_im = splat(of_block[2 * i + 1]);
        const FloatV wr = fma(block_re, lane_re, -(block_im * lane_im));
        const FloatV wi = fma(block_re, lane_im, block_im * lane_re);
        const FloatV re = load_vector<FloatV>(at), im = load_vector<FloatV>(at + 16);
        store_vector(at, fma(re, wr, -(im * wi)));
        store_vector(at + 16, fma(re, wi, im * wr));
      }
    }
    for (int64_t i = end; i < k + 16; ++i) {
      for (int64_t lane = 0; lane < 32; lane += float_lanes) store_vector(x + 32 * i + lane, FloatV{});
    }
    exchange_lanes(x + 32 * k, count, to);
  }
}
