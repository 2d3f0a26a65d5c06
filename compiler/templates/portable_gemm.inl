// The portable GEMM tile, dot and axpy kernels. See portable_vectors.inl for how this is compiled.

/// The tile of `rows` full rows, `column_vectors` vectors wide, in registers.
template <typename T, int rows, int column_vectors>
void gemm_rows(const GemmTile<T>& tile) {
  typedef typename VectorOf<T>::type V;
  constexpr int64_t lanes = VectorOf<T>::lanes;
  V acc[rows][column_vectors];
  LAZULI_UNROLL
  for (int i = 0; i < rows; ++i) {
    LAZULI_UNROLL
    for (int j = 0; j < column_vectors; ++j) acc[i][j] = V{};
  }
  const T* a = tile.a;
  const T* b = tile.b;
  const int64_t a_row_stride = tile.a_row_stride;
  const int64_t a_k_stride = tile.a_k_stride;
  const int64_t b_k_stride = tile.b_k_stride;
  for (int64_t p = tile.k; p > 0; --p) {
    V column[column_vectors];
    LAZULI_UNROLL
    for (int j = 0; j < column_vectors; ++j) column[j] = load_vector<V>(b + j * lanes);
    LAZULI_UNROLL
    for (int i = 0; i < rows; ++i) {
      const V x = splat(a[i * a_row_stride]);
      LAZULI_UNROLL
      for (int j = 0; j < column_vectors; ++j) acc[i][j] = fma(x, column[j], acc[i][j]);
    }
    a += a_k_stride;
    b += b_k_stride;
  }
  T* c = tile.c;
  if (tile.columns == column_vectors * lanes) {
    LAZULI_UNROLL
    for (int i = 0; i < rows; ++i) {
      LAZULI_UNROLL
      for (int j = 0; j < column_vectors; ++j) {
        T* place = c + i * tile.c_row_stride + j * lanes;
        store_vector(place, tile.accumulate != 0 ? load_vector<V>(place) + acc[i][j] : acc[i][j]);
      }
    }
    return;
  }
  T edge[column_vectors * lanes];
  LAZULI_UNROLL
  for (int i = 0; i < rows; ++i) {
    LAZULI_UNROLL
    for (int j = 0; j < column_vectors; ++j) store_vector(edge + j * lanes, acc[i][j]);
    T* row = c + i * tile.c_row_stride;
    for (int64_t j = 0; j < tile.columns; ++j) row[j] = tile.accumulate != 0 ? row[j] + edge[j] : edge[j];
  }
}

/// A part of a tile, where b ends with its last column.
template <typename T>
void gemm_elements(const GemmTile<T>& tile) {
  for (int64_t i = 0; i < tile.rows; ++i) {
    for (int64_t j = 0; j < tile.columns; ++j) {
      T sum = 0;
      for (int64_t p = 0; p < tile.k; ++p) {
        sum = fma(tile.a[i * tile.a_row_stride + p * tile.a_k_stride], tile.b[p * tile.b_k_stride + j], sum);
      }
      T& place = tile.c[i * tile.c_row_stride + j];
      place = tile.accumulate != 0 ? place + sum : sum;
    }
  }
}

template <typename T, int rows, int column_vectors>
void gemm_tile(const GemmTile<T>& tile) {
  if (tile.runs > 1) {
    GemmTile<T> run = tile;
    run.runs = 1;
    for (int64_t i = 0; i < tile.runs; ++i) {
      gemm_tile<T, rows, column_vectors>(run);
      run.a += tile.a_run_stride;
      run.b += tile.b_run_stride;
      run.accumulate = 1;
    }
    return;
  }
  if (tile.b_columns != 0 && tile.b_columns < column_vectors * VectorOf<T>::lanes) return gemm_elements(tile);
  if constexpr (rows > 1) {
    if (tile.rows < rows) return gemm_tile<T, rows - 1, column_vectors>(tile);
  }
  gemm_rows<T, rows, column_vectors>(tile);
}

