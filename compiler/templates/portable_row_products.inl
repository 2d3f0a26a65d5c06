// The portable kernels of depthwise convolutions. See portable_vectors.inl for how this is compiled.

/// Columns from `first` on of `count` rows of results, `vectors` vectors of them.
template <int count, int vectors>
LAZULI_INLINE void sum_products_at(const float* const* rows, int64_t taps, const float* weights,
                                   int64_t columns, int64_t first, float* const* out) {
  FloatV sums[count][vectors] = {};
  for (int64_t t = 0; t < taps; ++t) {
    FloatV w[vectors];
    LAZULI_UNROLL
    for (int v = 0; v < vectors; ++v)
      w[v] = load_vector<FloatV>(weights + t * columns + first + v * float_lanes);
    LAZULI_UNROLL
    for (int i = 0; i < count; ++i) {
      const float* row = rows[i * taps + t] + first;
      LAZULI_UNROLL
      for (int v = 0; v < vectors; ++v)
        sums[i][v] = fma(load_vector<FloatV>(row + v * float_lanes), w[v], sums[i][v]);
    }
  }
  LAZULI_UNROLL
  for (int i = 0; i < count; ++i) {
    LAZULI_UNROLL
    for (int v = 0; v < vectors; ++v) store_vector(out[i] + first + v * float_lanes, sums[i][v]);
  }
}

template <int count>
LAZULI_INLINE void sum_products_of(const float* const* rows, int64_t taps, const float* weights,
                                   int64_t columns, float* const* out) {
  int64_t c = 0;
  for (; c + 2 * float_lanes <= columns; c += 2 * float_lanes)
    sum_products_at<count, 2>(rows, taps, weights, columns, c, out);
  for (; c + float_lanes <= columns; c += float_lanes)
    sum_products_at<count, 1>(rows, taps, weights, columns, c, out);
  for (; c < columns; ++c) {
    for (int i = 0; i < count; ++i) {
      float sum = 0;
      for (int64_t t = 0; t < taps; ++t) sum += rows[i * taps + t][c] * weights[t * columns + c];
      out[i][c] = sum;
    }
  }
}

void sum_row_products(const float* const* rows, int64_t count, int64_t taps, const float* weights,
                      int64_t columns, float* const* out) {
  // Four rows at a time share what is loaded of the weights.
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) sum_products_of<4>(rows + i * taps, taps, weights, columns, out + i);
  for (; i < count; ++i) sum_products_of<1>(rows + i * taps, taps, weights, columns, out + i);
}

void add_row_products(const float* const* a, const float* const* b, int64_t count, int64_t columns,
                      float* sums) {
  constexpr int vectors = 4;
  int64_t c = 0;
  for (; c + vectors * float_lanes <= columns; c += vectors * float_lanes) {
    FloatV total[vectors];
    LAZULI_UNROLL
    for (int v = 0; v < vectors; ++v) total[v] = load_vector<FloatV>(sums + c + v * float_lanes);
    for (int64_t i = 0; i < count; ++i) {
      LAZULI_UNROLL
      for (int v = 0; v < vectors; ++v) {
        const int64_t at = c + v * float_lanes;
        total[v] = fma(load_vector<FloatV>(a[i] + at), load_vector<FloatV>(b[i] + at), total[v]);
      }
    }
    LAZULI_UNROLL
    for (int v = 0; v < vectors; ++v) store_vector(sums + c + v * float_lanes, total[v]);
  }
  for (; c < columns; ++c) {
    for (int64_t i = 0; i < count; ++i) sums[c] += a[i][c] * b[i][c];
  }
}
