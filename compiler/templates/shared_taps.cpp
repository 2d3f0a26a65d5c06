#include <lazuli/compiler/templates/shared_taps.h>

#include <lazuli/compiler/templates/gemm.h>
#include <lazuli/compiler/templates/scratch.h>

namespace lazuli::templates {

namespace {

/// Channels that taps should have at least to share what they load: each row of the kernel begins anew.
constexpr int64_t fewest_shared_channels = 8;

/// What a tile loads for a depth, added up over all tiles of a row: elements and vectors of weights.
template <typename T>
int64_t loads(const TapForm& form, const TapKernel<T>& kernel, int64_t places, int64_t features) {
  const int64_t tiles = ceil_div(places, kernel.rows);
  const int64_t elements = (places - tiles) * form.step + tiles * form.taps;
  const int64_t lanes = kernel.columns / form.vectors;
  return ceil_div(features, kernel.columns) * elements + ceil_div(features, lanes) * tiles * form.taps;
}

}  // namespace

template <typename T>
const TapKernel<T>* shared_tap_kernel(const ConvolutionProblem& problem, const TapClass& taps) {
  const AxisTaps& across = taps.axes[2];
  if (problem.channels / problem.groups < fewest_shared_channels) return nullptr;
  for (size_t i = 1; i < across.taps.size(); ++i) {
    if (across.taps[i].base != across.taps[i - 1].base + 1) return nullptr;
  }
  const int64_t features = problem.features / problem.groups;
  const auto count = static_cast<int64_t>(across.taps.size());
  const GemmKernel<T>& plain = gemm_kernel_for<T>(features);
  const int64_t lanes = gemm_kernel<T>().columns / 2;
  int64_t fewest = count * (ceil_div(features, plain.columns) * across.count +
                            ceil_div(features, lanes) * ceil_div(across.count, plain.rows));
  const TapKernel<T>* best = nullptr;
  for (int64_t vectors = fewest_tap_vectors; vectors <= most_tap_vectors; ++vectors) {
    const TapForm form{count, across.in_step, vectors};
    const TapKernel<T>* const kernel = tap_kernel<T>(form);
    if (kernel == nullptr) continue;
    if (const int64_t all = loads(form, *kernel, across.count, features); all < fewest) {
      fewest = all;
      best = kernel;
    }
  }
  return best;
}

template const TapKernel<float>* shared_tap_kernel<float>(const ConvolutionProblem&, const TapClass&);
template const TapKernel<double>* shared_tap_kernel<double>(const ConvolutionProblem&, const TapClass&);

}  // namespace lazuli::templates
