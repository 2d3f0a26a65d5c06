// The portable kernels on packed quantized panels. See portable_vectors.inl for how this is compiled.

constexpr int panel_vectors = static_cast<int>(panel_lanes / float_lanes);

/// The codes of a quad of a unit as bytes.
template <int bits, int quad>
LAZULI_INLINE UintV quad_bytes(const std::byte* unit, int part) {
  constexpr QuadCodes parts = quad_codes(bits, quad);
  UintV codes{};
  LAZULI_UNROLL
  for (int i = 0; i < parts.count; ++i) {
    const CodePiece piece = parts.pieces[i];
    const UintV vector =
        load_vector<UintV>(unit + piece.vector * code_vector_bytes + part * static_cast<int>(vector_bytes));
    const int down = piece.first - piece.weight;
    const uint32_t mask = (((1u << piece.width) - 1u) << piece.weight) * 0x01010101u;
    codes |= (vector >> down) & mask;
  }
  return codes;
}

template <int bits, int quad = 0>
LAZULI_INLINE void unpack_unit(const std::byte* unit, uint32_t* quads) {
  if constexpr (quad < unit_quads(bits)) {
    LAZULI_UNROLL
    for (int v = 0; v < panel_vectors; ++v) {
      store_vector(quads + quad * panel_lanes + v * float_lanes, quad_bytes<bits, quad>(unit, v));
    }
    unpack_unit<bits, quad + 1>(unit, quads);
  }
}

/// Writes the codes of a span as bytes, [quad][lane], so that what follows need not know `bits`.
template <int bits>
void unpack_span(const std::byte* span, uint32_t* quads) {
  for (int quad = 0; quad < static_cast<int>(span_quads); quad += unit_quads(bits)) {
    unpack_unit<bits>(span, quads + quad * panel_lanes);
    span += unit_bytes(bits);
  }
}

using UnpackSpan = void (*)(const std::byte* span, uint32_t* quads);

UnpackSpan find_unpack_span(int bits) {
  switch (bits) {
    case 2:
      return unpack_span<2>;
    case 3:
      return unpack_span<3>;
    case 4:
      return unpack_span<4>;
    case 5:
      return unpack_span<5>;
    case 6:
      return unpack_span<6>;
    default:
      return unpack_span<8>;
  }
}

/// One vector of scales or biases, whatever they are stored as.
LAZULI_INLINE FloatV load_scales(const std::byte* scales, Storage storage, int64_t first) {
  switch (storage) {
    case Storage::float16:
      return Float16Storage::load(reinterpret_cast<const uint16_t*>(scales) + first);
    case Storage::bfloat16:
      return BFloat16Storage::load(reinterpret_cast<const uint16_t*>(scales) + first);
    default:
      return Float32Storage::load(reinterpret_cast<const float*>(scales) + first);
  }
}

