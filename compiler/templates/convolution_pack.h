#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <lazuli/compiler/templates/convolution.h>
#include <lazuli/compiler/templates/convolution_taps.h>
#include <lazuli/compiler/templates/gemm.h>
#include <lazuli/compiler/templates/kernels.h>

/// Panels of a convolution's weights, as `PackPanels` asks for them.
namespace lazuli::templates {

/// panel[c * width + i] = rows[i * stride + c]
template <typename T>
void interleave_rows(const T* rows, int64_t stride, int64_t count, int64_t columns, T* panel, int64_t width) {
  if constexpr (std::is_same_v<T, float>) {
    if (columns >= 4) return kernels().transpose(rows, stride, count, columns, panel, width);
  }
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t c = 0; c < columns; ++c) panel[c * width + i] = rows[i * stride + c];
  }
}

/// One panel of `count` features from `first` on, of a group's: depths are the channels of one tap after
/// another, in the order of the class.
template <typename T>
void pack_convolution_weights(const ConvolutionProblem& problem, const TapClass& taps, int64_t group,
                              int64_t first, int64_t count, int64_t k_first, int64_t k_count, int64_t width,
                              T* panel) {
  const int64_t channels = problem.channels / problem.groups;
  const int64_t features = problem.features / problem.groups;
  const int64_t kernel_taps = problem.kernel[0] * problem.kernel[1] * problem.kernel[2];
  const int64_t row = kernel_taps * channels;
  const T* const weight = reinterpret_cast<const T*>(problem.weight) + (group * features + first) * row;
  const bool is_in_order = kernel_taps == taps.tap_count() && !problem.flip;
  // Without gaps, a feature's weights are a row as it lies.
  const int64_t run = is_in_order ? row : channels;
  for (int64_t depth = k_first; depth < k_first + k_count;) {
    const int64_t within = depth % run;
    const int64_t length = std::min(run - within, k_first + k_count - depth);
    const int64_t tap = is_in_order ? 0 : taps.weight_of(depth / run, problem.kernel);
    interleave_rows(weight + tap * channels + within, row, count, length, panel + (depth - k_first) * width,
                    width);
    depth += length;
  }
  if (count < width) {
    for (int64_t p = 0; p < k_count; ++p) std::fill(panel + p * width + count, panel + (p + 1) * width, T{0});
  }
}

}  // namespace lazuli::templates
