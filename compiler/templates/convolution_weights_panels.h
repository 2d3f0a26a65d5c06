#pragma once

#include <cstddef>

#include <lazuli/compiler/templates/convolution.h>

/// Sums for a convolution's weights too many for the second-level cache: a task has those of some features by
/// a panel of channels under all taps, for which it packs the elements once.
namespace lazuli::templates {

/// Whether the sums are so many, and there are channels and features enough for tiles.
template <typename T>
bool suits_weight_panels(const ConvolutionProblem& problem);

/// What `convolution_weights` computes.
template <typename T>
void sum_weight_panels(const ConvolutionProblem& problem, const T* result, T* weights);

extern template bool suits_weight_panels<float>(const ConvolutionProblem&);
extern template bool suits_weight_panels<double>(const ConvolutionProblem&);
extern template void sum_weight_panels<float>(const ConvolutionProblem&, const float*, float*);
extern template void sum_weight_panels<double>(const ConvolutionProblem&, const double*, double*);

}  // namespace lazuli::templates
