#include <lazuli/compiler/templates/convolution_weights.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/convolution_depthwise.h>
#include <lazuli/compiler/templates/convolution_pack.h>
#include <lazuli/compiler/templates/convolution_weights_direct.h>
#include <lazuli/compiler/templates/convolution_weights_panels.h>
#include <lazuli/compiler/templates/gemm.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/packing.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli::templates {

namespace {

constexpr int64_t outside = -1;

/// The input's coordinates under each place of the result, by axis: [place][tap], `outside` where there is
/// none.
class InputPlaces {
 public:
  explicit InputPlaces(const ConvolutionProblem& problem) : problem_(problem) {
    for (size_t d = 0; d < 3; ++d) {
      for (int64_t o = 0; o < problem.out[d]; ++o) {
        for (int64_t k = 0; k < problem.kernel[d]; ++k) {
          const int64_t tap = problem.flip ? problem.kernel[d] - 1 - k : k;
          const int64_t at = o * problem.stride[d] - problem.padding[d] + tap * problem.kernel_dilation[d];
          const bool is_there = at >= 0 && at % problem.input_dilation[d] == 0 &&
                                at / problem.input_dilation[d] < problem.in[d];
          axes_[d].push_back(is_there ? at / problem.input_dilation[d] : outside);
        }
      }
    }
  }

  int64_t along(size_t axis, int64_t place, int64_t tap) const {
    return axes_[axis][static_cast<size_t>(place * problem_.kernel[axis] + tap)];
  }

  /// The input's element 0 under tap (k0, k1, k2) of a place, counted in channels of all images; or
  /// `outside`.
  int64_t element(int64_t image, const int64_t* place, int64_t k0, int64_t k1, int64_t k2) const {
    const int64_t c0 = along(0, place[0], k0);
    const int64_t c1 = along(1, place[1], k1);
    const int64_t c2 = along(2, place[2], k2);
    if (c0 == outside || c1 == outside || c2 == outside) return outside;
    return (((image * problem_.in[0] + c0) * problem_.in[1] + c1) * problem_.in[2] + c2) * problem_.channels;
  }

 private:
  const ConvolutionProblem& problem_;
  std::vector<int64_t> axes_[3];
};

/// Walks over the places of the result, images included, in order.
struct PlaceWalk {
  int64_t image = 0;
  int64_t at[3] = {};

  PlaceWalk(const ConvolutionProblem& problem, int64_t row) {
    for (size_t d = 3; d-- > 0;) {
      at[d] = row % problem.out[d];
      row /= problem.out[d];
    }
    image = row;
  }
  void next(const ConvolutionProblem& problem) {
    for (size_t d = 3; d-- > 0;) {
      if (++at[d] < problem.out[d]) return;
      at[d] = 0;
    }
    ++image;
  }
};

int64_t place_count(const ConvolutionProblem& problem) {
  return problem.batch * problem.out[0] * problem.out[1] * problem.out[2];
}
int64_t tap_count(const ConvolutionProblem& problem) {
  return problem.kernel[0] * problem.kernel[1] * problem.kernel[2];
}

/// One group: a product over all places, of the features' results by the elements under the taps, which are
/// packed straight from the input.
template <typename T>
void group_product(const ConvolutionProblem& problem, const InputPlaces& places, int64_t group,
                   const std::byte* result, T* weights) {
  const int64_t channels = problem.channels / problem.groups;
  const int64_t features = problem.features / problem.groups;
  const LanesView results{result + group * features * problem.dtype.size(), problem.dtype, 1,
                          problem.features};
  const auto pack_a = [&](int64_t first, int64_t count, int64_t k_first, int64_t k_count, int64_t width,
                          T* panels) { pack_panels(results, first, count, k_first, k_count, width, panels); };
  const T* const input = reinterpret_cast<const T*>(problem.input) + group * channels;
  const auto pack_panel = [&](int64_t first, int64_t count, int64_t k_first, int64_t k_count, int64_t width,
                              T* panel) {
    PlaceWalk walk(problem, k_first);
    for (int64_t p = 0; p < k_count; ++p, panel += width, walk.next(problem)) {
      int64_t tap = first / channels;
      int64_t channel = first % channels;
      for (int64_t lane = 0; lane < count; ++tap, channel = 0) {
        const int64_t here = std::min(channels - channel, count - lane);
        const int64_t k2 = tap % problem.kernel[2];
        const int64_t k1 = tap / problem.kernel[2] % problem.kernel[1];
        const int64_t k0 = tap / problem.kernel[2] / problem.kernel[1];
        const int64_t from = places.element(walk.image, walk.at, k0, k1, k2);
        if (from == outside) {
          std::fill_n(panel + lane, here, T{0});
        } else {
          std::copy_n(input + from + channel, here, panel + lane);
        }
        lane += here;
      }
      std::fill(panel + count, panel + width, T{0});
    }
  };
  const auto pack_b = [&](int64_t first, int64_t count, int64_t k_first, int64_t k_count, int64_t width,
                          T* panels) {
    for_each_panel(first, count, k_count, width, panels, [&](int64_t lane, int64_t lanes, T* panel) {
      pack_panel(lane, lanes, k_first, k_count, width, panel);
    });
  };
  const int64_t columns = tap_count(problem) * channels;
  GemmOutput<T> out;
  out.c = weights + group * features * columns;
  out.c_row_stride = columns;
  gemm<T>(gemm_kernel_for<T>(columns), features, columns, place_count(problem),
          GemmLanes<T>::in_memory(pack_a), pack_b, out);
}

template <typename T>
void sum_weights(const ConvolutionProblem& problem, const std::byte* result, std::byte* weights) {
  T* const out = reinterpret_cast<T*>(weights);
  if (is_depthwise(problem))
    return sum_depthwise_weights<T>(problem, reinterpret_cast<const T*>(result), out);
  if (suits_weight_panels<T>(problem)) {
    return sum_weight_panels<T>(problem, reinterpret_cast<const T*>(result), out);
  }
  if (suits_direct_weights(problem)) {
    return sum_weights_direct<T>(problem, reinterpret_cast<const T*>(result), out);
  }
  const InputPlaces places(problem);
  for (int64_t group = 0; group < problem.groups; ++group) {
    group_product<T>(problem, places, group, result, out);
  }
}

}  // namespace

void convolution_weights(const ConvolutionProblem& problem, const std::byte* result, std::byte* weights) {
  const int64_t count =
      problem.features * tap_count(problem) * (problem.channels / std::max<int64_t>(problem.groups, 1));
  if (count == 0) return;
  if (place_count(problem) == 0 || problem.in[0] * problem.in[1] * problem.in[2] == 0) {
    std::fill_n(weights, count * problem.dtype.size(), std::byte{0});
    return;
  }
  if (problem.dtype == float32) return sum_weights<float>(problem, result, weights);
  if (problem.dtype == float64) return sum_weights<double>(problem, result, weights);
  throw std::invalid_argument("[convolution_weights] float32 and float64 only");
}

}  // namespace lazuli::templates
