#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <lazuli/array/dtype.h>

namespace lazuli::templates {

/// A convolution over three spatial axes (fewer have extent 1): with o and k running over the result and the
/// kernel,
///   out[n, o, f] = Σ_k Σ_c in[n, (o * stride - padding + k * kernel_dilation) / input_dilation, c] *
///   weight[f, k, c]
/// over the k for which the division leaves nothing and the element exists. Input [batch, in, channels],
/// weight [features, kernel, channels / groups], out [batch, out, features], all of `dtype`, float32 or
/// float64, and row-major but for the weight, which may have any strides. Group g of the features sees group
/// g of the channels. With `flip`, k counts the weight from its end.
struct ConvolutionProblem {
  using Extents = std::array<int64_t, 3>;
  /// Elements of the weight from one to the next.
  struct WeightStrides {
    int64_t feature = 0;
    Extents kernel{0, 0, 0};
    int64_t channel = 1;
  };
  Dtype dtype = float32;
  int64_t batch = 1;
  int64_t channels = 1;
  int64_t features = 1;
  int64_t groups = 1;
  Extents in{1, 1, 1};
  Extents kernel{1, 1, 1};
  Extents out{1, 1, 1};
  Extents stride{1, 1, 1};
  Extents padding{0, 0, 0};
  Extents kernel_dilation{1, 1, 1};
  Extents input_dilation{1, 1, 1};
  bool flip = false;
  const std::byte* input = nullptr;
  const std::byte* weight = nullptr;
  WeightStrides weight_strides;
  std::byte* output = nullptr;
};

void convolution(const ConvolutionProblem& problem);

}  // namespace lazuli::templates
