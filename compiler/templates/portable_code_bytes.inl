// Products with codes as they lie in MLX's layout by byte dot products, for AVX-512 with VNNI. See
// portable_vectors.inl for how this is compiled.
//
// Activations are whole numbers of 16 bits, 256 times one signed byte plus another, so that they take two dot
// products with codes, which are unsigned bytes. Two codes of four bits share a byte: a tile of 64 bytes
// meets the activations at its even places in the lower halves of its bytes, those at odd ones in the upper
// halves. All bytes of a word are of one group, as a group has 16 elements or more.

/// What E2M1's twelve steps of a half below zero are as unsigned numbers.
constexpr int8_t half_steps_below_zero = 12;

/// Codes of a tile, one place of their bytes, as unsigned numbers; E2M1 in halves, as numbers above the
/// lowest.
template <int bits, bool is_float, int place>
LAZULI_INLINE __m512i unsigned_codes(__m512i bytes) {
  const __m512i codes = codes_at<bits, place>(bytes);
  if constexpr (!is_float) return codes;
  const __m128i halves = _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0);
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(halves), codes);
}

/// What tiles of some rows are read from.
struct CodeTiles {
  const uint8_t* codes;
  const float* scales;
  const int8_t* x;
  const float* steps;
  const int32_t* starts;
};

/// Adds the products of a tile, of whose words only some are there if it is not whole.
template <int bits, bool is_float, bool is_whole, int x_rows, int w_rows>
LAZULI_INLINE void add_code_bytes(const CodeBytesDot& dot, const CodeTiles& at, __m512i groups,
                                  __mmask16 lanes, __m512 (*total)[w_rows]) {
  constexpr int places = 8 / bits;
  LAZULI_UNROLL
  for (int j = 0; j < w_rows; ++j) {
    const uint8_t* row = at.codes + j * dot.codes_row_stride;
    const __m512i bytes = is_whole ? _mm512_loadu_si512(row) : _mm512_maskz_loadu_epi32(lanes, row);
    _mm_prefetch(reinterpret_cast<const char*>(row + dot.ahead), _MM_HINT_T1);
    __m512i code[places];
    code[0] = unsigned_codes<bits, is_float, 0>(bytes);
    if constexpr (places == 2) code[1] = unsigned_codes<bits, is_float, 1>(bytes);
    const __m512 scale =
        _mm512_permutexvar_ps(groups, _mm512_loadu_ps(at.scales + j * dot.scales_row_stride));
    LAZULI_UNROLL
    for (int r = 0; r < x_rows; ++r) {
      const int8_t* by = at.x + r * dot.x_row_stride;
      __m512i upper = _mm512_setzero_si512();
      LAZULI_UNROLL
      for (int place = 0; place < places; ++place) {
        upper = _mm512_dpbusd_epi32(upper, code[place], _mm512_loadu_si512(by + 128 * place));
      }
      // Whole numbers are added up where they can begin with what upper bytes give.
      upper = _mm512_slli_epi32(upper, 8);
      __m512i sum = is_float ? _mm512_loadu_si512(at.starts + r * dot.lanes_row_stride) : upper;
      LAZULI_UNROLL
      for (int place = 0; place < places; ++place) {
        sum = _mm512_dpbusd_epi32(sum, code[place], _mm512_loadu_si512(by + 128 * place + 64));
      }
      if constexpr (is_float) sum = _mm512_add_epi32(sum, upper);
      const __m512 step = _mm512_loadu_ps(at.steps + r * dot.lanes_row_stride);
      const __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), step);
      // Lanes behind the end have another row's scales.
      total[r][j] = is_whole ? _mm512_fmadd_ps(product, scale, total[r][j])
                             : _mm512_mask3_fmadd_ps(product, scale, total[r][j], lanes);
    }
  }
}