template <typename Activation, int rows>
void panel_dot_rows(const PanelDot& dot) {
  const std::byte* block = dot.panel;
  const Activation* x = static_cast<const Activation*>(dot.x);
  const Storage storage = storage_of(dot.format.scale_dtype);
  const UnpackSpan unpack = find_unpack_span(dot.format.bits);
  const int spans = dot.format.group_size / static_cast<int>(span_columns);
  FloatV total[rows][panel_vectors];
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) {
    LAZULI_UNROLL
    for (int v = 0; v < panel_vectors; ++v) total[r][v] = FloatV{};
  }
  for (int64_t g = 0; g < dot.groups; ++g) {
    FloatV acc[rows][panel_vectors];
    LAZULI_UNROLL
    for (int r = 0; r < rows; ++r) {
      LAZULI_UNROLL
      for (int v = 0; v < panel_vectors; ++v) acc[r][v] = FloatV{};
    }
    for (int span = 0; span < spans; ++span) {
      alignas(64) uint32_t quads[span_quads * panel_lanes];
      unpack(block, quads);
      for (int quad = 0; quad < static_cast<int>(span_quads); ++quad) {
        UintV codes[panel_vectors];
        LAZULI_UNROLL
        for (int v = 0; v < panel_vectors; ++v) {
          codes[v] = load_vector<UintV>(quads + quad * panel_lanes + v * float_lanes);
        }
        LAZULI_UNROLL
        for (int j = 0; j < 4; ++j) {
          FloatV weights[panel_vectors];
          LAZULI_UNROLL
          for (int v = 0; v < panel_vectors; ++v) {
            weights[v] = __builtin_convertvector((IntV)((codes[v] >> (8 * j)) & 0xffu), FloatV);
          }
          LAZULI_UNROLL
          for (int r = 0; r < rows; ++r) {
            const FloatV activation = splat(static_cast<float>(x[r * dot.x_row_stride + quad * 4 + j]));
            LAZULI_UNROLL
            for (int v = 0; v < panel_vectors; ++v) acc[r][v] = fma(activation, weights[v], acc[r][v]);
          }
        }
      }
      block += span_bytes(dot.format.bits);
      x += span_columns;
    }
    LAZULI_UNROLL
    for (int v = 0; v < panel_vectors; ++v) {
      const FloatV scale = load_scales(block, storage, v * float_lanes);
      const FloatV bias = load_scales(block, storage, panel_lanes + v * float_lanes);
      LAZULI_UNROLL
      for (int r = 0; r < rows; ++r) {
        const FloatV step = splat(dot.steps != nullptr ? dot.steps[r * dot.groups_stride + g] : 1.0f);
        total[r][v] = fma(scale * step, acc[r][v], total[r][v]);
        total[r][v] = fma(bias, splat(dot.sums[r * dot.groups_stride + g]), total[r][v]);
      }
    }
    block += 2 * panel_lanes * dot.format.scale_dtype.size();
  }
  LAZULI_UNROLL
  for (int r = 0; r < rows; ++r) {
    LAZULI_UNROLL
    for (int v = 0; v < panel_vectors; ++v) {
      store_vector(dot.out + r * dot.out_row_stride + v * float_lanes, total[r][v]);
    }
  }
}

constexpr int portable_panel_rows = 4;

/// With int8 activations the dot product of a group is below 2^24 in size (255 * 127 * 128), so float
/// arithmetic on whole numbers is exact and the same kernel serves.
template <typename Activation, int rows = portable_panel_rows>
void panel_dot(const PanelDot& dot) {
  if constexpr (rows > 1) {
    if (dot.rows < rows) return panel_dot<Activation, rows - 1>(dot);
  }
  panel_dot_rows<Activation, rows>(dot);
}

template <typename Activation>
PanelDotFunction find_panel_dot(const PanelFormat&) {
  return panel_dot<Activation>;
}

void panel_dequantize(const PanelFormat& format, const std::byte* panel, int64_t first, int64_t count,
                      float* out, int64_t out_stride) {
  const Storage storage = storage_of(format.scale_dtype);
  const UnpackSpan unpack = find_unpack_span(format.bits);
  const int64_t block_bytes = group_bytes(format.bits, format.group_size, format.scale_dtype);
  for (int64_t column = first; column < first + count; column += span_columns) {
    const std::byte* block = panel + column / format.group_size * block_bytes;
    const std::byte* scales = block + group_code_bytes(format.bits, format.group_size);
    alignas(64) uint32_t quads[span_quads * panel_lanes];
    unpack(block + column % format.group_size / span_columns * span_bytes(format.bits), quads);
    LAZULI_UNROLL
    for (int v = 0; v < panel_vectors; ++v) {
      const FloatV scale = load_scales(scales, storage, v * float_lanes);
      const FloatV bias = load_scales(scales, storage, panel_lanes + v * float_lanes);
      float* place = out + (column - first) * out_stride + v * float_lanes;
      for (int quad = 0; quad < static_cast<int>(span_quads); ++quad) {
        const UintV codes = load_vector<UintV>(quads + quad * panel_lanes + v * float_lanes);
        LAZULI_UNROLL
        for (int j = 0; j < 4; ++j) {
          const FloatV q = __builtin_convertvector((IntV)((codes >> (8 * j)) & 0xffu), FloatV);
          store_vector(place, fma(scale, q, bias));
          place += out_stride;
        }
      }
    }
  }
}

