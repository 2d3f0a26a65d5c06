#include <lazuli/compiler/templates/convolution_depthwise.h>

#include <algorithm>

#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>

namespace lazuli::templates {

namespace {

/// Rows under taps that are looked up at a time, at most, unless one place has more taps.
constexpr int64_t most_rows = 1024;

template <typename T>
void sum_products(const T* const* rows, int64_t count, int64_t taps, const T* weights, int64_t channels,
                  T* const* out) {
  if constexpr (std::is_same_v<T, float>) {
    kernels().sum_row_products(rows, count, taps, weights, channels, out);
  } else {
    for (int64_t i = 0; i < count; ++i) {
      std::fill_n(out[i], channels, T{0});
      for (int64_t t = 0; t < taps; ++t) {
        for (int64_t c = 0; c < channels; ++c) out[i][c] += rows[i * taps + t][c] * weights[t * channels + c];
      }
    }
  }
}

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
  const int64_t tap_count = taps.tap_count();
  const Scratch nothing(static_cast<size_t>(channels) * sizeof(T));
  const T* const zeros = std::fill_n(nothing.as<T>(), channels, T{0}) - channels;
  share_out(problem.batch * axis0.count * axis1.count, [&](int64_t part) {
    const int64_t image = part / (axis0.count * axis1.count);
    const int64_t at0 = part / axis1.count % axis0.count * axis0.in_step;
    const int64_t at1 = part % axis1.count * axis1.in_step;
    // The input's row of channels under each tap, for a few places of the line at a time.
    const int64_t together =
        std::max<int64_t>(1, std::min(line, most_rows / std::max<int64_t>(tap_count, 1)));
    const Scratch rows_memory(static_cast<size_t>(together * (tap_count + 1)) * sizeof(T*));
    const T** const under = rows_memory.as<const T*>();
    T** const out = rows_memory.as<T*>() + together * tap_count;
    for (int64_t begin = 0; begin < line; begin += together) {
      const int64_t count = std::min(together, line - begin);
      const T** next = under;
      for (int64_t j = begin; j < begin + count; ++j) {
        out[j - begin] = output + taps.result_of(part * line + j) * channels;
        for (const Tap& tap0 : axis0.taps) {
          for (const Tap& tap1 : axis1.taps) {
            const int64_t c0 = at0 + tap0.base;
            const int64_t c1 = at1 + tap1.base;
            const bool is_row = c0 >= 0 && c0 < problem.in[0] && c1 >= 0 && c1 < problem.in[1];
            for (const Tap& tap2 : axis2.taps) {
              const int64_t c2 = j * axis2.in_step + tap2.base;
              const bool is_there = is_row && c2 >= 0 && c2 < problem.in[2];
              const int64_t place = ((image * problem.in[0] + c0) * problem.in[1] + c1) * problem.in[2] + c2;
              *next++ = is_there ? input + place * channels : zeros;
            }
          }
        }
      }
      sum_products<T>(under, count, tap_count, rows, channels, out);
    }
  });
}

template void convolve_depthwise<float>(const ConvolutionProblem&, const TapClass&);
template void convolve_depthwise<double>(const ConvolutionProblem&, const TapClass&);

}  // namespace lazuli::templates
