#pragma once

#include <cstdint>

#include <lazuli/compiler/templates/packing.h>

/// Products with few rows, which read their weights once and are bound by memory.
namespace lazuli::templates {

/// out[r * out_x_stride + j * out_w_stride] = Σ_p x[r][p] * w[lane j][depth p], for r < x_rows and
/// j < w_lanes. T is float (weights float16, bfloat16, float32) or double (weights float64).
template <typename T>
struct GemvProblem {
  int64_t k = 0;
  const T* x = nullptr;  ///< [x_rows, k]
  int64_t x_row_stride = 0;
  int64_t x_rows = 0;  ///< at most `most_gemv_rows`
  LanesView w;         ///< one of its strides is 1
  int64_t w_lanes = 0;
  T* out = nullptr;
  int64_t out_x_stride = 0;
  int64_t out_w_stride = 0;
};

/// Whether `gemv` takes these weights.
template <typename T>
bool gemv_takes(const LanesView& w);

/// How many rows of x are better taken by `gemv` than packed: by large weights, which are read once as they
/// lie, several times `max_vector_rows`.
template <typename T>
int64_t most_gemv_rows(const LanesView& w, int64_t w_lanes, int64_t k);

template <typename T>
void gemv(const GemvProblem<T>& problem);

}  // namespace lazuli::templates
