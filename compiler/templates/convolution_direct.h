#pragma once

#include <lazuli/compiler/templates/convolution.h>
#include <lazuli/compiler/templates/convolution_taps.h>

/// Convolutions that multiply elements where they lie.
namespace lazuli::templates {

/// Whether enough depths lie one after another in the input, and enough places beside each other.
bool suits_direct_convolution(const ConvolutionProblem& problem, const TapClass& taps);

/// The class's places of the result, from tiles whose rows are places beside each other along the last axis
/// and whose depths are what lies one after another under a row of the kernel.
template <typename T>
void convolve_direct(const ConvolutionProblem& problem, const TapClass& taps);

extern template void convolve_direct<float>(const ConvolutionProblem&, const TapClass&);
extern template void convolve_direct<double>(const ConvolutionProblem&, const TapClass&);

}  // namespace lazuli::templates
