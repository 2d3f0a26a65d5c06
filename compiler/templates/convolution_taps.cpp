#include <lazuli/compiler/templates/convolution_taps.h>

#include <numeric>

namespace lazuli::templates {

namespace {

std::vector<AxisTaps> axis_classes(const ConvolutionProblem& problem, size_t d) {
  const int64_t apart = problem.input_dilation[d];
  const int64_t step = apart / std::gcd(apart, problem.stride[d]);
  std::vector<AxisTaps> classes;
  for (int64_t first = 0; first < step && first < problem.out[d]; ++first) {
    AxisTaps axis;
    axis.first = first;
    axis.step = step;
    axis.count = (problem.out[d] - first + step - 1) / step;
    axis.in_step = problem.stride[d] * step / apart;
    for (int64_t k = 0; k < problem.kernel[d]; ++k) {
      const int64_t at = first * problem.stride[d] - problem.padding[d] + k * problem.kernel_dilation[d];
      if (at % apart != 0) continue;
      axis.taps.push_back({problem.flip ? problem.kernel[d] - 1 - k : k, at / apart});
    }
    classes.push_back(std::move(axis));
  }
  return classes;
}

}  // namespace

int64_t TapClass::result_of(int64_t row) const {
  int64_t coordinates[3];
  for (int d = 3; d-- > 0;) {
    coordinates[d] = axes[d].first + row % axes[d].count * axes[d].step;
    row /= axes[d].count;
  }
  return ((row * out[0] + coordinates[0]) * out[1] + coordinates[1]) * out[2] + coordinates[2];
}

ConvolutionProblem::Extents TapClass::weight_coordinates(int64_t tap) const {
  ConvolutionProblem::Extents at{};
  for (size_t d = 3; d-- > 0;) {
    const auto count = static_cast<int64_t>(axes[d].taps.size());
    at[d] = axes[d].taps[static_cast<size_t>(tap % count)].weight;
    tap /= count;
  }
  return at;
}

int64_t TapClass::weight_of(int64_t tap, const ConvolutionProblem::Extents& kernel) const {
  const ConvolutionProblem::Extents at = weight_coordinates(tap);
  return (at[0] * kernel[1] + at[1]) * kernel[2] + at[2];
}

int64_t TapClass::weight_offset(int64_t tap, const ConvolutionProblem::WeightStrides& strides) const {
  const ConvolutionProblem::Extents at = weight_coordinates(tap);
  return at[0] * strides.kernel[0] + at[1] * strides.kernel[1] + at[2] * strides.kernel[2];
}

std::vector<TapClass> tap_classes(const ConvolutionProblem& problem) {
  std::vector<TapClass> classes;
  for (const AxisTaps& axis0 : axis_classes(problem, 0)) {
    for (const AxisTaps& axis1 : axis_classes(problem, 1)) {
      for (const AxisTaps& axis2 : axis_classes(problem, 2)) {
        TapClass taps{{axis0, axis1, axis2}, problem.out, false};
        taps.covers_all = axis0.step == 1 && axis1.step == 1 && axis2.step == 1;
        classes.push_back(std::move(taps));
      }
    }
  }
  return classes;
}

}  // namespace lazuli::templates
