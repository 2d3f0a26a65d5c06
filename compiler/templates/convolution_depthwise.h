#pragma once

#include <lazuli/compiler/templates/convolution_taps.h>

/// Convolutions whose features each see one channel of their own: vectors are channels.
namespace lazuli::templates {

inline bool is_depthwise(const ConvolutionProblem& problem) {
  return problem.channels == problem.groups && problem.features == problem.groups;
}

/// The results at the places of one class.
template <typename T>
void convolve_depthwise(const ConvolutionProblem& problem, const TapClass& taps);

/// The gradient with respect to the weights ([channels, ...kernel]), given that of the results.
template <typename T>
void sum_depthwise_weights(const ConvolutionProblem& problem, const T* result, T* weights);

extern template void convolve_depthwise<float>(const ConvolutionProblem&, const TapClass&);
extern template void convolve_depthwise<double>(const ConvolutionProblem&, const TapClass&);
extern template void sum_depthwise_weights<float>(const ConvolutionProblem&, const float*, float*);
extern template void sum_depthwise_weights<double>(const ConvolutionProblem&, const double*, double*);

}  // namespace lazuli::templates
