#pragma once

#include <lazuli/compiler/templates/convolution.h>
#include <lazuli/compiler/templates/convolution_taps.h>
#include <lazuli/compiler/templates/tap_tile.h>

namespace lazuli::templates {

/// The tile whose taps along the last axis share what they load, if they have something to share and the tile
/// loads less than one that doesn't; else null.
template <typename T>
const TapKernel<T>* shared_tap_kernel(const ConvolutionProblem& problem, const TapClass& taps);

}  // namespace lazuli::templates