template <int bits, bool is_float, int x_rows, int w_rows>
void dot_code_bytes(const CodeBytesDot& dot, int64_t first) {
  constexpr int places = 8 / bits;
  constexpr int64_t tile = 64 * places;
  constexpr int lane_bits = places == 2 ? 3 : 2;  // a power of two, as that of a group
  const int group_bits = __builtin_ctz(static_cast<unsigned>(dot.group_size));
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i groups = _mm512_srl_epi32(lane, _mm_cvtsi32_si128(group_bits - lane_bits));
  const float* scales = dot.scales + first * dot.scales_row_stride;
  CodeTiles at{dot.codes + first * dot.codes_row_stride, scales, dot.x, dot.steps, dot.starts};
  __m512 total[x_rows][w_rows];
  LAZULI_UNROLL
  for (int r = 0; r < x_rows; ++r) {
    LAZULI_UNROLL
    for (int j = 0; j < w_rows; ++j) total[r][j] = _mm512_setzero_ps();
  }
  int64_t p = 0;
  for (; p + tile <= dot.k; p += tile) {
    at.scales = scales + (p >> group_bits);
    add_code_bytes<bits, is_float, true, x_rows, w_rows>(dot, at, groups, 0, total);
    at.codes += 64;
    at.x += 128 * places;
    at.steps += 16;
    at.starts += 16;
  }
  if (p < dot.k) {
    at.scales = scales + (p >> group_bits);
    add_code_bytes<bits, is_float, false, x_rows, w_rows>(dot, at, groups,
                                                          lanes_below((dot.k - p) >> lane_bits), total);
  }
  for (int64_t g = 0; dot.biases != nullptr && g * dot.group_size < dot.k; g += 16) {
    const __mmask16 lanes = lanes_below(dot.k / dot.group_size - g);
    LAZULI_UNROLL
    for (int j = 0; j < w_rows; ++j) {
      const __m512 bias = _mm512_maskz_loadu_ps(lanes, dot.biases + (first + j) * dot.scales_row_stride + g);
      LAZULI_UNROLL
      for (int r = 0; r < x_rows; ++r) {
        const __m512 sum = _mm512_maskz_loadu_ps(lanes, dot.sums + r * dot.sums_row_stride + g);
        total[r][j] = _mm512_fmadd_ps(bias, sum, total[r][j]);
      }
    }
  }
  LAZULI_UNROLL
  for (int r = 0; r < x_rows; ++r) {
    LAZULI_UNROLL
    for (int j = 0; j < w_rows; ++j) {
      dot.out[r * dot.out_x_stride + (first + j) * dot.out_w_stride] = _mm512_reduce_add_ps(total[r][j]);
    }
  }
}

template <int bits, bool is_float, int x_rows>
void dot_rows_of_code_bytes(const CodeBytesDot& dot) {
  constexpr int abreast = 4;
  int64_t row = 0;
  for (; row + abreast <= dot.w_rows; row += abreast)
    dot_code_bytes<bits, is_float, x_rows, abreast>(dot, row);
  for (; row < dot.w_rows; ++row) dot_code_bytes<bits, is_float, x_rows, 1>(dot, row);
}

template <int bits, bool is_float>
void code_bytes_dot_of(const CodeBytesDot& dot) {
  switch (dot.x_rows) {
    case 1:
      return dot_rows_of_code_bytes<bits, is_float, 1>(dot);
    case 2:
      return dot_rows_of_code_bytes<bits, is_float, 2>(dot);
    case 3:
      return dot_rows_of_code_bytes<bits, is_float, 3>(dot);
    default:
      return dot_rows_of_code_bytes<bits, is_float, 4>(dot);
  }
}

void code_bytes_dot(const CodeBytesDot& dot) {
  if (dot.bits == 8) return code_bytes_dot_of<8, false>(dot);
  dot.is_float ? code_bytes_dot_of<4, true>(dot) : code_bytes_dot_of<4, false>(dot);
}

