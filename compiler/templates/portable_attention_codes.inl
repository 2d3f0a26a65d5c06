// Scores of quantized keys and sums of quantized values by byte dot products, for AVX-512 with VNNI. See
// portable_vectors.inl for how this is compiled.
//
// Queries, and the weights of values, are whole numbers of 16 bits in two signed bytes, 256 times the one
// plus the other, so that each takes two dot products with the codes, which are unsigned bytes. 16 bytes of a
// few rows are turned at a time: into vectors whose lanes are keys (scores), or whose lanes are columns of
// four keys (sums).

/// The 16 bytes at each of four places, side by side.
LAZULI_INLINE __m512i four_parts(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d) {
  const auto part = [](const uint8_t* at) __attribute__((always_inline)) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  };
  __m512i all = _mm512_castsi128_si512(part(a));
  all = _mm512_mask_broadcast_i32x4(all, 0x00f0, part(b));
  all = _mm512_mask_broadcast_i32x4(all, 0x0f00, part(c));
  return _mm512_mask_broadcast_i32x4(all, 0xf000, part(d));
}

/// The bytes of a vector that are codes of one of the two places in a byte, or all of it.
template <int bits, int place>
LAZULI_INLINE __m512i codes_at(__m512i bytes) {
  if constexpr (bits == 8) return bytes;
  const __m512i mask = _mm512_set1_epi8(0x0f);
  return _mm512_and_si512(place == 0 ? bytes : _mm512_srli_epi16(bytes, 4), mask);
}

/// Adds the products of codes with four signed bytes that all lanes share.
LAZULI_INLINE __m512i add_products(__m512i sum, __m512i codes, const int32_t* bytes) {
  return _mm512_dpbusd_epi32(sum, codes, _mm512_set1_epi32(*bytes));
}

/// What two sums are together: of upper and of lower bytes.
LAZULI_INLINE __m512 both_sums(__m512i upper, __m512i lower) {
  return _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(upper, 8), lower));
}

/// Asks for the next of what is needed later. As many lines as are read, with each of them: what is asked for
/// at once has to wait for the few places that there are for misses.
template <int lines>
LAZULI_INLINE void fetch(const uint8_t** ahead) {
  LAZULI_UNROLL
  for (int i = 0; i < lines; ++i) {
    _mm_prefetch(reinterpret_cast<const char*>(*ahead) + 64 * i, _MM_HINT_T1);
  }
  *ahead += 64 * lines;
}

/// Rows of codes one after another, as far as the last one, which stands for those behind it.
struct CodeRows {
  const uint8_t* first;
  int64_t stride;
  int64_t last;
};

/// 16 bytes of each of 16 rows from `row` on, turned: lane i of vector w has word w of row i.
template <bool are_all_there>
LAZULI_INLINE void turn_sixteen_rows(const CodeRows& rows, int64_t row, int64_t at, __m512i* words) {
  // Row 4 i + j gives part i of vector j.
  __m512i of[4];
  const uint8_t* next = rows.first + row * rows.stride + at;
  // Sixteen addresses would not stay in registers; they are made of a few where they are needed.
  if constexpr (are_all_there) __asm__("" : "+r"(next));
  LAZULI_UNROLL
  for (int j = 0; j < 4; ++j) {
    if constexpr (are_all_there) {
      of[j] = four_parts(next, next + 4 * rows.stride, next + 8 * rows.stride, next + 12 * rows.stride);
      next += rows.stride;
    } else {
      const auto place = [&](int64_t i) __attribute__((always_inline)) {
        return rows.first + (row + i < rows.last ? row + i : rows.last) * rows.stride + at;
      };
      of[j] = four_parts(place(j), place(j + 4), place(j + 8), place(j + 12));
    }
  }
  const __m512i low01 = _mm512_unpacklo_epi32(of[0], of[1]);
  const __m512i low23 = _mm512_unpacklo_epi32(of[2], of[3]);
  const __m512i high01 = _mm512_unpackhi_epi32(of[0], of[1]);
  const __m512i high23 = _mm512_unpackhi_epi32(of[2], of[3]);
  words[0] = _mm512_unpacklo_epi64(low01, low23);
  words[1] = _mm512_unpackhi_epi64(low01, low23);
  words[2] = _mm512_unpacklo_epi64(high01, high23);
  words[3] = _mm512_unpackhi_epi64(high01, high23);
}