/// The `bytes` bytes at `src`, lowest first. (A copy into a zeroed word would be read back before it is
/// written.)
template <int bytes>
LAZULI_INLINE uint64_t load_bytes(const uint8_t* src) {
  if constexpr (bytes == 3) return load_vector<uint16_t>(src) | uint64_t{src[2]} << 16;
  if constexpr (bytes == 5) return load_vector<uint32_t>(src) | uint64_t{src[4]} << 32;
  if constexpr (bytes == 6)
    return load_vector<uint32_t>(src) | uint64_t{load_vector<uint16_t>(src + 4)} << 32;
  if constexpr (bytes == 2) return load_vector<uint16_t>(src);
  if constexpr (bytes == 4) return load_vector<uint32_t>(src);
  if constexpr (bytes == 8) return load_vector<uint64_t>(src);
}

/// Eight codes of a row's bit stream, which begin at `src`; no byte behind them is read.
template <int bits>
LAZULI_INLINE void dequantize_eight(const uint8_t* src, FloatV scale, FloatV bias, float* out) {
  uint64_t word = load_bytes<bits>(src);
#if LAZULI_TEMPLATES_AVX2
  __m256i codes;
  if constexpr (bits == 8) {
    codes = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(word)));
  } else if constexpr (bits <= 4) {
    const __m256i shifts =
        _mm256_setr_epi32(0, bits, 2 * bits, 3 * bits, 4 * bits, 5 * bits, 6 * bits, 7 * bits);
    codes = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int32_t>(word)), shifts);
  } else {
    const __m256i shifts = _mm256_setr_epi32(0, bits, 2 * bits, 3 * bits, 0, bits, 2 * bits, 3 * bits);
    const __m256i halves = _mm256_set_m128i(_mm_set1_epi32(static_cast<int32_t>(word >> (4 * bits))),
                                            _mm_set1_epi32(static_cast<int32_t>(word)));
    codes = _mm256_srlv_epi32(halves, shifts);
  }
  if constexpr (bits < 8) codes = _mm256_and_si256(codes, _mm256_set1_epi32((1 << bits) - 1));
  store_vector(out, fma(scale, (FloatV)_mm256_cvtepi32_ps(codes), bias));
#else
  constexpr uint32_t mask = (1u << bits) - 1;
  for (int half = 0; half < 2; ++half) {
    const UintV codes = {static_cast<uint32_t>(word) & mask, static_cast<uint32_t>(word >> bits) & mask,
                         static_cast<uint32_t>(word >> (2 * bits)) & mask,
                         static_cast<uint32_t>(word >> (3 * bits)) & mask};
    store_vector(out + 4 * half, fma(scale, __builtin_convertvector((IntV)codes, FloatV), bias));
    word >>= 4 * bits;
  }
#endif
}

template <int bits>
void dequantize_run(const uint8_t* src, int64_t count, float scale, float bias, float* out) {
  for (int64_t i = 0; i < count; i += 8, src += bits) {
    dequantize_eight<bits>(src, splat(scale), splat(bias), out + i);
  }
}

void dequantize(int bits, const uint8_t* src, int64_t count, float scale, float bias, float* out) {
  switch (bits) {
    case 2:
      return dequantize_run<2>(src, count, scale, bias, out);
    case 3:
      return dequantize_run<3>(src, count, scale, bias, out);
    case 4:
      return dequantize_run<4>(src, count, scale, bias, out);
    case 5:
      return dequantize_run<5>(src, count, scale, bias, out);
    case 6:
      return dequantize_run<6>(src, count, scale, bias, out);
    default:
      return dequantize_run<8>(src, count, scale, bias, out);
  }
}

