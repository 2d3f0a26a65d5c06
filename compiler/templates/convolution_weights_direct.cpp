#include <lazuli/compiler/templates/convolution_weights_direct.h>

#include <algorithm>
#include <vector>

#include <lazuli/compiler/templates/convolution_pack.h>
#include <lazuli/compiler/templates/convolution_places.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>

namespace lazuli::templates {

namespace {

/// Features, elements beside each other, and places beside each other that a tile should have at least.
constexpr int64_t fewest_features = 16;
constexpr int64_t fewest_elements = 8;
constexpr int64_t fewest_places = 4;
/// Tiles that use the same features of these places at least, for copying them side by side to pay.
constexpr int64_t fewest_tiles_to_pack = 4;
/// Below so many tiles to a tap, taps beside each other are taken together, from copies of rows with zeros
/// beyond their ends.
constexpr int64_t fewest_tiles_a_tap = 2;

/// Whether channels of taps that are beside each other follow on.
bool follow_on(const ConvolutionProblem& problem) {
  return problem.groups == 1 && problem.kernel_dilation[2] == 1;
}

/// Products over places: rows of a tile are elements of the input that lie beside each other (the channels
/// under one tap, or where they are few under a row of the kernel: a line), columns are features, and depths
/// are a block of places. Sums are kept as [tap][channel][feature] and turned round at the end.
template <typename T>
class WeightSums {
 public:
  WeightSums(const ConvolutionProblem& problem, const T* result)
      : problem_(problem),
        result_(result),
        channels_(problem.channels / problem.groups),
        features_(problem.features / problem.groups),
        kernel_(gemm_kernel_for<T>(features_)),
        panels_(ceil_div(features_, kernel_.columns)),
        taps_abreast_(follow_on(problem) && channels_ < fewest_tiles_a_tap * kernel_.rows ? problem.kernel[2]
                                                                                          : 1),
        abreast_(taps_abreast_ * channels_),
        tiles_(ceil_div(abreast_, kernel_.rows)),
        first_place_(-problem.padding[2]),
        padded_((problem.out[2] - 1) * problem.stride[2] +
                (problem.kernel[2] - 1) * problem.kernel_dilation[2] + 1),
        is_padded_(taps_abreast_ > 1 && (first_place_ < 0 || first_place_ + padded_ > problem.in[2])),
        blocks_(problem),
        copies_(static_cast<size_t>(is_padded_ ? row_count() * padded_ * problem.channels : 0) * size),
        parts_(part_count()),
        sums_(static_cast<size_t>(parts_ * sum_count()) * size) {}

  void run(T* weights) const {
    if (is_padded_) copy_rows();
    if (keeps_all_sums()) {
      share_out(parts_, [&](int64_t part) {
        const Range blocks{blocks_.count() * part / parts_, blocks_.count() * (part + 1) / parts_};
        sum({blocks, {0, line_count()}, {0, panels_}, {0, tiles_}}, sums_of(part));
      });
    } else {
      const int64_t cuts = std::clamp<int64_t>(ceil_div(wanted_tasks(), line_count() * panels_), 1, tiles_);
      share_out(line_count() * panels_ * cuts, [&](int64_t task) {
        const int64_t cut = task % cuts;
        const int64_t line = task / cuts % line_count();
        const int64_t panel = task / cuts / line_count();
        sum({{0, blocks_.count()},
             {line, line + 1},
             {panel, panel + 1},
             {tiles_ * cut / cuts, tiles_ * (cut + 1) / cuts}},
            sums_of(0));
      });
    }
    turn_round(weights);
  }

 private:
  static constexpr size_t size = sizeof(T);

  /// Blocks of places to add up, and which sums they go to.
  struct Task {
    Range blocks;
    Range lines;   ///< of the kernel, those of all groups counted
    Range panels;  ///< of a group's features
    Range tiles;   ///< of a line's elements
  };

  int64_t row_count() const { return problem_.batch * problem_.in[0] * problem_.in[1]; }
  int64_t taps() const { return problem_.kernel[0] * problem_.kernel[1] * problem_.kernel[2]; }
  int64_t line_count() const { return problem_.groups * (taps() / taps_abreast_); }
  int64_t sum_count() const { return problem_.groups * taps() * channels_ * features_; }
  T* sums_of(int64_t part) const { return sums_.template as<T>() + part * sum_count(); }

  /// Four tasks a thread even out what threads differ by.
  static int64_t wanted_tasks() { return num_threads() > 1 ? 4 * num_threads() : 1; }

  bool sums_fit() const { return sum_count() * static_cast<int64_t>(size) <= cache_sizes().l2 / 2; }
  /// Whether a task adds to all sums, for which the second-level cache has room then: what a block needs is
  /// read once for all of them.
  bool keeps_all_sums() const { return sums_fit() && (parts_ > 1 || wanted_tasks() == 1); }
  /// Into how many parts the places are cut, with sums of their own: as many as there are tasks, if adding
  /// them up is little beside what is read.
  int64_t part_count() const {
    const ConvolutionProblem& p = problem_;
    const int64_t places = p.batch * p.out[0] * p.out[1] * p.out[2];
    const int64_t read = row_count() * p.in[2] * p.channels + places * p.features;
    const int64_t wanted = wanted_tasks();
    return sums_fit() && blocks_.count() >= wanted && wanted * sum_count() <= read / 2 ? wanted : 1;
  }