/// Scores of 16 * sets keys.
template <int bits, int rows, int sets, bool are_all_there>
LAZULI_INLINE void score_keys(const CodeScores& scores, int64_t key, const uint8_t** ahead) {
  constexpr int places = 8 / bits;
  constexpr int64_t part_bytes = 16;
  const int64_t group_bytes = scores.group_size * bits / 8;
  const CodeRows keys{scores.codes, scores.codes_row_stride, scores.keys - 1};
  __m512 total[sets][rows];
  LAZULI_UNROLL
  for (int i = 0; i < sets; ++i) {
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) total[i][r] = _mm512_setzero_ps();
  }
  const int32_t* x = scores.x;
  int64_t at = 0;
  for (int64_t g = 0; g < scores.groups; ++g) {
    __m512i upper[sets][rows];
    __m512i lower[sets][rows];
    LAZULI_UNROLL
    for (int i = 0; i < sets; ++i) {
      LAZULI_UNROLL
      for (int r = 0; r < rows; ++r) upper[i][r] = lower[i][r] = _mm512_setzero_si512();
    }
    for (const int64_t end = at + group_bytes; at < end; at += part_bytes) {
      __m512i words[sets][4];
      LAZULI_UNROLL
      for (int i = 0; i < sets; ++i) turn_sixteen_rows<are_all_there>(keys, key + 16 * i, at, words[i]);
      LAZULI_UNROLL
      for (int w = 0; w < 4; ++w) {
        fetch<sets>(ahead);
        LAZULI_UNROLL
        for (int place = 0; place < places; ++place) {
          __m512i codes[sets];
          LAZULI_UNROLL
          for (int i = 0; i < sets; ++i) {
            codes[i] = place == 0 ? codes_at<bits, 0>(words[i][w]) : codes_at<bits, 1>(words[i][w]);
          }
          LAZULI_UNROLL
          for (int r = 0; r < rows; ++r) {
            LAZULI_UNROLL
            for (int i = 0; i < sets; ++i) {
              upper[i][r] = add_products(upper[i][r], codes[i], x);
              lower[i][r] = add_products(lower[i][r], codes[i], x + 1);
            }
            x += 2;
          }
        }
      }
    }
    LAZULI_UNROLL
    for (int i = 0; i < sets; ++i) {
      const __m512 scale = _mm512_loadu_ps(scores.scales + g * scores.scales_stride + key + 16 * i);
      const __m512 bias = _mm512_loadu_ps(scores.biases + g * scores.scales_stride + key + 16 * i);
      LAZULI_UNROLL
      for (int r = 0; r < rows; ++r) {
        total[i][r] = _mm512_fmadd_ps(both_sums(upper[i][r], lower[i][r]), scale, total[i][r]);
        total[i][r] = _mm512_fmadd_ps(bias, _mm512_set1_ps(scores.sums[g * rows + r]), total[i][r]);
      }
    }
  }
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) {
    const __m512 factor = _mm512_set1_ps(scores.factors[r]);
    LAZULI_UNROLL
    for (int i = 0; i < sets; ++i) {
      _mm512_storeu_ps(scores.out + r * scores.out_row_stride + key + 16 * i,
                       _mm512_mul_ps(total[i][r], factor));
    }
  }
}

template <int bits, int rows>
void score_rows(const CodeScores& scores) {
  const uint8_t* ahead = scores.ahead != nullptr ? scores.ahead : scores.codes;
  int64_t key = 0;
  // Two sets at a time, so that sums do not wait for each other.
  for (; key + 32 <= scores.keys; key += 32) score_keys<bits, rows, 2, true>(scores, key, &ahead);
  for (; key < scores.keys; key += 16) score_keys<bits, rows, 1, false>(scores, key, &ahead);
}

