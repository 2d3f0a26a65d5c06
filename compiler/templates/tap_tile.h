#pragma once

#include <cstdint>

namespace lazuli::templates {

/// How a tile's places see elements: those of a place are under `taps` taps beside each other, those of the
/// next place begin `step` further on. `vectors` of columns are in a full tile: more of them load fewer
/// elements, fewer leave registers for more rows.
struct TapForm {
  int64_t taps = 3;
  int64_t step = 1;
  int64_t vectors = 2;
};
inline constexpr int64_t most_shared_taps = 7;
inline constexpr int64_t most_tap_steps = 2;
inline constexpr int64_t fewest_tap_vectors = 2;
inline constexpr int64_t most_tap_vectors = 3;

/// Tiles whose rows are places of a convolution beside each other, which see the same elements of the input
/// under taps beside each other: each element is loaded once for all taps.
///   c[i][j] (+)= Σ_run Σ_p Σ_t a[run][i * step + t][p] * b[run][p][t][j]
/// for i < rows, j < columns, t < taps. Strides count elements; b lies without gaps, `TapKernel::columns`
/// wide.
template <typename T>
struct TapTile {
  int64_t k = 0;  ///< of a run
  const T* a = nullptr;
  int64_t a_row_stride = 0;  ///< from an element under a tap to the one under the next; depths follow
  int64_t runs = 1;
  int64_t a_run_stride = 0;
  const T* b = nullptr;
  T* c = nullptr;
  int64_t c_row_stride = 0;
  int64_t rows = 0;     ///< 1 to `TapKernel::rows`
  int64_t columns = 0;  ///< 1 to `TapKernel::columns`
  int64_t accumulate = 0;
  /// So many of the elements under places, the first and the last ones, are not there and count as zero: at
  /// most taps / 2 at each end. `zeros` are `k` of them.
  int64_t missing_before = 0;
  int64_t missing_after = 0;
  const T* zeros = nullptr;
};

template <typename T>
struct TapKernel {
  int64_t rows = 0;
  int64_t columns = 0;
  void (*run)(const TapTile<T>&) = nullptr;
};

/// The tile of a form, for the machine at hand; null where none is generated, or taps have nothing to share.
template <typename T>
const TapKernel<T>* tap_kernel(const TapForm& form);

}  // namespace lazuli::templates