/// `w_rows` rows of w against `x_rows` rows of x, with two chains for each product where registers allow.
template <typename Storage, typename T, int x_rows, int w_rows>
LAZULI_INLINE void dot_block(const DotRows<T>& dot, int64_t first) {
  typedef typename VectorOf<T>::type V;
  typedef typename Storage::type S;
  constexpr int64_t lanes = VectorOf<T>::lanes;
  constexpr int chains = x_rows * w_rows <= 4 ? 2 : 1;
  constexpr int64_t step = chains * lanes;
  const S* w = static_cast<const S*>(dot.w) + first * dot.w_row_stride;
  V acc[x_rows][w_rows][chains];
  LAZULI_UNROLL
  for (int r = 0; r < x_rows; ++r) {
    LAZULI_UNROLL
    for (int j = 0; j < w_rows; ++j) {
      LAZULI_UNROLL
      for (int u = 0; u < chains; ++u) acc[r][j][u] = V{};
    }
  }
  int64_t p = 0;
  for (; p + step <= dot.k; p += step) {
    LAZULI_UNROLL
    for (int u = 0; u < chains; ++u) {
      V weights[w_rows];
      LAZULI_UNROLL
      for (int j = 0; j < w_rows; ++j) weights[j] = Storage::load(w + j * dot.w_row_stride + p + u * lanes);
      LAZULI_UNROLL
      for (int r = 0; r < x_rows; ++r) {
        const V x = load_vector<V>(dot.x + r * dot.x_row_stride + p + u * lanes);
        LAZULI_UNROLL
        for (int j = 0; j < w_rows; ++j) acc[r][j][u] = fma(x, weights[j], acc[r][j][u]);
      }
    }
  }
  LAZULI_UNROLL
  for (int r = 0; r < x_rows; ++r) {
    LAZULI_UNROLL
    for (int j = 0; j < w_rows; ++j) {
      V total = acc[r][j][0];
      if constexpr (chains == 2) total += acc[r][j][1];
      T sum = sum_lanes(total);
      for (int64_t q = p; q < dot.k; ++q) {
        sum = fma(dot.x[r * dot.x_row_stride + q], Storage::load_one(w + j * dot.w_row_stride + q), sum);
      }
      dot.out[r * dot.out_x_stride + (first + j) * dot.out_w_stride] = sum;
    }
  }
}

template <typename Storage, typename T, int x_rows>
void dot_rows_of(const DotRows<T>& dot) {
  constexpr int block = x_rows <= 2 ? 4 : x_rows <= 4 ? 2 : 1;
  int64_t j = 0;
  for (; j + block <= dot.w_rows; j += block) dot_block<Storage, T, x_rows, block>(dot, j);
  if constexpr (block > 1) {
    for (; j < dot.w_rows; ++j) dot_block<Storage, T, x_rows, 1>(dot, j);
  }
}

template <typename Storage, typename T, int x_rows = 8>
void dot_rows(const DotRows<T>& dot) {
  if constexpr (x_rows > 1) {
    if (dot.x_rows < x_rows) return dot_rows<Storage, T, x_rows - 1>(dot);
  }
  dot_rows_of<Storage, T, x_rows>(dot);
}

/// `w_rows` consecutive rows of w added to `x_rows` rows of y.
template <typename Storage, typename T, int x_rows, int w_rows>
LAZULI_INLINE void axpy_block(const AxpyRows<T>& axpy, int64_t first) {
  typedef typename VectorOf<T>::type V;
  typedef typename Storage::type S;
  constexpr int64_t lanes = VectorOf<T>::lanes;
  const S* w = static_cast<const S*>(axpy.w) + first * axpy.w_row_stride;
  T x[x_rows][w_rows];
  LAZULI_UNROLL
  for (int r = 0; r < x_rows; ++r) {
    LAZULI_UNROLL
    for (int p = 0; p < w_rows; ++p) x[r][p] = axpy.x[r * axpy.x_row_stride + (first + p) * axpy.x_k_stride];
  }
  int64_t j = 0;
  for (; j + lanes <= axpy.columns; j += lanes) {
    V weights[w_rows];
    LAZULI_UNROLL
    for (int p = 0; p < w_rows; ++p) weights[p] = Storage::load(w + p * axpy.w_row_stride + j);
    LAZULI_UNROLL
    for (int r = 0; r < x_rows; ++r) {
      T* place = axpy.y + r * axpy.y_row_stride + j;
      V sum = load_vector<V>(place);
      LAZULI_UNROLL
      for (int p = 0; p < w_rows; ++p) sum = fma(splat(x[r][p]), weights[p], sum);
      store_vector(place, sum);
    }
  }
  for (; j < axpy.columns; ++j) {
    LAZULI_UNROLL
    for (int r = 0; r < x_rows; ++r) {
      T sum = axpy.y[r * axpy.y_row_stride + j];
      LAZULI_UNROLL
      for (int p = 0; p < w_rows; ++p)
        sum = fma(x[r][p], Storage::load_one(w + p * axpy.w_row_stride + j), sum);
      axpy.y[r * axpy.y_row_stride + j] = sum;
    }
  }
}