/// The 16 bytes at each of four rows, turned: lane i has byte i of each row.
LAZULI_INLINE __m512i turn_four_rows(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d) {
  // Word i of part j becomes word j of part i, whose bytes then change places in the same way.
  const __m512i words = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i bytes =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  return _mm512_shuffle_epi8(_mm512_permutexvar_epi32(words, four_parts(a, b, c, d)), bytes);
}

/// Adds to the columns whose codes are 16 * parts bytes from `at` on, of group g.
template <int bits, int rows, int parts>
LAZULI_INLINE void sum_parts(const CodeSums& sums, int64_t at, int64_t g, const uint8_t** ahead) {
  constexpr int places = 8 / bits;
  constexpr int vectors = parts * places;
  __m512i upper[rows][vectors];
  __m512i lower[rows][vectors];
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) {
    LAZULI_UNROLL
    for (int v = 0; v < vectors; ++v) upper[r][v] = lower[r][v] = _mm512_setzero_si512();
  }
  const int64_t stride = sums.codes_row_stride;
  const uint8_t* row = sums.codes + at;
  const int8_t* weights = sums.weights + g * rows * 2 * sums.weights_stride;
  const int64_t whole = sums.keys & ~int64_t{3};
  const auto add = [&](const uint8_t* b, const uint8_t* c, const uint8_t* d, int64_t key)
      __attribute__((always_inline)) {
    __m512i codes[vectors];
    fetch<parts>(ahead);
    LAZULI_UNROLL
    for (int part = 0; part < parts; ++part) {
      const __m512i turned = turn_four_rows(row + 16 * part, b + 16 * part, c + 16 * part, d + 16 * part);
      codes[part * places] = codes_at<bits, 0>(turned);
      if constexpr (places == 2) codes[part * places + 1] = codes_at<bits, 1>(turned);
    }
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) {
      const int8_t* weight = weights + 2 * r * sums.weights_stride + key;
      LAZULI_UNROLL
      for (int v = 0; v < vectors; ++v) {
        upper[r][v] = add_products(upper[r][v], codes[v], reinterpret_cast<const int32_t*>(weight));
        lower[r][v] = add_products(lower[r][v], codes[v],
                                   reinterpret_cast<const int32_t*>(weight + sums.weights_stride));
      }
    }
  };
  for (int64_t key = 0; key < whole; key += 4) {
    add(row + stride, row + 2 * stride, row + 3 * stride, key);
    row += 4 * stride;
  }
  if (whole < sums.keys) {
    // Weights of keys that are not there are zero.
    const int64_t rest = sums.keys - whole;
    add(row + (rest > 1 ? stride : 0), row + (rest > 2 ? 2 * stride : 0), row, whole);
  }
  const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) {
    const __m512 step = _mm512_set1_ps(sums.steps[g * rows + r]);
    const __m512 bias = _mm512_set1_ps(sums.biases[g * rows + r]);
    float* out = sums.out + r * sums.out_row_stride + at * places;
    __m512 of[vectors];
    LAZULI_UNROLL
    for (int v = 0; v < vectors; ++v) {
      of[v] = _mm512_fmadd_ps(both_sums(upper[r][v], lower[r][v]), step, bias);
    }
    LAZULI_UNROLL
    for (int v = 0; v < vectors; ++v) {
      // Columns of 4 bits take turns.
      const __m512 columns =
          places == 1 ? of[v]
                      : _mm512_permutex2var_ps(of[v / 2 * 2], v % 2 == 0 ? first : second, of[v / 2 * 2 + 1]);
      _mm512_storeu_ps(out + 16 * v, _mm512_add_ps(_mm512_loadu_ps(out + 16 * v), columns));
    }
  }
}

