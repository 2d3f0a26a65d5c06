#pragma once

#include <cstddef>

#include <lazuli/compiler/templates/convolution.h>

/// Sums for a convolution's weights that multiply elements where they lie.
namespace lazuli::templates {

/// Whether there are features enough for a tile's columns, and elements of the input enough beside each other
/// for its rows.
bool suits_direct_weights(const ConvolutionProblem& problem);

/// What `convolution_weights` computes.
template <typename T>
void sum_weights_direct(const ConvolutionProblem& problem, const T* result, T* weights);

extern template void sum_weights_direct<float>(const ConvolutionProblem&, const float*, float*);
extern template void sum_weights_direct<double>(const ConvolutionProblem&, const double*, double*);

}  // namespace lazuli::templates
