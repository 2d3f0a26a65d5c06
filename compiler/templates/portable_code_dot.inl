// Products with codes as they lie in MLX's layout, for AVX-512. See portable_vectors.inl for how this is
// compiled.
//
// What four bits stand for is one permutation of a register that holds all sixteen values. 64 bytes hold a
// tile of 128 codes: lane i of their words has codes 8 i to 8 i + 7, so that the t-th of each word meet the
// activations 8 i + t, and the sums of lanes that are of one group are scaled at once.

/// The values of four bits: whole numbers, or E2M1.
LAZULI_INLINE __m512 values_of_four_bits(bool is_float) {
  return is_float ? _mm512_setr_ps(0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6)
                  : _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

/// Which of a tile's groups each lane's codes belong to.
LAZULI_INLINE __m512i groups_of_lanes(int group_size) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const int shift = group_size == 16 ? 1 : group_size == 32 ? 2 : group_size == 64 ? 3 : 4;
  return _mm512_srl_epi32(lane, _mm_cvtsi32_si128(shift));
}

template <int x_rows, int w_rows>
void dot_four_bits(const CodeDot& dot, int64_t first) {
  constexpr int codes_a_word = 8;
  const __m512 values = values_of_four_bits(dot.is_float);
  const __m512i groups = groups_of_lanes(dot.group_size);
  const int64_t groups_a_tile = code_tile / dot.group_size;
  const uint8_t* codes = dot.codes + first * dot.codes_row_stride;
  const float* scales = dot.scales + first * dot.scales_row_stride;
  const float* x = dot.x;
  __m512 total[x_rows][w_rows];
  LAZULI_UNROLL
  for (int r = 0; r < x_rows; ++r) {
    LAZULI_UNROLL
    for (int j = 0; j < w_rows; ++j) total[r][j] = _mm512_setzero_ps();
  }
  for (int64_t p = 0; p < dot.k; p += code_tile) {
    const int64_t words = (dot.k - p < code_tile ? dot.k - p : code_tile) / codes_a_word;
    const auto lanes = static_cast<__mmask16>((1u << words) - 1);
    __m512i word[w_rows];
    LAZULI_UNROLL
    for (int j = 0; j < w_rows; ++j) {
      const uint8_t* at = codes + j * dot.codes_row_stride;
      word[j] = _mm512_maskz_loadu_epi32(lanes, at);
      _mm_prefetch(reinterpret_cast<const char*>(at + dot.ahead), _MM_HINT_T1);
    }
    __m512 sum[x_rows][w_rows];
    LAZULI_UNROLL
    for (int t = 0; t < codes_a_word; ++t) {
      __m512 element[w_rows];
      LAZULI_UNROLL
      for (int j = 0; j < w_rows; ++j) {
        // Of an index, four bits count.
        element[j] = _mm512_permutexvar_ps(_mm512_srli_epi32(word[j], 4 * t), values);
      }
      LAZULI_UNROLL
      for (int r = 0; r < x_rows; ++r) {
        const __m512 by = _mm512_loadu_ps(x + r * dot.x_row_stride + t * 16);
        LAZULI_UNROLL
        for (int j = 0; j < w_rows; ++j) {
          sum[r][j] = t == 0 ? _mm512_mul_ps(element[j], by) : _mm512_fmadd_ps(element[j], by, sum[r][j]);
        }
      }
    }
    LAZULI_UNROLL
    for (int j = 0; j < w_rows; ++j) {
      const __m512 scale = _mm512_permutexvar_ps(groups, _mm512_loadu_ps(scales + j * dot.scales_row_stride));
      // Lanes behind the end have another row's scales.
      LAZULI_UNROLL
      for (int r = 0; r < x_rows; ++r) {
        total[r][j] = _mm512_mask3_fmadd_ps(sum[r][j], scale, total[r][j], lanes);
      }
    }
    codes += code_tile / 2;
    scales += groups_a_tile;
    x += code_tile;
  }
  LAZULI_UNROLL
  for (int r = 0; r < x_rows; ++r) {
    LAZULI_UNROLL
    for (int j = 0; j < w_rows; ++j) {
      dot.out[r * dot.out_x_stride + (first + j) * dot.out_w_stride] = _mm512_reduce_add_ps(total[r][j]);
    }
  }
}

