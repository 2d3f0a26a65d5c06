// The portable kernels that widen floating point numbers of a few bits. See portable_vectors.inl for how this
// is compiled.

/// For a count that is a multiple of 8.
void widen_e2m1(const uint8_t* codes, float scale, int64_t count, float* out) {
#if LAZULI_TEMPLATES_AVX2
  const __m256i shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
  const __m256 magnitudes = _mm256_setr_ps(0, 0.5f, 1, 1.5f, 2, 3, 4, 6);
  const __m256i sign_bit = _mm256_set1_epi32(INT32_MIN);
  for (int64_t i = 0; i < count; i += 8, codes += 4) {
    const __m256i word = _mm256_set1_epi32(static_cast<int32_t>(load_vector<uint32_t>(codes)));
    // Bits above a code are passed over, or masked.
    const __m256i code = _mm256_srlv_epi32(word, shifts);
    const __m256 magnitude = _mm256_permutevar8x32_ps(magnitudes, code);
    const __m256i sign = _mm256_and_si256(_mm256_slli_epi32(code, 28), sign_bit);
    const __m256 value = _mm256_xor_ps(magnitude, _mm256_castsi256_ps(sign));
    _mm256_storeu_ps(out + i, _mm256_mul_ps(value, _mm256_set1_ps(scale)));
  }
#else
  constexpr float values[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
  for (int64_t i = 0; i < count; ++i) out[i] = scale * values[codes[i / 2] >> (i % 2 * 4) & 15];
#endif
}

/// A value, or NaN where the code says so.
LAZULI_INLINE float e4m3_value(uint8_t code) {
  constexpr uint32_t not_a_number = 0x7f;
  const uint32_t magnitude = code & not_a_number;
  if (magnitude == not_a_number) return __builtin_nanf("");
  // Below the smallest normal number codes count; above, they are a float32's upper bits with another bias.
  float value = static_cast<float>(magnitude) * 0x1p-9f;
  const uint32_t bits = (magnitude << 20) + (120u << 23);
  if (magnitude >= 8) __builtin_memcpy(&value, &bits, sizeof(value));
  return code > not_a_number ? -value : value;
}

void widen_e4m3(const uint8_t* codes, float scale, int64_t count, float* out) {
  int64_t i = 0;
#if LAZULI_TEMPLATES_AVX2
  // Moved to where float16 has its exponent and fraction, they are 2^8 too small. Sign-extended, a code has
  // its sign at the top.
  const __m128i kept = _mm_set1_epi16(static_cast<int16_t>(0xbf80));
  const __m128i all_ones = _mm_set1_epi16(0x3f80);
  for (; i + 8 <= count; i += 8) {
    const __m128i wide = _mm_cvtepi8_epi16(_mm_cvtsi64_si128(load_vector<int64_t>(codes + i)));
    const __m128i half = _mm_and_si128(_mm_slli_epi16(wide, 7), kept);
    // All ones are no number, which float16 writes with more ones.
    const __m128i is_nan = _mm_cmpeq_epi16(_mm_and_si128(half, all_ones), all_ones);
    const __m256 value = _mm256_cvtph_ps(_mm_or_si128(half, _mm_and_si128(is_nan, _mm_set1_epi16(0x7fff))));
    const __m256 element = _mm256_mul_ps(value, _mm256_set1_ps(256));
    _mm256_storeu_ps(out + i, _mm256_mul_ps(element, _mm256_set1_ps(scale)));
  }
#endif
  for (; i < count; ++i) out[i] = scale * e4m3_value(codes[i]);
}

void widen_e8m0(const uint8_t* codes, int64_t count, float* out) {
  int64_t i = 0;
#if LAZULI_TEMPLATES_AVX2
  const __m256i least = _mm256_set1_epi32(1 << 22);
  for (; i + 8 <= count; i += 8) {
    const __m256i exponent = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(load_vector<int64_t>(codes + i)));
    // Only that of the code 0 is below 2^22: it is the one subnormal number.
    const __m256i bits = _mm256_max_epi32(_mm256_slli_epi32(exponent, 23), least);
    store_vector(out + i, bits);
  }
#endif
  for (; i < count; ++i) {
    const uint32_t bits = codes[i] == 0 ? 1u << 22 : uint32_t{codes[i]} << 23;
    __builtin_memcpy(out + i, &bits, sizeof(bits));
  }
}
