#include <lazuli/compiler/templates/convolution_weights_panels.h>

#include <algorithm>
#include <vector>

#include <lazuli/compiler/templates/convolution_pack.h>
#include <lazuli/compiler/templates/convolution_places.h>
#include <lazuli/compiler/templates/gemm.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>

namespace lazuli::templates {

namespace {

/// Places of the result that are turned round at a time: whole lines of what that writes.
constexpr int64_t places_a_turn = 64;
constexpr int64_t line_bytes = 64;
/// Of features, in a task at least.
constexpr int64_t fewest_tiles = 4;

int64_t taps_of(const ConvolutionProblem& problem) {
  return problem.kernel[0] * problem.kernel[1] * problem.kernel[2];
}

/// Products over places: rows of a tile are features, columns are channels under a tap, and depths are a
/// block of places. The weights are their sums as they lie. The result is turned round first, so that a
/// feature's places are beside each other.
template <typename T>
class WeightPanels {
 public:
  WeightPanels(const ConvolutionProblem& problem, const T* result, T* weights)
      : problem_(problem),
        result_(result),
        weights_(weights),
        channels_(problem.channels / problem.groups),
        features_(problem.features / problem.groups),
        kernel_(gemm_kernel_for<T>(channels_)),
        width_(kernel_.columns),
        panels_(ceil_div(channels_, width_)),
        tiles_(ceil_div(features_, kernel_.rows)),
        blocks_(problem),
        lines_((blocks_.rows() - 1) * problem.stride[1] +
               (problem.kernel[1] - 1) * problem.kernel_dilation[1] + 1),
        line_places_(blocks_.places() +
                     (problem.kernel[2] - 1) * problem.kernel_dilation[2] / problem.stride[2]),
        place_count_(problem.batch * problem.out[0] * problem.out[1] * problem.out[2]),
        feature_stride_(((place_count_ * size / line_bytes + 1) | 1) * (line_bytes / size)),
        turned_(static_cast<size_t>(problem.features * feature_stride_ * size)) {}

  void run() const {
    turn_round();
    const int64_t cuts = cut_count();
    share_out(problem_.groups * panels_ * cuts, [&](int64_t task) {
      const int64_t cut = task % cuts;
      sum(task / cuts / panels_, task / cuts % panels_, {tiles_ * cut / cuts, tiles_ * (cut + 1) / cuts});
    });
  }

 private:
  static constexpr int64_t size = sizeof(T);

  /// Into how many parts the features are cut: until a task's sums, which lie far apart and so in a part of
  /// the cache's sets, are at home there, and threads are evened out.
  int64_t cut_count() const {
    const int64_t sums = features_ * taps_of(problem_) * width_ * size;
    const int64_t to_fit = ceil_div(sums, cache_sizes().l2 / 4);
    const int64_t wanted_tasks = num_threads() > 1 ? 4 * num_threads() : 1;
    const int64_t to_even_out = ceil_div(wanted_tasks, problem_.groups * panels_);
    return std::clamp<int64_t>(std::max(to_fit, to_even_out), 1, ceil_div(tiles_, fewest_tiles));
  }

  /// turned[feature][place] = result[place][feature], of all images.
  void turn_round() const {
    share_out(ceil_div(place_count_, places_a_turn), [&](int64_t part) {
      const int64_t first = part * places_a_turn;
      interleave_rows(result_ + first * problem_.features, problem_.features,
                      std::min(places_a_turn, place_count_ - first), problem_.features,
                      turned_.template as<T>() + first, feature_stride_);
    });
  }