  /// Rows of the input as places see them, with zeros beyond their ends.
  void copy_rows() const {
    const int64_t elements = padded_ * problem_.channels;
    const int64_t begin = std::clamp<int64_t>(-first_place_ * problem_.channels, 0, elements);
    const int64_t end =
        std::clamp<int64_t>((problem_.in[2] - first_place_) * problem_.channels, begin, elements);
    share_out(row_count(), [&](int64_t row) {
      T* const to = copies_.template as<T>() + row * elements;
      const T* const from = input() + (row * problem_.in[2] + first_place_) * problem_.channels;
      std::fill_n(to, begin, T{0});
      if (begin < end) std::copy_n(from + begin, end - begin, to + begin);
      std::fill_n(to + end, elements - end, T{0});
    });
  }
  const T* input() const { return reinterpret_cast<const T*>(problem_.input); }
  /// Elements from one row of the input to the next, and the one at a coordinate.
  int64_t row_stride() const { return (is_padded_ ? padded_ : problem_.in[2]) * problem_.channels; }
  const T* element(int64_t image, int64_t slice, int64_t row, int64_t place) const {
    const T* const rows = is_padded_ ? copies_.template as<T>() - first_place_ * problem_.channels : input();
    return rows + ((image * problem_.in[0] + slice) * problem_.in[1] + row) * row_stride() +
           place * problem_.channels;
  }

  void sum(const Task& task, T* sums) const {
    const int64_t lines_a_group = line_count() / problem_.groups;
    const bool packs =
        problem_.features != kernel_.columns &&
        task.tiles.count() * std::min(task.lines.count(), lines_a_group) >= fewest_tiles_to_pack;
    const Scratch memory(
        packs ? static_cast<size_t>(blocks_.rows() * blocks_.places() * kernel_.columns) * size : 0);
    std::vector<bool> has_begun(static_cast<size_t>(line_count() * panels_));
    for (int64_t index = task.blocks.begin; index < task.blocks.end; ++index) {
      const PlaceBlock at = blocks_[index];
      for (int64_t group = task.lines.begin / lines_a_group; group * lines_a_group < task.lines.end;
           ++group) {
        const Range lines = task.lines.within(group * lines_a_group, (group + 1) * lines_a_group);
        for (int64_t panel = task.panels.begin; panel < task.panels.end; ++panel) {
          const GemmTile<T> features = features_under(at, group, panel, packs ? memory.as<T>() : nullptr);
          for (int64_t line = lines.begin; line < lines.end; ++line) {
            std::vector<bool>::reference begun = has_begun[static_cast<size_t>(line * panels_ + panel)];
            begun = sum_line(at, line, panel, task.tiles, features, begun, sums) || begun;
          }
        }
      }
    }
    for (int64_t line = task.lines.begin; line < task.lines.end; ++line) {
      for (int64_t panel = task.panels.begin; panel < task.panels.end; ++panel) {
        if (has_begun[static_cast<size_t>(line * panels_ + panel)]) continue;
        const int64_t columns = columns_of(panel);
        for (int64_t i = first_element(task.tiles.begin); i < first_element(task.tiles.end); ++i) {
          std::fill_n(sums + (line * abreast_ + i) * features_ + panel * kernel_.columns, columns, T{0});
        }
      }
    }
  }
  int64_t columns_of(int64_t panel) const {
    return std::min(kernel_.columns, features_ - panel * kernel_.columns);
  }
  /// Tiles are of about one size.
  int64_t first_element(int64_t tile) const { return abreast_ * tile / tiles_; }

  /// The right operand of tiles over a block, which is copied to `memory` unless that is null.
  GemmTile<T> features_under(const PlaceBlock& block, int64_t group, int64_t panel, T* memory) const {
    const ConvolutionProblem& p = problem_;
    GemmTile<T> tile;
    tile.columns = columns_of(panel);
    tile.b = result_ +
             (((block.image * p.out[0] + block.slice) * p.out[1] + block.row) * p.out[2] + block.place) *
                 p.features +
             group * features_ + panel * kernel_.columns;
    tile.b_k_stride = p.features;
    tile.b_run_stride = p.out[2] * p.features;
    tile.b_columns = tile.columns;
    if (memory == nullptr) return tile;
    const int64_t width = kernel_.columns;
    T* to = memory;
    for (int64_t row = 0; row < block.rows; ++row) {
      for (int64_t place = 0; place < block.places; ++place, to += width) {
        std::copy_n(tile.b + row * tile.b_run_stride + place * tile.b_k_stride, tile.columns, to);
        std::fill(to + tile.columns, to + width, T{0});
      }
    }
    tile.b = memory;
    tile.b_k_stride = width;
    tile.b_run_stride = block.places * width;
    tile.b_columns = 0;
    return tile;
  }

