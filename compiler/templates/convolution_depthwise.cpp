#include <lazuli/compiler/templates/convolution_depthwise.h>

#include <algorithm>
#include <vector>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>

namespace lazuli::templates {

namespace {

/// Lines are dealt out in so many parts for each thread: those beside each other share most of their input.
constexpr int64_t parts_a_thread = 8;
/// Where there are few lines, threads share channels: so many for each, at least.
constexpr int64_t least_channels = 64;

/// Channels in slices that begin where vectors do.
struct ChannelSlices {
  int64_t channels = 0;
  int64_t count = 1;

  ChannelSlices(int64_t of, int64_t lines) : channels(of) {
    if (lines < parts_a_thread * num_threads())
      count = std::clamp<int64_t>(channels / least_channels, 1, num_threads());
  }
  int64_t first(int64_t slice) const {
    return slice == count ? channels : channels * slice / count / 16 * 16;
  }
};

template <typename T>
void sum_products(const T* const* x, int64_t x_step, const T* const* w, int64_t taps, int64_t count,
                  int64_t channels, T* y, int64_t y_step) {
  if constexpr (std::is_same_v<T, float>) {
    kernels().sum_tap_products(x, x_step, w, taps, count, channels, y, y_step);
  } else {
    for (int64_t i = 0; i < count; ++i, y += y_step) {
      std::fill_n(y, channels, T{0});
      for (int64_t t = 0; t < taps; ++t) {
        for (int64_t c = 0; c < channels; ++c) y[c] += x[t][i * x_step + c] * w[t][c];
      }
    }
  }
}

template <typename T>
void add_products(const T* const* x, int64_t x_step, const T* y, int64_t y_step, int64_t taps, int64_t count,
                  int64_t channels, T* const* w) {
  if constexpr (std::is_same_v<T, float>) {
    kernels().add_tap_products(x, x_step, y, y_step, taps, count, channels, w);
  } else {
    for (int64_t i = 0; i < count; ++i, y += y_step) {
      for (int64_t t = 0; t < taps; ++t) {
        for (int64_t c = 0; c < channels; ++c) w[t][c] += x[t][i * x_step + c] * y[c];
      }
    }
  }
}

/// Places of a line, beside each other, that see the same taps along it.
struct Stretch {
  int64_t first = 0;
  int64_t count = 0;
  std::vector<int64_t> taps;
};

std::vector<Stretch> stretches_of(const AxisTaps& axis, int64_t extent) {
  // A tap is seen from the first place on that has it within the input to the last.
  const auto place_of = [&](int64_t coordinate) {
    return std::clamp<int64_t>(coordinate <= 0 ? 0 : ceil_div(coordinate, axis.in_step), 0, axis.count);
  };
  std::vector<int64_t> ends{0, axis.count};
  for (const Tap& tap : axis.taps) {
    ends.push_back(place_of(-tap.base));
    ends.push_back(place_of(extent - tap.base));
  }
  std::sort(ends.begin(), ends.end());
  std::vector<Stretch> stretches;
  for (size_t i = 0; i + 1 < ends.size(); ++i) {
    if (ends[i] == ends[i + 1]) continue;
    Stretch stretch{ends[i], ends[i + 1] - ends[i], {}};
    for (size_t t = 0; t < axis.taps.size(); ++t) {
      const int64_t at = stretch.first * axis.in_step + axis.taps[t].base;
      if (at >= 0 && at < extent) stretch.taps.push_back(static_cast<int64_t>(t));
    }
    stretches.push_back(std::move(stretch));
  }
  return stretches;
}

/// The lines of a class of places, each in stretches.
class DepthwiseLines {
 public:
  DepthwiseLines(const ConvolutionProblem& problem, const TapClass& taps)
      : problem_(problem), taps_(taps), stretches_(stretches_of(taps.axes[2], problem.in[2])) {}

  int64_t count() const { return problem_.batch * taps_.axes[0].count * taps_.axes[1].count; }
  int64_t input_step() const { return taps_.axes[2].in_step * problem_.channels; }
  int64_t result_step() const { return taps_.axes[2].step * problem_.channels; }

  /// Calls f(result, count, inputs, taps) for each stretch of a line: where its results lie, how many there
  /// are, where each tap's element of the first one lies, and the taps' numbers.
  template <typename F>
  void for_each_stretch(int64_t line, std::vector<int64_t>& inputs, std::vector<int64_t>& numbers,
                        const F& f) const {
    const AxisTaps& axis0 = taps_.axes[0];
    const AxisTaps& axis1 = taps_.axes[1];
    const AxisTaps& axis2 = taps_.axes[2];
    const int64_t image = line / (axis0.count * axis1.count);
    const int64_t at0 = line / axis1.count % axis0.count * axis0.in_step;
    const int64_t at1 = line % axis1.count * axis1.in_step;
    const auto taps_along = static_cast<int64_t>(axis2.taps.size());
    for (const Stretch& stretch : stretches_) {
      inputs.clear();
      numbers.clear();
      int64_t row_number = 0;
      for (const Tap& tap0 : axis0.taps) {
        for (const Tap& tap1 : axis1.taps) {
          const int64_t number = row_number++ * taps_along;
          const int64_t c0 = at0 + tap0.base;
          const int64_t c1 = at1 + tap1.base;
          if (c0 < 0 || c0 >= problem_.in[0] || c1 < 0 || c1 >= problem_.in[1]) continue;
          const int64_t row = ((image * problem_.in[0] + c0) * problem_.in[1] + c1) * problem_.in[2];
          for (const int64_t t : stretch.taps) {
            const int64_t c2 = stretch.first * axis2.in_step + axis2.taps[static_cast<size_t>(t)].base;
            inputs.push_back((row + c2) * problem_.channels);
            numbers.push_back(number + t);
          }
        }
      }
      f(taps_.result_of(line * axis2.count + stretch.first) * problem_.channels, stretch.count);
    }
  }

