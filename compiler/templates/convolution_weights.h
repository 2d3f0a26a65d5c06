#pragma once

#include <cstddef>

#include <lazuli/compiler/templates/convolution.h>

namespace lazuli::templates {

/// The sums that make the gradient of a convolution's weights:
///   weights[f, k, c] = Σ_n Σ_o result[n, o, f] * in[n, (o * stride - padding + k * kernel_dilation) /
///   input_dilation, c]
/// over the o for which the division leaves nothing and the element exists. Extents, layouts and dtypes are
/// those of the convolution; its `weight` and `output` are not looked at. `result` is laid out as its output,
/// `weights` as its weight.
void convolution_weights(const ConvolutionProblem& problem, const std::byte* result, std::byte* weights);

}  // namespace lazuli::templates
