#include <lazuli/compiler/templates/convolution.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <vector>

#include <lazuli/compiler/templates/convolution_depthwise.h>
#include <lazuli/compiler/templates/convolution_direct.h>
#include <lazuli/compiler/templates/convolution_pack.h>
#include <lazuli/compiler/templates/convolution_taps.h>
#include <lazuli/compiler/templates/gemm.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/matmul.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli::templates {

namespace {

/// One group of the channels at the places of the result that share their taps: a matrix product whose left
/// operand has a row for each place, with the elements under each tap behind one another. It is never made:
/// panels are packed straight from the input.
template <typename T>
class PlacesProduct {
 public:
  PlacesProduct(const ConvolutionProblem& problem, const TapClass& taps, int64_t group)
      : problem_(problem),
        taps_(taps),
        group_channels_(problem.channels / problem.groups),
        group_features_(problem.features / problem.groups),
        group_(group) {
    // Taps side by side along the last axis lie one after another in the input, as their channels do.
    is_merged_ = problem.groups == 1;
    const std::vector<Tap>& last = taps.axes[2].taps;
    for (size_t i = 1; i < last.size(); ++i) is_merged_ = is_merged_ && last[i].base == last[i - 1].base + 1;
    last_taps_ = static_cast<int64_t>(last.size());
    run_ = is_merged_ ? last_taps_ * group_channels_ : group_channels_;
  }

  void run() const {
    const int64_t places = problem_.batch * taps_.place_count();
    const int64_t depth = taps_.tap_count() * group_channels_;
    const auto pack_a = [&](int64_t first, int64_t count, int64_t k_first, int64_t k_count, int64_t width,
                            T* panels) {
      for_each_panel(first, count, k_count, width, panels, [&](int64_t lane, int64_t lanes, T* panel) {
        pack_places(lane, lanes, k_first, k_count, width, panel);
      });
    };
    const auto pack_b = [&](int64_t first, int64_t count, int64_t k_first, int64_t k_count, int64_t width,
                            T* panels) {
      for_each_panel(first, count, k_count, width, panels, [&](int64_t lane, int64_t lanes, T* panel) {
        pack_convolution_weights(problem_, taps_, group_, lane, lanes, k_first, k_count, width, panel);
      });
    };
    T* const out = reinterpret_cast<T*>(problem_.output) + group_ * group_features_;
    const auto store = [&](const T* block, int64_t stride, int64_t row, int64_t rows, int64_t column,
                           int64_t columns) {
      for (int64_t i = 0; i < rows; ++i) {
        std::copy_n(block + i * stride, columns, out + taps_.result_of(row + i) * problem_.features + column);
      }
    };
    const StoreBlock<T> store_block(store);
    GemmOutput<T> output;
    output.c = taps_.covers_all ? out : nullptr;
    output.c_row_stride = problem_.features;
    output.store = &store_block;
    gemm<T>(gemm_kernel_for<T>(group_features_), places, group_features_, depth,
            GemmLanes<T>::in_memory(pack_a), pack_b, output);
  }

 private:
  static constexpr int64_t most_lanes = 64;

  /// Where the lanes of a panel are: the input's element at coordinate 0 of their image, and coordinates
  /// without the taps'.
  struct Lanes {
    int64_t image[most_lanes];
    int64_t at[3][most_lanes];
  };

  void pack_places(int64_t first, int64_t count, int64_t k_first, int64_t k_count, int64_t width,
                   T* panel) const {
    Lanes lanes;
    const int64_t image_size = problem_.in[0] * problem_.in[1] * problem_.in[2] * problem_.channels;
    for (int64_t i = 0; i < count; ++i) {
      int64_t rest = first + i;
      for (int d = 3; d-- > 0;) {
        const AxisTaps& axis = taps_.axes[static_cast<size_t>(d)];
        lanes.at[d][i] = rest % axis.count * axis.in_step;
        rest /= axis.count;
      }
      lanes.image[i] = rest * image_size + group_ * group_channels_;
    }
    for (int64_t depth = k_first; depth < k_first + k_count;) {
      const int64_t within = depth % run_;
      const int64_t length = std::min(run_ - within, k_first + k_count - depth);
      pack_run(lanes, count, depth / run_, within, length, width, panel + (depth - k_first) * width);
      depth += length;
    }
    if (count < width) {
      for (int64_t p = 0; p < k_count; ++p)
        std::fill(panel + p * width + count, panel + (p + 1) * width, T{0});
    }
  }