/// 32 codes of 8 bits as numbers, E4M3 as 2^-8 of them and without NaN.
template <bool is_float>
LAZULI_INLINE void widen_codes(const uint8_t* codes, __m512* low, __m512* high) {
  if constexpr (is_float) {
    // Moved to where float16 has its exponent and fraction. Sign-extended, a code has its sign at the top.
    const __m512i wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
    const __m512i half =
        _mm512_and_si512(_mm512_slli_epi16(wide, 7), _mm512_set1_epi16(static_cast<int16_t>(0xbf80)));
    *low = _mm512_cvtph_ps(_mm512_castsi512_si256(half));
    *high = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(half, 1));
  } else {
    const auto sixteen = [](const uint8_t* at) __attribute__((always_inline)) {
      return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))));
    };
    *low = sixteen(codes);
    *high = sixteen(codes + 16);
  }
}

template <bool is_float, int x_rows, int w_rows>
void dot_eight_bits(const CodeDot& dot, int64_t first) {
  constexpr int64_t step = 32;  // every group is a multiple of it
  const uint8_t* codes = dot.codes + first * dot.codes_row_stride;
  const float* scales = dot.scales + first * dot.scales_row_stride;
  __m512 total[x_rows][w_rows];
  __mmask32 not_numbers = 0;
  LAZULI_UNROLL
  for (int r = 0; r < x_rows; ++r) {
    LAZULI_UNROLL
    for (int j = 0; j < w_rows; ++j) total[r][j] = _mm512_setzero_ps();
  }
  for (int64_t p = 0; p < dot.k; p += step) {
    const float* scale = scales + p / dot.group_size;
    LAZULI_UNROLL
    for (int j = 0; j < w_rows; ++j) {
      const uint8_t* at = codes + j * dot.codes_row_stride + p;
      _mm_prefetch(reinterpret_cast<const char*>(at + dot.ahead), _MM_HINT_T1);
      if constexpr (is_float) {
        const __m256i signless = _mm256_or_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)),
                                                 _mm256_set1_epi8(static_cast<char>(0x80)));
        not_numbers |= _mm256_cmpeq_epi8_mask(signless, _mm256_set1_epi8(static_cast<char>(0xff)));
      }
      __m512 low, high;
      widen_codes<is_float>(at, &low, &high);
      const __m512 by = _mm512_set1_ps(scale[j * dot.scales_row_stride]);
      LAZULI_UNROLL
      for (int r = 0; r < x_rows; ++r) {
        const float* x = dot.x + r * dot.x_row_stride + p;
        const __m512 sum =
            _mm512_fmadd_ps(high, _mm512_loadu_ps(x + 16), _mm512_mul_ps(low, _mm512_loadu_ps(x)));
        total[r][j] = _mm512_fmadd_ps(sum, by, total[r][j]);
      }
    }
  }
  constexpr float unit = is_float ? 256 : 1;
  LAZULI_UNROLL
  for (int j = 0; j < w_rows; ++j) {
    // Seldom: which of the rows it is in is looked for again.
    bool is_number = true;
    const uint8_t* row = codes + j * dot.codes_row_stride;
    for (int64_t p = 0; not_numbers != 0 && p < dot.k; ++p) is_number = is_number && (row[p] & 0x7f) != 0x7f;
    LAZULI_UNROLL
    for (int r = 0; r < x_rows; ++r) {
      dot.out[r * dot.out_x_stride + (first + j) * dot.out_w_stride] =
          is_number ? unit * _mm512_reduce_add_ps(total[r][j]) : __builtin_nanf("");
    }
  }
}

template <int x_rows, int w_rows>
void dot_codes(const CodeDot& dot, int64_t first) {
  if (dot.bits == 4) return dot_four_bits<x_rows, w_rows>(dot, first);
  return dot.is_float ? dot_eight_bits<true, x_rows, w_rows>(dot, first)
                      : dot_eight_bits<false, x_rows, w_rows>(dot, first);
}

template <int x_rows>
void dot_code_rows(const CodeDot& dot) {
  constexpr int abreast = x_rows <= 2 ? 4 : 2;
  int64_t row = 0;
  for (; row + abreast <= dot.w_rows; row += abreast) dot_codes<x_rows, abreast>(dot, row);
  for (; row < dot.w_rows; ++row) dot_codes<x_rows, 1>(dot, row);
}

void code_dot(const CodeDot& dot) {
  switch (dot.x_rows) {
    case 1:
      return dot_code_rows<1>(dot);
    case 2:
      return dot_code_rows<2>(dot);
    case 3:
      return dot_code_rows<3>(dot);
    default:
      return dot_code_rows<4>(dot);
  }
}
