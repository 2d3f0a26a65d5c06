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

/// `length` depths of `count` features as rows of `width`, with zeros behind them, `step` apart.
template <typename T>
void pack_weight_rows(const T* from, const ConvolutionProblem::WeightStrides& strides, int64_t count,
                      int64_t length, T* to, int64_t width, int64_t step) {
  if (strides.channel == 1) {
    interleave_rows(from, strides.feature, count, length, to, step);
  } else {
    for (int64_t c = 0; c < length; ++c) {
      const T* const row = from + c * strides.channel;
      if (strides.feature == 1) {
        std::copy_n(row, count, to + c * step);
      } else {
        for (int64_t i = 0; i < count; ++i) to[c * step + i] = row[i * strides.feature];
      }
    }
  }
  if (count == width) return;
  for (int64_t c = 0; c < length; ++c) std::fill(to + c * step + count, to + c * step + width, T{0});
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
    pack_weight_rows(from, strides, count, length, to, width, width);
    depth += length;
  }
}

/// One panel of features for tiles whose taps share what they load (`TapTile`): at each depth, the weights of
/// all taps along the last axis one after another.
template <typename T>
void pack_abreast_weights(const ConvolutionProblem& problem, const TapClass& taps, int64_t group,
                          int64_t first, int64_t count, int64_t width, T* panel) {
  const int64_t channels = problem.channels / problem.groups;
  const ConvolutionProblem::WeightStrides& strides = problem.weight_strides;
  const T* const weight = reinterpret_cast<const T*>(problem.weight) +
                          (group * (problem.features / problem.groups) + first) * strides.feature;
  const auto across = static_cast<int64_t>(taps.axes[2].taps.size());
  // So many that what is written stays in the first-level cache while one tap after another adds to it.
  constexpr int64_t depths_at_once = 64;
  for (int64_t line = 0; line < taps.tap_count() / across; ++line) {
    for (int64_t depth = 0; depth < channels; depth += depths_at_once) {
      const int64_t length = std::min(depths_at_once, channels - depth);
      for (int64_t tap = 0; tap < across; ++tap) {
        const T* const from =
            weight + taps.weight_offset(line * across + tap, strides) + depth * strides.channel;
        T* const to = panel + ((line * channels + depth) * across + tap) * width;
        pack_weight_rows(from, strides, count, length, to, width, across * width);
      }
    }
  }
}

}  // namespace lazuli::templates