  /// `length` depths that lie one after another in the input, from place `within` of run number `number`.
  void pack_run(const Lanes& lanes, int64_t count, int64_t number, int64_t within, int64_t length,
                int64_t width, T* panel) const {
    int64_t last_tap = 0;
    int64_t last_end = 0;
    if (is_merged_) {
      last_tap = within / group_channels_;
      last_end = (within + length - 1) / group_channels_ + 1;
      within %= group_channels_;
    } else {
      last_tap = number % last_taps_;
      last_end = last_tap + 1;
      number /= last_taps_;
    }
    const auto middle_taps = static_cast<int64_t>(taps_.axes[1].taps.size());
    const int64_t base0 = taps_.axes[0].taps[static_cast<size_t>(number / middle_taps)].base;
    const int64_t base1 = taps_.axes[1].taps[static_cast<size_t>(number % middle_taps)].base;
    const std::vector<Tap>& last = taps_.axes[2].taps;
    const int64_t base2 = last[static_cast<size_t>(last_tap)].base;
    const int64_t span = last[static_cast<size_t>(last_end - 1)].base - base2;

    const T* const input = reinterpret_cast<const T*>(problem_.input);
    int64_t from[most_lanes];  // the first element; -1: all zero, -2: some of the last axis' taps are outside
    for (int64_t i = 0; i < count; ++i) {
      const int64_t c0 = lanes.at[0][i] + base0;
      const int64_t c1 = lanes.at[1][i] + base1;
      const int64_t c2 = lanes.at[2][i] + base2;
      if (!is_within(c0, 0) || !is_within(c1, 1) || c2 + span < 0 || c2 >= problem_.in[2]) {
        from[i] = -1;
      } else if (c2 < 0 || c2 + span >= problem_.in[2]) {
        from[i] = -2;
      } else {
        from[i] = place(lanes.image[i], c0, c1, c2) + within;
      }
    }
    for (int64_t i = 0; i < count;) {
      int64_t end = i + 1;
      if (from[i] >= 0) {
        // Lanes that are equally far apart are the rows of a transpose.
        const int64_t step = end < count && from[end] >= 0 ? from[end] - from[i] : 0;
        while (step > 0 && end < count && from[end] == from[end - 1] + step) ++end;
        interleave_rows(input + from[i], step, end - i, length, panel + i, width);
      } else if (from[i] == -1) {
        for (int64_t p = 0; p < length; ++p) panel[p * width + i] = T{0};
      } else {
        // Zeros before the axis begins, zeros behind its end, and elements one after another between.
        const int64_t c2 = lanes.at[2][i] + base2;
        const int64_t begin = std::clamp<int64_t>(-c2 * group_channels_ - within, 0, length);
        const int64_t stop = std::clamp<int64_t>((problem_.in[2] - c2) * group_channels_ - within, 0, length);
        const int64_t first = place(lanes.image[i], lanes.at[0][i] + base0, lanes.at[1][i] + base1, 0) +
                              c2 * problem_.channels + within;
        for (int64_t p = 0; p < begin; ++p) panel[p * width + i] = T{0};
        for (int64_t p = begin; p < stop; ++p) panel[p * width + i] = input[first + p];
        for (int64_t p = stop; p < length; ++p) panel[p * width + i] = T{0};
      }
      i = end;
    }
  }

  bool is_within(int64_t coordinate, size_t axis) const {
    return coordinate >= 0 && coordinate < problem_.in[axis];
  }
  int64_t place(int64_t image, int64_t c0, int64_t c1, int64_t c2) const {
    return image + ((c0 * problem_.in[1] + c1) * problem_.in[2] + c2) * problem_.channels;
  }