/// The elements of a group, whole multiples of 16, as whole numbers. False where there are none that stand
/// for them.
LAZULI_INLINE bool whole_numbers(const float* x, int count, int16_t* whole, float* step) {
  constexpr int32_t infinity_bits = 0x7f800000;
  const __m512i all_but_sign = _mm512_set1_epi32(0x7fffffff);
  // Bits of absolute values are in order like these, with infinities and NaN at the end.
  __m512i largest = _mm512_setzero_si512();
  for (int i = 0; i < count; i += 16) {
    largest = _mm512_max_epi32(largest, _mm512_and_si512(_mm512_loadu_si512(x + i), all_but_sign));
  }
  const int32_t bits = _mm512_reduce_max_epi32(largest);
  if (bits >= infinity_bits) return false;
  float size;
  __builtin_memcpy(&size, &bits, sizeof(size));
  *step = size / code_weight_levels;
  if (size > 0 && *step < 0x1p-126f) return false;
  const __m512 inverse = _mm512_set1_ps(size > 0 ? 1.0f / *step : 0.0f);
  for (int i = 0; i < count; i += 16) {
    const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), inverse));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(whole + i), _mm512_cvtepi32_epi16(rounded));
  }
  return true;
}

/// A tile of whole numbers as bytes that meet its codes.
template <int bits>
LAZULI_INLINE void tile_bytes(const int16_t* whole, int8_t* bytes) {
  const auto store = [](int8_t * to, __m256i half) __attribute__((always_inline)) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), half);
  };
  const auto store_quarter = [](int8_t * to, __m512i words) __attribute__((always_inline)) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(words));
  };
  constexpr int vectors = bits == 4 ? 4 : 2;
  LAZULI_UNROLL
  for (int v = 0; v < vectors; ++v) {
    const __m512i lower = _mm512_loadu_si512(whole + 32 * v);
    const __m512i above = _mm512_add_epi16(lower, _mm512_set1_epi16(128));
    if constexpr (bits == 8) {
      store(bytes + 32 * v, _mm512_cvtepi16_epi8(_mm512_srli_epi16(above, 8)));
      store(bytes + 64 + 32 * v, _mm512_cvtepi16_epi8(lower));
    } else {
      store_quarter(bytes + 16 * v, _mm512_srli_epi32(above, 8));
      store_quarter(bytes + 64 + 16 * v, lower);
      store_quarter(bytes + 128 + 16 * v, _mm512_srli_epi32(above, 24));
      store_quarter(bytes + 192 + 16 * v, _mm512_srli_epi32(lower, 16));
    }
  }
}

template <int bits>
bool code_bytes_of(const CodeBytes& to) {
  constexpr int places = 8 / bits;
  constexpr int64_t tile = 64 * places;
  constexpr int codes_a_lane = 4 * places;
  const __m512i ones = _mm512_set1_epi8(1);
  const float unit = to.is_float ? 0.5f : 1.0f;
  int8_t* bytes = to.bytes;
  float step = 0;
  for (int64_t p = 0; p < to.k; p += tile) {
    alignas(64) int16_t whole[tile] = {};
    float* steps = to.steps + p / codes_a_lane;
    int32_t* starts = to.starts + p / codes_a_lane;
    const int64_t count = to.k - p < tile ? to.k - p : tile;
    const int part = to.group_size < tile ? to.group_size : static_cast<int>(tile);
    _mm512_storeu_ps(steps, _mm512_setzero_ps());
    for (int64_t i = 0; i < count; i += part) {
      if (!whole_numbers(to.x + p + i, part, whole + i, &step)) return false;
      for (int64_t lane = i / codes_a_lane; lane < (i + part) / codes_a_lane; ++lane)
        steps[lane] = step * unit;
    }
    tile_bytes<bits>(whole, bytes);
    __m512i upper = _mm512_setzero_si512();
    __m512i lower = _mm512_setzero_si512();
    LAZULI_UNROLL
    for (int place = 0; place < places; ++place) {
      upper = _mm512_dpbusd_epi32(upper, ones, _mm512_loadu_si512(bytes + 128 * place));
      lower = _mm512_dpbusd_epi32(lower, ones, _mm512_loadu_si512(bytes + 128 * place + 64));
    }
    const __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(upper, 8), lower);
    _mm512_storeu_si512(starts, _mm512_mullo_epi32(sum, _mm512_set1_epi32(-half_steps_below_zero)));
    bytes += 128 * places;
  }
  return true;
}

bool code_bytes(const CodeBytes& to) {
  return to.bits == 8 ? code_bytes_of<8>(to) : code_bytes_of<4>(to);
}
