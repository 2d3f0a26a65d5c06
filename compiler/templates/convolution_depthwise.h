#pragma once

#include <lazuli/compiler/templates/convolution_taps.h>

namespace lazuli::templates {

/// A convolution whose features each see one channel of their own, at the places of one class.
template <typename T>
void convolve_depthwise(const ConvolutionProblem& problem, const TapClass& taps);

extern template void convolve_depthwise<float>(const ConvolutionProblem&, const TapClass&);
extern template void convolve_depthwise<double>(const ConvolutionProblem&, const TapClass&);

}  // namespace lazuli::templates