  const ConvolutionProblem& problem_;
  const TapClass& taps_;
  int64_t group_channels_;
  int64_t group_features_;
  int64_t group_;
  bool is_merged_ = false;
  int64_t last_taps_ = 1;
  int64_t run_ = 1;  ///< depths that lie one after another in the input
};

/// Few features of many channels: panels of elements under taps would be packed for too few products. So each
/// element of an image is multiplied by the weights of all taps where it stands, and places add up what their
/// taps find.
bool has_few_features(const ConvolutionProblem& problem) {
  constexpr int64_t most_features = 8;
  constexpr int64_t fewest_channels = 16;
  constexpr int64_t most_products = 1024;
  const int64_t taps = problem.kernel[0] * problem.kernel[1] * problem.kernel[2];
  return problem.groups == 1 && problem.features <= most_features && problem.channels >= fewest_channels &&
         taps * problem.features <= most_products;
}

template <typename T>
void copy_row_major(const ConvolutionProblem& problem, T* to) {
  const ConvolutionProblem::WeightStrides& strides = problem.weight_strides;
  for (int64_t f = 0; f < problem.features; ++f) {
    for (int64_t k0 = 0; k0 < problem.kernel[0]; ++k0) {
      for (int64_t k1 = 0; k1 < problem.kernel[1]; ++k1) {
        for (int64_t k2 = 0; k2 < problem.kernel[2]; ++k2) {
          const T* const from = reinterpret_cast<const T*>(problem.weight) + f * strides.feature +
                                k0 * strides.kernel[0] + k1 * strides.kernel[1] + k2 * strides.kernel[2];
          for (int64_t c = 0; c < problem.channels; ++c) *to++ = from[c * strides.channel];
        }
      }
    }
  }
}

template <typename T>
void convolve_few_features(const ConvolutionProblem& problem, const std::vector<TapClass>& classes) {
  const int64_t features = problem.features;
  const int64_t taps = problem.kernel[0] * problem.kernel[1] * problem.kernel[2];
  const int64_t elements = problem.in[0] * problem.in[1] * problem.in[2];
  const int64_t columns = taps * features;
  const Scratch memory(static_cast<size_t>(elements * columns) * sizeof(T));
  T* const products = memory.as<T>();
  const int64_t size = problem.dtype.size();
  // Row-major, as [feature][tap][channel].
  const std::byte* weight = problem.weight;
  const bool is_row_major =
      is_weight_dense(problem) && problem.weight_strides.feature == taps * problem.channels;
  const Scratch ordered(is_row_major ? 0 : static_cast<size_t>(columns * problem.channels) * sizeof(T));
  if (!is_row_major) {
    copy_row_major(problem, ordered.as<T>());
    weight = ordered.data();
  }
  for (int64_t image = 0; image < problem.batch; ++image) {
    MatmulProblem product;
    product.m = elements;
    product.n = columns;
    product.k = problem.channels;
    product.a = {problem.input + image * elements * problem.channels * size, problem.dtype, problem.channels,
                 1};
    // Column f * taps + tap of the product is that tap's weight of the feature.
    product.b = {weight, problem.dtype, 1, problem.channels};
    product.out = memory.data();
    product.out_dtype = problem.dtype;
    product.out_row_stride = columns;
    matmul(product);
    for (const TapClass& at : classes) {
      const AxisTaps* const axes = at.axes;
      parallel_for(axes[0].count * axes[1].count, [&](int64_t line) {
        const int64_t c0 = line / axes[1].count * axes[0].in_step;
        const int64_t c1 = line % axes[1].count * axes[1].in_step;
        T* const out = reinterpret_cast<T*>(problem.output);
        for (int64_t j = 0; j < axes[2].count; ++j) {
          T sums[8] = {};
          for (const Tap& tap0 : axes[0].taps) {
            const int64_t i0 = c0 + tap0.base;
            if (i0 < 0 || i0 >= problem.in[0]) continue;
            for (const Tap& tap1 : axes[1].taps) {
              const int64_t i1 = c1 + tap1.base;
              if (i1 < 0 || i1 >= problem.in[1]) continue;
              for (const Tap& tap2 : axes[2].taps) {
                const int64_t i2 = j * axes[2].in_step + tap2.base;
                if (i2 < 0 || i2 >= problem.in[2]) continue;
                const int64_t tap =
                    (tap0.weight * problem.kernel[1] + tap1.weight) * problem.kernel[2] + tap2.weight;
                const T* const from =
                    products + ((i0 * problem.in[1] + i1) * problem.in[2] + i2) * columns + tap;
                for (int64_t f = 0; f < features; ++f) sums[f] += from[f * taps];
              }
            }
          }
          const int64_t row = (image * axes[0].count * axes[1].count + line) * axes[2].count + j;
          std::copy_n(sums, features, out + at.result_of(row) * features);
        }
      });
    }
  }
}

template <typename T>
void convolve(const ConvolutionProblem& problem) {
  const std::vector<TapClass> classes = tap_classes(problem);
  if (has_few_features(problem)) return convolve_few_features<T>(problem, classes);
  for (const TapClass& taps : classes) {
    if (is_depthwise(problem)) {
      convolve_depthwise<T>(problem, taps);
      continue;
    }
    if (suits_direct_convolution(problem, taps)) {
      convolve_direct<T>(problem, taps);
      continue;
    }
    for (int64_t group = 0; group < problem.groups; ++group) PlacesProduct<T>(problem, taps, group).run();
  }
}

}  // namespace

void convolution(const ConvolutionProblem& problem) {
  int64_t results = problem.batch * problem.features;
  int64_t terms = problem.channels / std::max<int64_t>(problem.groups, 1);
  for (size_t d = 0; d < 3; ++d) {
    results *= problem.out[d];
    terms *= problem.in[d] * problem.kernel[d];
  }
  if (results == 0) return;
  if (terms == 0) {
    std::fill_n(problem.output, results * problem.dtype.size(), std::byte{0});
    return;
  }
  if (problem.dtype == float32) return convolve<float>(problem);
  if (problem.dtype == float64) return convolve<double>(problem);
  throw std::invalid_argument("[convolution] float32 and float64 only");
}

}  // namespace lazuli::templates
