#pragma once

#include <cstdint>
#include <vector>

#include <lazuli/compiler/templates/convolution.h>

/// Which elements of a kernel meet which of the input. Where input elements are apart (`input_dilation`),
/// places of the result meet different elements of the kernel, and zeros otherwise: the places fall into
/// classes, and each is a convolution without zeros.
namespace lazuli::templates {

/// An element of the kernel along an axis, and the input's coordinate it meets at the class's first place.
struct Tap {
  int64_t weight = 0;
  int64_t base = 0;
};

/// A class along one axis: places `first`, `first + step`, ..., whose input coordinates are `in_step` apart.
struct AxisTaps {
  int64_t first = 0;
  int64_t step = 1;
  int64_t count = 0;
  int64_t in_step = 1;
  std::vector<Tap> taps;
};

struct TapClass {
  AxisTaps axes[3];
  ConvolutionProblem::Extents out{1, 1, 1};
  bool covers_all = false;  ///< whether all places of the result are in it, in order

  int64_t place_count() const { return axes[0].count * axes[1].count * axes[2].count; }
  int64_t tap_count() const {
    return static_cast<int64_t>(axes[0].taps.size() * axes[1].taps.size() * axes[2].taps.size());
  }
  /// The place in the result, images included, of the class's place number `row`.
  int64_t result_of(int64_t row) const;
  /// Where a feature's weights of tap number `tap` are, counted from its first.
  int64_t weight_offset(int64_t tap, const ConvolutionProblem::WeightStrides& strides) const;
  /// The place in the kernel of tap number `tap`.
  int64_t weight_of(int64_t tap, const ConvolutionProblem::Extents& kernel) const;

 private:
  ConvolutionProblem::Extents weight_coordinates(int64_t tap) const;
};

std::vector<TapClass> tap_classes(const ConvolutionProblem& problem);

}  // namespace lazuli::templates