 private:
  const ConvolutionProblem& problem_;
  const TapClass& taps_;
  std::vector<Stretch> stretches_;
};

}  // namespace

template <typename T>
void convolve_depthwise(const ConvolutionProblem& problem, const TapClass& taps) {
  const int64_t channels = problem.channels;
  const T* const input = reinterpret_cast<const T*>(problem.input);
  const T* const weight = reinterpret_cast<const T*>(problem.weight);
  T* const output = reinterpret_cast<T*>(problem.output);
  // A row of weights, one for each channel, for every tap.
  const Scratch memory(static_cast<size_t>(taps.tap_count() * channels) * sizeof(T));
  T* const rows = memory.as<T>();
  for (int64_t tap = 0; tap < taps.tap_count(); ++tap) {
    const T* const at = weight + taps.weight_offset(tap, problem.weight_strides);
    for (int64_t c = 0; c < channels; ++c) rows[tap * channels + c] = at[c * problem.weight_strides.feature];
  }
  const DepthwiseLines lines(problem, taps);
  const int64_t parts = std::min(lines.count(), parts_a_thread * num_threads());
  const ChannelSlices slices(channels, lines.count());
  share_out(parts * slices.count, [&](int64_t task) {
    const int64_t part = task / slices.count;
    const int64_t first = slices.first(task % slices.count);
    const int64_t columns = slices.first(task % slices.count + 1) - first;
    std::vector<int64_t> inputs, numbers;
    std::vector<const T*> x, w;
    const int64_t end = lines.count() * (part + 1) / parts;
    for (int64_t line = lines.count() * part / parts; line < end; ++line) {
      lines.for_each_stretch(line, inputs, numbers, [&](int64_t result, int64_t count) {
        x.clear();
        w.clear();
        for (const int64_t at : inputs) x.push_back(input + at + first);
        for (const int64_t number : numbers) w.push_back(rows + number * channels + first);
        sum_products<T>(x.data(), lines.input_step(), w.data(), static_cast<int64_t>(x.size()), count,
                        columns, output + result + first, lines.result_step());
      });
    }
  });
}

template <typename T>
void sum_depthwise_weights(const ConvolutionProblem& problem, const T* result, T* weights) {
  const int64_t channels = problem.channels;
  const int64_t kernel_size = problem.kernel[0] * problem.kernel[1] * problem.kernel[2];
  const T* const input = reinterpret_cast<const T*>(problem.input);
  // Every thread has its lines' part of the sums, a row for each tap of the kernel.
  const int64_t all_lines = problem.batch * problem.out[0] * problem.out[1];
  const int64_t parts = std::min<int64_t>(num_threads(), all_lines);
  const ChannelSlices slices(channels, all_lines);
  const Scratch memory(static_cast<size_t>(parts * kernel_size * channels) * sizeof(T));
  T* const sums = memory.as<T>();
  std::fill_n(sums, parts * kernel_size * channels, T{0});
  for (const TapClass& taps : tap_classes(problem)) {
    const DepthwiseLines lines(problem, taps);
    parallel_for(parts * slices.count, [&](int64_t task) {
      const int64_t part = task / slices.count;
      const int64_t first = slices.first(task % slices.count);
      const int64_t columns = slices.first(task % slices.count + 1) - first;
      T* const own = sums + part * kernel_size * channels + first;
      std::vector<int64_t> inputs, numbers;
      std::vector<const T*> x;
      std::vector<T*> w;
      const int64_t end = lines.count() * (part + 1) / parts;
      for (int64_t line = lines.count() * part / parts; line < end; ++line) {
        lines.for_each_stretch(line, inputs, numbers, [&](int64_t at, int64_t count) {
          x.clear();
          w.clear();
          for (const int64_t from : inputs) x.push_back(input + from + first);
          for (const int64_t number : numbers)
            w.push_back(own + taps.weight_of(number, problem.kernel) * channels);
          add_products<T>(x.data(), lines.input_step(), result + at + first, lines.result_step(),
                          static_cast<int64_t>(x.size()), count, columns, w.data());
        });
      }
    });
  }
  for (int64_t tap = 0; tap < kernel_size; ++tap) {
    for (int64_t c = 0; c < channels; ++c) {
      T sum = 0;
      for (int64_t part = 0; part < parts; ++part) sum += sums[(part * kernel_size + tap) * channels + c];
      weights[c * kernel_size + tap] = sum;
    }
  }
}

template void convolve_depthwise<float>(const ConvolutionProblem&, const TapClass&);
template void convolve_depthwise<double>(const ConvolutionProblem&, const TapClass&);
template void sum_depthwise_weights<float>(const ConvolutionProblem&, const float*, float*);
template void sum_depthwise_weights<double>(const ConvolutionProblem&, const double*, double*);

}  // namespace lazuli::templates