/// Adds to half of the columns whose codes are the 64 bytes of 8 bits from `at` on, of group g: to 8 of each
/// 16, from `half` * 8 on. Vectors of four rows that are read whole take fewer turns.
template <int rows, int half>
LAZULI_INLINE void sum_lines(const CodeSums& sums, int64_t at, int64_t g, const uint8_t** ahead) {
  __m512i upper[rows][2];
  __m512i lower[rows][2];
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) {
    LAZULI_UNROLL
    for (int v = 0; v < 2; ++v) upper[r][v] = lower[r][v] = _mm512_setzero_si512();
  }
  const int64_t stride = sums.codes_row_stride;
  const uint8_t* row = sums.codes + at;
  const int8_t* weights = sums.weights + g * rows * 2 * sums.weights_stride;
  const auto pairs = [](const uint8_t* a, const uint8_t* b) __attribute__((always_inline)) {
    const __m512i first = _mm512_loadu_si512(a);
    const __m512i second = _mm512_loadu_si512(b);
    return half == 0 ? _mm512_unpacklo_epi8(first, second) : _mm512_unpackhi_epi8(first, second);
  };
  const auto add = [&](const uint8_t* b, const uint8_t* c, const uint8_t* d, int64_t key)
      __attribute__((always_inline)) {
    const __m512i ab = pairs(row, b);
    const __m512i cd = pairs(c, d);
    const __m512i codes[2] = {_mm512_unpacklo_epi16(ab, cd), _mm512_unpackhi_epi16(ab, cd)};
    fetch<2>(ahead);
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) {
      const int8_t* weight = weights + 2 * r * sums.weights_stride + key;
      LAZULI_UNROLL
      for (int v = 0; v < 2; ++v) {
        upper[r][v] = add_products(upper[r][v], codes[v], reinterpret_cast<const int32_t*>(weight));
        lower[r][v] = add_products(lower[r][v], codes[v],
                                   reinterpret_cast<const int32_t*>(weight + sums.weights_stride));
      }
    }
  };
  const int64_t whole = sums.keys & ~int64_t{3};
  for (int64_t key = 0; key < whole; key += 4) {
    add(row + stride, row + 2 * stride, row + 3 * stride, key);
    row += 4 * stride;
  }
  if (whole < sums.keys) {
    // Weights of keys that are not there are zero.
    const int64_t rest = sums.keys - whole;
    add(row + (rest > 1 ? stride : 0), row + (rest > 2 ? 2 * stride : 0), row, whole);
  }
  // Of each 16 columns, four are in one vector and four in the other.
  const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
  const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) {
    const __m512 step = _mm512_set1_ps(sums.steps[g * rows + r]);
    const __m512 bias = _mm512_set1_ps(sums.biases[g * rows + r]);
    float* out = sums.out + r * sums.out_row_stride + at + 8 * half;
    __m512i of[2];
    LAZULI_UNROLL
    for (int v = 0; v < 2; ++v) {
      of[v] = _mm512_castps_si512(_mm512_fmadd_ps(both_sums(upper[r][v], lower[r][v]), step, bias));
    }
    LAZULI_UNROLL
    for (int pair = 0; pair < 2; ++pair) {
      const __m512 columns =
          _mm512_castsi512_ps(_mm512_permutex2var_epi64(of[0], pair == 0 ? first : second, of[1]));
      float* place = out + 32 * pair;
      _mm256_storeu_ps(place, _mm256_add_ps(_mm256_loadu_ps(place), _mm512_castps512_ps256(columns)));
      _mm256_storeu_ps(place + 16,
                       _mm256_add_ps(_mm256_loadu_ps(place + 16), _mm512_extractf32x8_ps(columns, 1)));
    }
  }
}

template <int bits, int rows>
void sum_rows(const CodeSums& sums) {
  const int64_t group_bytes = sums.group_size * bits / 8;
  // As many sums as registers hold, of columns of one group.
  constexpr int at_once = bits == 8 ? 2 : 1;
  const int64_t parts = sums.groups * group_bytes / (16 * at_once);
  const uint8_t* ahead = sums.ahead != nullptr ? sums.ahead : sums.codes;
  if (bits == 8 && group_bytes % 64 == 0) {
    for (int64_t at = 0; at < sums.groups * group_bytes; at += 64) {
      sum_lines<rows, 0>(sums, at, at / group_bytes, &ahead);
      sum_lines<rows, 1>(sums, at, at / group_bytes, &ahead);
    }
    return;
  }
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t at = part * 16 * at_once;
    sum_parts<bits, rows, at_once>(sums, at, at / group_bytes, &ahead);
  }
}

