#include <lazuli/compiler/templates/convolution_depthwise.h>

#include <algorithm>

#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>

namespace lazuli::templates {

namespace {

/// Channels that are summed at a time, so that the sums stay in the first-level cache.
constexpr int64_t block = 256;

}  // namespace

template <typename T>
void convolve_depthwise(const ConvolutionProblem& problem, const TapClass& taps) {
  const int64_t channels = problem.channels;
  const int64_t kernel_size = problem.kernel[0] * problem.kernel[1] * problem.kernel[2];
  const T* const input = reinterpret_cast<const T*>(problem.input);
  const T* const weight = reinterpret_cast<const T*>(problem.weight);
  T* const output = reinterpret_cast<T*>(problem.output);
  // A row of weights, one for each channel, for every tap.
  const Scratch memory(static_cast<size_t>(taps.tap_count() * channels) * sizeof(T));
  T* const rows = memory.as<T>();
  for (int64_t tap = 0; tap < taps.tap_count(); ++tap) {
    const int64_t at = taps.weight_of(tap, problem.kernel);
    for (int64_t c = 0; c < channels; ++c) rows[tap * channels + c] = weight[c * kernel_size + at];
  }
  const AxisTaps& axis0 = taps.axes[0];
  const AxisTaps& axis1 = taps.axes[1];
  const AxisTaps& axis2 = taps.axes[2];
  const int64_t line = axis2.count;
  share_out(problem.batch * axis0.count * axis1.count, [&](int64_t part) {
    T sums[block];
    const int64_t image = part / (axis0.count * axis1.count);
    const int64_t at0 = part / axis1.count % axis0.count * axis0.in_step;
    const int64_t at1 = part % axis1.count * axis1.in_step;
    for (int64_t j = 0; j < line; ++j) {
      T* const out = output + taps.result_of(part * line + j) * channels;
      for (int64_t begin = 0; begin < channels; begin += block) {
        const int64_t count = std::min(block, channels - begin);
        std::fill_n(sums, count, T{0});
        const T* factors = rows + begin;
        for (const Tap& tap0 : axis0.taps) {
          for (const Tap& tap1 : axis1.taps) {
            const int64_t c0 = at0 + tap0.base;
            const int64_t c1 = at1 + tap1.base;
            const bool is_row = c0 >= 0 && c0 < problem.in[0] && c1 >= 0 && c1 < problem.in[1];
            for (const Tap& tap2 : axis2.taps) {
              const int64_t c2 = j * axis2.in_step + tap2.base;
              if (is_row && c2 >= 0 && c2 < problem.in[2]) {
                const T* from =
                    input +
                    (((image * problem.in[0] + c0) * problem.in[1] + c1) * problem.in[2] + c2) * channels +
                    begin;
                for (int64_t c = 0; c < count; ++c) sums[c] += from[c] * factors[c];
              }
              factors += channels;
            }
          }
        }
        std::copy_n(sums, count, out + begin);
      }
    }
  });
}

template void convolve_depthwise<float>(const ConvolutionProblem&, const TapClass&);
template void convolve_depthwise<double>(const ConvolutionProblem&, const TapClass&);

}  // namespace lazuli::templates