template <typename Storage, typename T, int x_rows = 8>
void axpy_rows(const AxpyRows<T>& axpy) {
  if constexpr (x_rows > 1) {
    if (axpy.x_rows < x_rows) return axpy_rows<Storage, T, x_rows - 1>(axpy);
  }
  constexpr int block = 4;
  int64_t p = 0;
  for (; p + block <= axpy.k; p += block) axpy_block<Storage, T, x_rows, block>(axpy, p);
  for (; p < axpy.k; ++p) axpy_block<Storage, T, x_rows, 1>(axpy, p);
}

template <typename Storage>
void widen(const void* src, float* dst, int64_t count) {
  const typename Storage::type* from = static_cast<const typename Storage::type*>(src);
  int64_t i = 0;
  for (; i + float_lanes <= count; i += float_lanes) store_vector(dst + i, Storage::load(from + i));
  for (; i < count; ++i) dst[i] = Storage::load_one(from + i);
}

template <typename Storage>
void narrow(const float* src, void* dst, int64_t count) {
  typename Storage::type* to = static_cast<typename Storage::type*>(dst);
  int64_t i = 0;
  for (; i + float_lanes <= count; i += float_lanes) Storage::store(to + i, load_vector<FloatV>(src + i));
  for (; i < count; ++i) Storage::store_one(to + i, src[i]);
}

/// dst[0..count) = src[0..count) in whole vectors, the last of which may overlap the one before.
template <int count>
LAZULI_INLINE void copy_vectors(const float* src, float* dst) {
  typedef float Four __attribute__((vector_size(16)));
  constexpr int lanes = count < float_lanes ? 4 : static_cast<int>(float_lanes);
  typedef typename Choose<lanes == 4, Four, FloatV>::type V;
  LAZULI_UNROLL
  for (int i = 0; i + lanes <= count; i += lanes) store_vector(dst + i, load_vector<V>(src + i));
  if constexpr (count % lanes != 0) {
    store_vector(dst + count - lanes, load_vector<V>(src + count - lanes));
  }
}

/// Depths that are prefetched before they are copied.
constexpr int64_t copied_ahead = 16;

template <int width>
void copy_whole_lanes(const float* src, int64_t k_stride, int64_t panel_count, int64_t k_count,
                      float* panels) {
  for (int64_t p = 0; p < k_count; ++p) {
    // Rows are too short, and too far from each other, for the hardware to see what comes next.
    const float* ahead = src + (p + copied_ahead < k_count ? p + copied_ahead : k_count - 1) * k_stride;
    for (int64_t i = 0; i < panel_count * width; i += 16) __builtin_prefetch(ahead + i);
    for (int64_t i = 0; i < panel_count; ++i) {
      copy_vectors<width>(src + p * k_stride + i * width, panels + (i * k_count + p) * width);
    }
  }
}

void copy_lanes(const float* src, int64_t k_stride, int64_t count, int64_t k_count, int64_t width,
                float* panels) {
  int64_t done = 0;
  const int64_t whole = count / width;
  const auto copy = [&](auto copy_whole) {
    copy_whole(src, k_stride, whole, k_count, panels);
    done = whole * width;
  };
  switch (width) {
    case 64:
      copy(copy_whole_lanes<64>);
      break;
    case 32:
      copy(copy_whole_lanes<32>);
      break;
    case 16:
      copy(copy_whole_lanes<16>);
      break;
    case 14:
      copy(copy_whole_lanes<14>);
      break;
    case 6:
      copy(copy_whole_lanes<6>);
      break;
    default:
      break;
  }
  for (; done < count; done += width) {
    const int64_t lanes = count - done < width ? count - done : width;
    for (int64_t p = 0; p < k_count; ++p) {
      float* to = panels + done * k_count + p * width;
      for (int64_t i = 0; i < lanes; ++i) to[i] = src[p * k_stride + done + i];
    }
  }
}

/// Eight lanes of two depths.
LAZULI_INLINE void interleave_eight(const uint16_t* low, const uint16_t* high, float* dst) {
  typedef uint16_t Eight __attribute__((vector_size(16)));
  const Eight a = load_vector<Eight>(low);
  const Eight b = load_vector<Eight>(high);
  store_vector(dst, __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11));
  store_vector(dst + 4, __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15));
}