/// Whole numbers of 16 bits, of four vectors one after another, as upper and lower bytes.
LAZULI_INLINE void store_bytes(const __m512i* whole, int8_t* upper, int8_t* lower) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i a = _mm512_packs_epi32(whole[0], whole[1]);
  const __m512i b = _mm512_packs_epi32(whole[2], whole[3]);
  const auto above = [](__m512i v) __attribute__((always_inline)) {
    return _mm512_srai_epi16(_mm512_add_epi16(v, _mm512_set1_epi16(128)), 8);
  };
  const auto below = [](__m512i v) __attribute__((always_inline)) {
    return _mm512_and_si512(v, _mm512_set1_epi16(255));
  };
  // Packing goes by parts of 128 bits.
  _mm512_storeu_si512(upper, _mm512_permutexvar_epi32(order, _mm512_packs_epi16(above(a), above(b))));
  _mm512_storeu_si512(lower, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(below(a), below(b))));
}

LAZULI_INLINE __mmask16 lanes_below(int64_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xffff : count <= 0 ? 0 : (1u << count) - 1);
}

/// Those of one group of columns.
template <int rows>
LAZULI_INLINE bool weights_of_group(const CodeWeights& w, int64_t g) {
  constexpr int32_t infinity_bits = 0x7f800000;
  const __m512i all_but_sign = _mm512_set1_epi32(0x7fffffff);
  const float* scales = w.scales + g * w.scales_stride;
  const float* biases = w.biases + g * w.scales_stride;
  alignas(64) float products[rows][max_code_keys];
  __m512 bias_sum[rows];
  __m512i largest[rows];
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) {
    bias_sum[r] = _mm512_setzero_ps();
    largest[r] = _mm512_setzero_si512();
  }
  for (int64_t key = 0; key < w.keys; key += 16) {
    const __mmask16 lanes = lanes_below(w.keys - key);
    const __m512 scale = _mm512_maskz_loadu_ps(lanes, scales + key);
    const __m512 bias = _mm512_maskz_loadu_ps(lanes, biases + key);
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) {
      const __m512 weight = _mm512_maskz_loadu_ps(lanes, w.x + r * w.x_row_stride + key);
      const __m512 product = _mm512_mul_ps(weight, scale);
      bias_sum[r] = _mm512_fmadd_ps(weight, bias, bias_sum[r]);
      // Bits of absolute values are in order like these, with infinities and NaN at the end.
      largest[r] = _mm512_max_epi32(largest[r], _mm512_and_si512(_mm512_castps_si512(product), all_but_sign));
      _mm512_store_ps(products[r] + key, product);
    }
  }
  const __m512i zero = _mm512_setzero_si512();
  for (int64_t key = (w.keys + 15) & ~int64_t{15}; key % 64 != 0; key += 16) {
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) _mm512_store_si512(products[r] + key, zero);
  }
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) {
    const int32_t bits = _mm512_reduce_max_epi32(largest[r]);
    if (bits >= infinity_bits) return false;
    float size;
    __builtin_memcpy(&size, &bits, sizeof(size));
    const float step = size / code_weight_levels;
    const bool is_none = step < 0x1p-126f;
    const __m512 inverse = _mm512_set1_ps(is_none ? 0.0f : 1.0f / step);
    int8_t* upper = w.out + (g * rows + r) * 2 * w.out_stride;
    for (int64_t key = 0; key < w.keys; key += 64) {
      __m512i whole[4];
      LAZULI_UNROLL
      for (int i = 0; i < 4; ++i) {
        whole[i] = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_load_ps(products[r] + key + 16 * i), inverse));
      }
      store_bytes(whole, upper + key, upper + w.out_stride + key);
    }
    w.steps[g * rows + r] = is_none ? 0.0f : step;
    w.bias_sums[g * rows + r] = _mm512_reduce_add_ps(bias_sum[r]);
  }
  return true;
}

template <int rows>
bool weights_of_rows(const CodeWeights& w) {
  for (int64_t g = 0; g < w.groups; ++g) {
    if (!weights_of_group<rows>(w, g)) return false;
  }
  return true;
}

bool code_weights(const CodeWeights& w) {
  switch (w.rows) {
    case 1:
      return weights_of_rows<1>(w);
    case 2:
      return weights_of_rows<2>(w);
    case 3:
      return weights_of_rows<3>(w);
    default:
      return weights_of_rows<4>(w);
  }
}

