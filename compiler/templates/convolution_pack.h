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

/// Whether a feature's weights lie as they are counted, without gaps.
inline bool is_weight_dense(const ConvolutionProblem& problem) {
  int64_t stride = problem.channels / problem.groups;
  bool is_dense = problem.weight_strides.channel == 1;
  for (size_t d = 3; d-- > 0;) {
    is_dense = is_dense && (problem.kernel[d] == 1 || problem.weight_strides.kernel[d] == stride);
    stride *= problem.kernel[d];
  }
  return is_dense;
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
  const ConvolutionProblem::WeightStrides& strides = problem.weight_strides;
  const T* const weight =
      reinterpret_cast<const T*>(problem.weight) + (group * features + first) * strides.feature;
  // So many that what is written stays in the first-level cache while row after row adds to it.
  constexpr int64_t depths_at_once = 64;
  // Without gaps, a feature's weights are a row as it lies.
  const bool is_one_row = kernel_taps == taps.tap_count() && !problem.flip && is_weight_dense(problem);
  const int64_t run = is_one_row ? kernel_taps * channels : channels;
  for (int64_t depth = k_first; depth < k_first + k_count;) {
    const int64_t within = depth % run;
    const int64_t length = std::min({run - within, k_first + k_count - depth, depths_at_once});
    const int64_t offset = is_one_row ? 0 : taps.weight_offset(depth / run, strides);
    const T* const from = weight + offset + within * strides.channel;
    T* const to = panel + (depth - k_first) * width;
    if (strides.channel == 1) {
      interleave_rows(from, strides.feature, count, length, to, width);
    } else {
      for (int64_t c = 0; c < length; ++c) {
        const T* const row = from + c * strides.channel;
        if (strides.feature == 1) {
          std::copy_n(row, count, to + c * width);
        } else {
          for (int64_t i = 0; i < count; ++i) to[c * width + i] = row[i * strides.feature];
        }
      }
    }
    depth += length;
  }
  if (count < width) {
    for (int64_t p = 0; p < k_count; ++p) std::fill(panel + p * width + count, panel + (p + 1) * width, T{0});
  }
}

}  // namespace lazuli::templates