void interleave(const uint16_t* src, int64_t k_stride, int64_t count, int64_t pairs, int64_t width,
                float* panel) {
  for (int64_t p = 0; p < pairs; ++p) {
    const uint16_t* low = src + 2 * p * k_stride;
    const uint16_t* high = low + k_stride;
    const int64_t ahead = 2 * (p + copied_ahead < pairs ? copied_ahead : pairs - 1 - p) * k_stride;
    __builtin_prefetch(low + ahead);
    __builtin_prefetch(high + ahead);
    float* to = panel + p * width;
    int64_t i = 0;
    for (; i + 8 <= count; i += 8) interleave_eight(low + i, high + i, to + i);
    if (i < count && count > 8) {
      interleave_eight(low + count - 8, high + count - 8, to + count - 8);
      i = count;
    }
    for (; i < count; ++i) {
      const uint32_t pair = low[i] | static_cast<uint32_t>(high[i]) << 16;
      __builtin_memcpy(to + i, &pair, sizeof(pair));
    }
  }
}

#if LAZULI_TEMPLATES_AVX2
constexpr int64_t transpose_block = 8;
/// Writes the columns of eight rows, the first column first.
LAZULI_INLINE void store_transposed(const __m256 (&r)[8], float* dst, int64_t dst_stride) {
  __m256 pairs[8];
  LAZULI_UNROLL
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  __m256 fours[8];
  LAZULI_UNROLL
  for (int i = 0; i < 8; i += 4) {
    fours[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    fours[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    fours[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    fours[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
  LAZULI_UNROLL
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(dst + i * dst_stride, _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20));
  }
  LAZULI_UNROLL
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(dst + (i + 4) * dst_stride, _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31));
  }
}

LAZULI_INLINE void transpose_square(const float* src, int64_t src_stride, float* dst, int64_t dst_stride) {
  __m256 r[8];
  LAZULI_UNROLL
  for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(src + i * src_stride);
  store_transposed(r, dst, dst_stride);
}
#else
constexpr int64_t transpose_block = 4;
LAZULI_INLINE void transpose_square(const float* src, int64_t src_stride, float* dst, int64_t dst_stride) {
  FloatV r[4];
  LAZULI_UNROLL
  for (int i = 0; i < 4; ++i) r[i] = load_vector<FloatV>(src + i * src_stride);
  LAZULI_UNROLL
  for (int i = 0; i < 4; ++i) {
    const FloatV column = {r[0][i], r[1][i], r[2][i], r[3][i]};
    store_vector(dst + i * dst_stride, column);
  }
}
#endif

/// A few rows, fewer than a block. Where nothing lies between them and the next column (`dense`), whole
/// blocks of columns are transposed with the last row repeated: what that writes behind the rows, the next
/// column overwrites. The last columns are done one by one.
LAZULI_INLINE void transpose_narrow(const float* src, int64_t src_row_stride, int64_t rows, int64_t columns,
                                    float* dst, int64_t dst_row_stride, bool dense) {
  int64_t c = 0;
#if LAZULI_TEMPLATES_AVX2
  constexpr int64_t block = transpose_block;
  if (dense && rows > block / 2) {
    for (; c + block < columns; c += block) {
      __m256 r[8];
      LAZULI_UNROLL
      for (int i = 0; i < 8; ++i) {
        r[i] = _mm256_loadu_ps(src + (i < rows ? i : rows - 1) * src_row_stride + c);
      }
      store_transposed(r, dst + c * dst_row_stride, dst_row_stride);
    }
  }
#endif
  (void)dense;
  for (; c < columns; ++c) {
    for (int64_t i = 0; i < rows; ++i) dst[c * dst_row_stride + i] = src[i * src_row_stride + c];
  }
}

void transpose(const float* src, int64_t src_row_stride, int64_t rows, int64_t columns, float* dst,
               int64_t dst_row_stride) {
  constexpr int64_t block = transpose_block;
  const int64_t whole = rows / block * block;
  // The rows left over come first, since they may write into the next column's first lanes.
  if (whole < rows) {
    transpose_narrow(src + whole * src_row_stride, src_row_stride, rows - whole, columns, dst + whole,
                     dst_row_stride, rows == dst_row_stride);
  }
  for (int64_t r = 0; r < whole; r += block) {
    int64_t c = 0;
    for (; c + block <= columns; c += block) {
      transpose_square(src + r * src_row_stride + c, src_row_stride, dst + c * dst_row_stride + r,
                       dst_row_stride);
    }
    for (; c < columns; ++c) {
      for (int64_t i = r; i < r + block; ++i) dst[c * dst_row_stride + i] = src[i * src_row_stride + c];
    }
  }
}