template <int bits>
void score_codes_of(const CodeScores& scores) {
  switch (scores.rows) {
    case 1:
      return score_rows<bits, 1>(scores);
    case 2:
      return score_rows<bits, 2>(scores);
    case 3:
      return score_rows<bits, 3>(scores);
    default:
      return score_rows<bits, 4>(scores);
  }
}

template <int bits>
void sum_codes_of(const CodeSums& sums) {
  switch (sums.rows) {
    case 1:
      return sum_rows<bits, 1>(sums);
    case 2:
      return sum_rows<bits, 2>(sums);
    case 3:
      return sum_rows<bits, 3>(sums);
    default:
      return sum_rows<bits, 4>(sums);
  }
}

void score_codes(const CodeScores& scores) {
  scores.bits == 4 ? score_codes_of<4>(scores) : score_codes_of<8>(scores);
}

void sum_codes(const CodeSums& sums) {
  sums.bits == 4 ? sum_codes_of<4>(sums) : sum_codes_of<8>(sums);
}

/// 16 scales from element i on, of which only the first `left` are there.
LAZULI_INLINE __m512 load_scales(const std::byte* scales, Storage storage, int64_t i, int64_t left) {
  const __mmask16 lanes = lanes_below(left);
  if (storage == Storage::float32) {
    return _mm512_maskz_loadu_ps(lanes, reinterpret_cast<const float*>(scales) + i);
  }
  const __m256i halves = _mm256_maskz_loadu_epi16(lanes, reinterpret_cast<const uint16_t*>(scales) + i);
  if (storage == Storage::float16) return _mm512_cvtph_ps(halves);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

/// Of 32 elements, those at even places and those at odd ones.
LAZULI_INLINE void part_by_parity(__m512 a, __m512 b, __m512* even, __m512* odd) {
  const __m512i evens = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  *even = _mm512_permutex2var_ps(a, evens, b);
  *odd = _mm512_permutex2var_ps(a, _mm512_add_epi32(evens, _mm512_set1_epi32(1)), b);
}

template <Storage storage>
LAZULI_INLINE void part_scales(const std::byte* rows, int64_t keys, int64_t groups, float* out,
                               int64_t out_stride) {
  const auto load = [&](int64_t i) __attribute__((always_inline)) {
    return load_scales(rows, storage, i, keys * groups - i);
  };
  for (int64_t j = 0; j < keys; j += 16) {
    if (groups == 1) {
      _mm512_storeu_ps(out + j, load(j));
    } else if (groups == 2) {
      __m512 first, second;
      part_by_parity(load(2 * j), load(2 * j + 16), &first, &second);
      _mm512_storeu_ps(out + j, first);
      _mm512_storeu_ps(out + out_stride + j, second);
    } else if (groups == 4) {
      __m512 even[2], odd[2], group[4];
      for (int half = 0; half < 2; ++half) {
        part_by_parity(load(4 * j + 32 * half), load(4 * j + 32 * half + 16), even + half, odd + half);
      }
      part_by_parity(even[0], even[1], group, group + 2);
      part_by_parity(odd[0], odd[1], group + 1, group + 3);
      for (int g = 0; g < 4; ++g) _mm512_storeu_ps(out + g * out_stride + j, group[g]);
    } else {
      for (int64_t i = j; i < j + 16 && i < keys; ++i) {
        for (int64_t g = 0; g < groups; ++g) {
          _mm_store_ss(out + g * out_stride + i, _mm512_castps512_ps128(load(i * groups + g)));
        }
      }
    }
  }
}

void scales_by_group(const std::byte* rows, Storage storage, int64_t keys, int64_t groups, float* out,
                     int64_t out_stride) {
  switch (storage) {
    case Storage::float16:
      return part_scales<Storage::float16>(rows, keys, groups, out, out_stride);
    case Storage::bfloat16:
      return part_scales<Storage::bfloat16>(rows, keys, groups, out, out_stride);
    default:
      return part_scales<Storage::float32>(rows, keys, groups, out, out_stride);
  }
}