  /// Adds up, or with `adds` adds to what is there, the products of places that see a line of the kernel.
  /// Whether there are any.
  bool sum_line(const PlaceBlock& block, int64_t line, int64_t panel, const Range& tiles, GemmTile<T> tile,
                bool adds, T* sums) const {
    const ConvolutionProblem& p = problem_;
    const int64_t lines_a_group = line_count() / p.groups;
    const int64_t lines_across = p.kernel[2] / taps_abreast_;
    const int64_t at = line % lines_a_group;
    const int64_t k0 = at / lines_across / p.kernel[1];
    const int64_t k1 = at / lines_across % p.kernel[1];
    const int64_t k2 = at % lines_across;
    const Range slices = places_seeing(p, 0, k0);
    if (block.slice < slices.begin || block.slice >= slices.end) return false;
    const Range rows = places_seeing(p, 1, k1).within(block.row, block.row + block.rows);
    const Range all{0, p.out[2]};
    const Range places =
        (is_padded_ ? all : places_seeing(p, 2, k2)).within(block.place, block.place + block.places);
    if (rows.count() == 0 || places.count() == 0) return false;
    tile.k = places.count();
    tile.runs = rows.count();
    tile.a_row_stride = 1;
    tile.a_k_stride = p.stride[2] * p.channels;
    tile.a_run_stride = p.stride[1] * row_stride();
    tile.b += (rows.begin - block.row) * tile.b_run_stride + (places.begin - block.place) * tile.b_k_stride;
    tile.c_row_stride = features_;
    tile.accumulate = adds ? 1 : 0;
    const T* const a = element(block.image, block.slice * p.stride[0] + tap_offset(p, 0, k0),
                               rows.begin * p.stride[1] + tap_offset(p, 1, k1),
                               places.begin * p.stride[2] + tap_offset(p, 2, k2)) +
                       line / lines_a_group * channels_;
    T* const c = sums + line * abreast_ * features_ + panel * kernel_.columns;
    for (int64_t i = tiles.begin; i < tiles.end; ++i) {
      const int64_t first = first_element(i);
      tile.rows = first_element(i + 1) - first;
      tile.a = a + first;
      tile.c = c + first * features_;
      kernel_.run(tile);
    }
    return true;
  }

  /// weights[feature][tap][channel], in the order in which the kernel's elements are counted, of the sums of
  /// all parts.
  void turn_round(T* weights) const {
    const int64_t slices = ceil_div(channels_, channels_a_slice);
    share_out(problem_.groups * taps() * slices, [&](int64_t part) {
      const int64_t first = part % slices * channels_a_slice;
      const int64_t channels = std::min(channels_a_slice, channels_ - first);
      const int64_t group = part / slices / taps();
      const int64_t tap = part / slices % taps();
      const int64_t to = problem_.flip ? taps() - 1 - tap : tap;
      const int64_t from = (part / slices * channels_ + first) * features_;
      T* const sums = sums_of(0) + from;
      for (int64_t other = 1; other < parts_; ++other) {
        const T* const more = sums_of(other) + from;
        for (int64_t i = 0; i < channels * features_; ++i) sums[i] += more[i];
      }
      interleave_columns(sums, channels, weights + (group * features_ * taps() + to) * channels_ + first);
    });
  }
  void interleave_columns(const T* sums, int64_t channels, T* weights) const {
    const int64_t stride = taps() * channels_;
    if constexpr (std::is_same_v<T, float>) {
      if (channels >= 4) return kernels().transpose(sums, features_, channels, features_, weights, stride);
    }
    for (int64_t f = 0; f < features_; ++f) {
      for (int64_t c = 0; c < channels; ++c) weights[f * stride + c] = sums[c * features_ + f];
    }
  }
  static constexpr int64_t channels_a_slice = 32;

  const ConvolutionProblem& problem_;
  const T* result_;
  int64_t channels_;  ///< of a group
  int64_t features_;  ///< of a group
  const GemmKernel<T>& kernel_;
  int64_t panels_;
  int64_t taps_abreast_;
  int64_t abreast_;  ///< elements of a line
  int64_t tiles_;    ///< of a line
  int64_t first_place_;
  int64_t padded_;  ///< places of the input that a row of the result sees
  bool is_padded_;
  PlaceBlocks blocks_;
  Scratch copies_;
  int64_t parts_;
  Scratch sums_;
};

}  // namespace

bool suits_direct_weights(const ConvolutionProblem& problem) {
  const int64_t channels = problem.channels / problem.groups;
  const bool is_apart = problem.input_dilation != ConvolutionProblem::Extents{1, 1, 1};
  return !is_apart && problem.features / problem.groups >= fewest_features &&
         (follow_on(problem) ? problem.kernel[2] : 1) * channels >= fewest_elements &&
         problem.out[2] >= fewest_places;
}

template <typename T>
void sum_weights_direct(const ConvolutionProblem& problem, const T* result, T* weights) {
  WeightSums<T>(problem, result).run(weights);
}

template void sum_weights_direct<float>(const ConvolutionProblem&, const float*, float*);
template void sum_weights_direct<double>(const ConvolutionProblem&, const double*, double*);

}  // namespace lazuli::templates