  /// The weights of some tiles of features by a panel of channels.
  void sum(int64_t group, int64_t panel, const Range& tiles) const {
    const ConvolutionProblem& p = problem_;
    const Scratch elements(static_cast<size_t>(lines_ * line_size() * size));
    std::vector<bool> has_begun(static_cast<size_t>(taps_of(p)));
    const int64_t columns = std::min(width_, channels_ - panel * width_);
    const int64_t channel = group * channels_ + panel * width_;
    for (int64_t index = 0; index < blocks_.count(); ++index) {
      const PlaceBlock block = blocks_[index];
      for (int64_t k0 = 0; k0 < p.kernel[0]; ++k0) {
        const Range slices = places_seeing(p, 0, k0);
        if (block.slice < slices.begin || block.slice >= slices.end) continue;
        pack(block, block.slice * p.stride[0] + tap_offset(p, 0, k0), channel, columns, elements.as<T>());
        for (int64_t k1 = 0; k1 < p.kernel[1]; ++k1) {
          for (int64_t k2 = 0; k2 < p.kernel[2]; ++k2) {
            const int64_t tap = (k0 * p.kernel[1] + k1) * p.kernel[2] + k2;
            std::vector<bool>::reference begun = has_begun[static_cast<size_t>(tap)];
            GemmTile<T> tile;
            tile.accumulate = begun ? 1 : 0;
            tile.columns = columns;
            tile.c = weights_under(tap) + panel * width_;
            begun = sum_tap(block, k1, k2, group, tiles, elements.as<T>(), tile) || begun;
          }
        }
      }
    }
    for (int64_t tap = 0; tap < taps_of(p); ++tap) {
      if (has_begun[static_cast<size_t>(tap)]) continue;
      for (int64_t f = first_feature(tiles.begin); f < first_feature(tiles.end); ++f) {
        std::fill_n(weights_under(tap) + (group * features_ + f) * weight_stride() + panel * width_, columns,
                    T{0});
      }
    }
  }
  /// Tiles are of about one size.
  int64_t first_feature(int64_t tile) const { return features_ * tile / tiles_; }
  T* weights_under(int64_t tap) const {
    return weights_ + (problem_.flip ? taps_of(problem_) - 1 - tap : tap) * channels_;
  }
  int64_t weight_stride() const { return taps_of(problem_) * channels_; }

  /// Packed elements of a line of the input: those under the same tap of places beside each other are so,
  /// too. So each of the places a step goes over begins a stretch of its own.
  int64_t line_size() const { return problem_.stride[2] * line_places_ * width_; }

  /// Whether some place sees what is so far behind what the first one of a block sees.
  bool is_seen(size_t axis, int64_t behind) const {
    for (int64_t tap = 0; tap < problem_.kernel[axis]; ++tap) {
      const int64_t from_tap = behind - tap * problem_.kernel_dilation[axis];
      if (from_tap >= 0 && from_tap % problem_.stride[axis] == 0) return true;
    }
    return false;
  }

  /// Elements [channel, channel + columns) of a slice of the input that a block sees, as far as they are
  /// there.
  void pack(const PlaceBlock& block, int64_t slice, int64_t channel, int64_t columns, T* elements) const {
    const ConvolutionProblem& p = problem_;
    const T* const input = reinterpret_cast<const T*>(p.input) +
                           (block.image * p.in[0] + slice) * p.in[1] * p.in[2] * p.channels + channel;
    const int64_t first_row = block.row * p.stride[1] - p.padding[1];
    const int64_t first_place = block.place * p.stride[2] - p.padding[2];
    const int64_t reach = (p.kernel[2] - 1) * p.kernel_dilation[2] + (block.places - 1) * p.stride[2] + 1;
    const Range places = Range{-first_place, p.in[2] - first_place}.within(0, reach);
    for (int64_t line = 0; line < lines_; ++line) {
      const int64_t row = first_row + line;
      if (row < 0 || row >= p.in[1] || !is_seen(1, line)) continue;
      const T* const from = input + (row * p.in[2] + first_place) * p.channels;
      for (int64_t start = 0; start < p.stride[2]; ++start) {
        T* const to = elements + line * line_size() + start * line_places_ * width_;
        const int64_t first = places.begin <= start ? 0 : ceil_div(places.begin - start, p.stride[2]);
        for (int64_t i = first; start + i * p.stride[2] < places.end; ++i) {
          std::copy_n(from + (start + i * p.stride[2]) * p.channels, columns, to + i * width_);
          std::fill(to + i * width_ + columns, to + (i + 1) * width_, T{0});
        }
      }
    }
  }

