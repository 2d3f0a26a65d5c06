// The portable kernels of depthwise convolutions. See portable_vectors.inl for how this is compiled.

/// One vector of columns, from `at` on in x and w, of `rows` rows of results.
template <int rows>
LAZULI_INLINE void sum_taps_at(const float* const* x, int64_t x_step, const float* const* w, int64_t taps,
                               int64_t x_first, int64_t first, float* y, int64_t y_step) {
  FloatV sums[rows] = {};
  for (int64_t t = 0; t < taps; ++t) {
    const FloatV by = load_vector<FloatV>(w[t] + first);
    const float* from = x[t] + x_first + first;
    LAZULI_UNROLL
    for (int i = 0; i < rows; ++i) sums[i] = fma(load_vector<FloatV>(from + i * x_step), by, sums[i]);
  }
  LAZULI_UNROLL
  for (int i = 0; i < rows; ++i) store_vector(y + i * y_step + first, sums[i]);
}

/// Rows [i, count) as far as they come in blocks of `rows`; returns where the rest begins.
template <int rows>
LAZULI_INLINE int64_t sum_taps_of(const float* const* x, int64_t x_step, const float* const* w, int64_t taps,
                                  int64_t i, int64_t count, int64_t columns, float* y, int64_t y_step) {
  for (; i + rows <= count; i += rows) {
    int64_t c = 0;
    for (; c + float_lanes <= columns; c += float_lanes)
      sum_taps_at<rows>(x, x_step, w, taps, i * x_step, c, y + i * y_step, y_step);
    for (; c < columns; ++c) {
      for (int64_t row = i; row < i + rows; ++row) {
        float sum = 0;
        for (int64_t t = 0; t < taps; ++t) sum += x[t][row * x_step + c] * w[t][c];
        y[row * y_step + c] = sum;
      }
    }
  }
  return i;
}

void sum_tap_products(const float* const* x, int64_t x_step, const float* const* w, int64_t taps,
                      int64_t count, int64_t columns, float* y, int64_t y_step) {
  // Rows that are taken together share what is loaded of w.
  int64_t i = sum_taps_of<8>(x, x_step, w, taps, 0, count, columns, y, y_step);
  i = sum_taps_of<4>(x, x_step, w, taps, i, count, columns, y, y_step);
  sum_taps_of<1>(x, x_step, w, taps, i, count, columns, y, y_step);
}

/// How many vectors of columns have their sums in registers, for each of up to `most_taps` taps.
constexpr int tap_vectors = LAZULI_TEMPLATES_AVX512 ? 2 : 1;
constexpr int most_taps = 9;

template <int taps, int vectors>
LAZULI_INLINE void add_taps_at(const float* const* x, int64_t x_step, const float* y, int64_t y_step,
                               int64_t count, int64_t first, float* const* w) {
  FloatV sums[taps][vectors];
  LAZULI_UNROLL
  for (int t = 0; t < taps; ++t) {
    LAZULI_UNROLL
    for (int v = 0; v < vectors; ++v) sums[t][v] = load_vector<FloatV>(w[t] + first + v * float_lanes);
  }
  for (int64_t i = 0; i < count; ++i) {
    FloatV by[vectors];
    LAZULI_UNROLL
    for (int v = 0; v < vectors; ++v) by[v] = load_vector<FloatV>(y + i * y_step + first + v * float_lanes);
    LAZULI_UNROLL
    for (int t = 0; t < taps; ++t) {
      const float* from = x[t] + i * x_step + first;
      LAZULI_UNROLL
      for (int v = 0; v < vectors; ++v)
        sums[t][v] = fma(load_vector<FloatV>(from + v * float_lanes), by[v], sums[t][v]);
    }
  }
  LAZULI_UNROLL
  for (int t = 0; t < taps; ++t) {
    LAZULI_UNROLL
    for (int v = 0; v < vectors; ++v) store_vector(w[t] + first + v * float_lanes, sums[t][v]);
  }
}

template <int taps = most_taps>
void add_taps(const float* const* x, int64_t x_step, const float* y, int64_t y_step, int64_t given,
              int64_t count, int64_t columns, float* const* w) {
  if constexpr (taps > 1) {
    if (given < taps) return add_taps<taps - 1>(x, x_step, y, y_step, given, count, columns, w);
  }
  int64_t c = 0;
  for (; c + tap_vectors * float_lanes <= columns; c += tap_vectors * float_lanes)
    add_taps_at<taps, tap_vectors>(x, x_step, y, y_step, count, c, w);
  for (; c + float_lanes <= columns; c += float_lanes)
    add_taps_at<taps, 1>(x, x_step, y, y_step, count, c, w);
  for (; c < columns; ++c) {
    for (int t = 0; t < taps; ++t) {
      for (int64_t i = 0; i < count; ++i) w[t][c] += x[t][i * x_step + c] * y[i * y_step + c];
    }
  }
}

void add_tap_products(const float* const* x, int64_t x_step, const float* y, int64_t y_step, int64_t taps,
                      int64_t count, int64_t columns, float* const* w) {
  for (int64_t t = 0; t < taps; t += most_taps) {
    const int64_t now = taps - t < most_taps ? taps - t : most_taps;
    add_taps(x + t, x_step, y, y_step, now, count, columns, w + t);
  }
}