/// The bits of the largest absolute value of x[0..count): those of absolute values order like the values,
/// with infinities and NaN at the end.
LAZULI_INLINE int32_t largest_bits(const float* x, int64_t count) {
  IntV largest = IntV{};
  for (int64_t i = 0; i < count; i += float_lanes) {
    const IntV bits = load_vector<IntV>(x + i) & 0x7fffffff;
#if LAZULI_TEMPLATES_AVX2
    largest = (IntV)_mm256_max_epi32((__m256i)largest, (__m256i)bits);
#else
    const IntV greater = (IntV)(bits > largest);
    largest = (greater & bits) | (~greater & largest);
#endif
  }
#if LAZULI_TEMPLATES_AVX2
  __m128i most =
      _mm_max_epi32(_mm256_castsi256_si128((__m256i)largest), _mm256_extracti128_si256((__m256i)largest, 1));
  most = _mm_max_epi32(most, _mm_shuffle_epi32(most, 0x4e));
  most = _mm_max_epi32(most, _mm_shuffle_epi32(most, 0xb1));
  return _mm_cvtsi128_si32(most);
#else
  int32_t bits = 0;
  for (int64_t lane = 0; lane < float_lanes; ++lane) bits = largest[lane] > bits ? largest[lane] : bits;
  return bits;
#endif
}

/// codes[i] = x[i] * factor to the nearest integer, for whole spans; returns the sums of the codes by lanes.
LAZULI_INLINE IntV round_to_codes(const float* x, int64_t count, float factor, int8_t* codes) {
  const FloatV magic = splat(0x1.8p23f);
  const auto code_at = [&](int64_t i) __attribute__((always_inline)) {
    return (IntV)(load_vector<FloatV>(x + i) * splat(factor) + magic) - (IntV)magic;
  };
  IntV total = IntV{};
#if LAZULI_TEMPLATES_AVX2
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);  // undoes what packing by 128 bits does
  for (int64_t i = 0; i < count; i += span_columns) {
    const IntV a = code_at(i);
    const IntV b = code_at(i + 8);
    const IntV c = code_at(i + 16);
    const IntV d = code_at(i + 24);
    total += (a + b) + (c + d);
    const __m256i low = _mm256_packs_epi32((__m256i)a, (__m256i)b);
    const __m256i high = _mm256_packs_epi32((__m256i)c, (__m256i)d);
    const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + i), bytes);
  }
#else
  for (int64_t i = 0; i < count; i += float_lanes) {
    const IntV code = code_at(i);
    total += code;
    store_vector(codes + i, __builtin_convertvector(code, SignedByteV));
  }
#endif
  return total;
}

float quantize_group(const float* x, int64_t count, int8_t* codes, int32_t* sum) {
  const int32_t bits = largest_bits(x, count);
  const bool finite = bits < 0x7f800000;
  float size;
  __builtin_memcpy(&size, &bits, sizeof(size));
  const float step = size / 127.0f;
  *sum = 0;
  if (!finite || step < 0x1p-126f) {
    for (int64_t i = 0; i < count; ++i) codes[i] = 0;
    return finite ? 0.0f : __builtin_nanf("");
  }
  const IntV total = round_to_codes(x, count, 1.0f / step, codes);
  for (int64_t lane = 0; lane < float_lanes; ++lane) *sum += total[lane];
  return step;
}

float sum_of(const float* x, int64_t count) {
  FloatV sum = FloatV{};
  int64_t i = 0;
  for (; i + float_lanes <= count; i += float_lanes) sum += load_vector<FloatV>(x + i);
  float total = sum_lanes(sum);
  for (; i < count; ++i) total += x[i];
  return total;
}