  /// Adds what the places of a block see under a tap to the weights of some features; whether they see any.
  bool sum_tap(const PlaceBlock& block, int64_t k1, int64_t k2, int64_t group, const Range& tiles,
               const T* elements, GemmTile<T> tile) const {
    const ConvolutionProblem& p = problem_;
    const Range rows = places_seeing(p, 1, k1).within(block.row, block.row + block.rows);
    const Range places = places_seeing(p, 2, k2).within(block.place, block.place + block.places);
    if (rows.count() == 0 || places.count() == 0) return false;
    tile.k = places.count();
    tile.runs = rows.count();
    tile.a_row_stride = feature_stride_;
    tile.a_k_stride = 1;
    tile.a_run_stride = p.out[2];
    const int64_t line = (rows.begin - block.row) * p.stride[1] + k1 * p.kernel_dilation[1];
    const int64_t across = k2 * p.kernel_dilation[2];
    const int64_t stretch = across % p.stride[2] * line_places_;
    tile.b = elements + line * line_size() +
             (stretch + across / p.stride[2] + places.begin - block.place) * width_;
    tile.b_k_stride = width_;
    tile.b_run_stride = p.stride[1] * line_size();
    tile.c_row_stride = weight_stride();
    const int64_t first_place =
        ((block.image * p.out[0] + block.slice) * p.out[1] + rows.begin) * p.out[2] + places.begin;
    T* const c = tile.c;
    for (int64_t i = tiles.begin; i < tiles.end; ++i) {
      const int64_t feature = group * features_ + first_feature(i);
      tile.rows = first_feature(i + 1) - first_feature(i);
      tile.a = turned_.template as<T>() + feature * feature_stride_ + first_place;
      tile.c = c + feature * weight_stride();
      kernel_.run(tile);
    }
    return true;
  }

  const ConvolutionProblem& problem_;
  const T* result_;
  T* weights_;
  int64_t channels_;  ///< of a group
  int64_t features_;  ///< of a group
  const GemmKernel<T>& kernel_;
  int64_t width_;   ///< of a panel of channels
  int64_t panels_;  ///< of a group
  int64_t tiles_;   ///< of a group's features
  PlaceBlocks blocks_;
  int64_t lines_;        ///< of the input that a block sees
  int64_t line_places_;  ///< of a line's stretch
  int64_t place_count_;
  int64_t feature_stride_;  ///< an odd number of lines, so that features have different sets of a cache
  Scratch turned_;
};

}  // namespace

template <typename T>
bool suits_weight_panels(const ConvolutionProblem& problem) {
  const int64_t channels = problem.channels / problem.groups;
  const int64_t features = problem.features / problem.groups;
  const int64_t sums = problem.features * taps_of(problem) * channels * static_cast<int64_t>(sizeof(T));
  return problem.input_dilation == ConvolutionProblem::Extents{1, 1, 1} && sums > cache_sizes().l2 / 2 &&
         channels >= gemm_kernel<T>().columns && features >= fewest_tiles * gemm_kernel_for<T>(channels).rows;
}

template <typename T>
void sum_weight_panels(const ConvolutionProblem& problem, const T* result, T* weights) {
  WeightPanels<T>(problem, result, weights).run();
}

template bool suits_weight_panels<float>(const ConvolutionProblem&);
template bool suits_weight_panels<double>(const ConvolutionProblem&);
template void sum_weight_panels<float>(const ConvolutionProblem&, const float*, float*);
template void sum_weight_panels<double>(const ConvolutionProblem&, const double*, double*);

}  // namespace lazuli::templates
