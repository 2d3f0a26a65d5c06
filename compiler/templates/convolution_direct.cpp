#include <lazuli/compiler/templates/convolution_direct.h>

#include <algorithm>
#include <vector>

#include <lazuli/compiler/templates/convolution_pack.h>
#include <lazuli/compiler/templates/convolution_places.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>
#include <lazuli/compiler/templates/shared_taps.h>
#include <lazuli/compiler/templates/tap_tile.h>

namespace lazuli::templates {

namespace {

/// Depths that a tile should have at least, for what it takes to load and store its results.
constexpr int64_t fewest_depths = 16;
/// Places beside each other that a tile should have at least.
constexpr int64_t fewest_places = 4;
/// Places of a task: the weights are read once for all of them.
constexpr int64_t places_a_task = 224;

/// Whether taps side by side along the last axis lie one after another in the input, as their channels do.
bool is_merged(const ConvolutionProblem& problem, const TapClass& taps) {
  const std::vector<Tap>& last = taps.axes[2].taps;
  for (size_t i = 1; i < last.size(); ++i) {
    if (last[i].base != last[i - 1].base + 1) return false;
  }
  return problem.groups == 1;
}

template <typename T>
class DirectConvolution {
 public:
  DirectConvolution(const ConvolutionProblem& problem, const TapClass& taps)
      : problem_(problem),
        taps_(taps),
        channels_(problem.channels / problem.groups),
        features_(problem.features / problem.groups),
        tap_kernel_(shared_tap_kernel<T>(problem, taps)),
        kernel_(gemm_kernel_for<T>(features_)),
        width_(tap_kernel_ != nullptr ? tap_kernel_->columns : kernel_.columns),
        tile_rows_(tap_kernel_ != nullptr ? tap_kernel_->rows : kernel_.rows),
        depths_(taps.tap_count() * channels_),
        panels_(ceil_div(features_, width_)),
        weights_(static_cast<size_t>(problem.groups * panels_ * depths_ * width_) * sizeof(T)) {
    const auto last_taps = static_cast<int64_t>(taps.axes[2].taps.size());
    taps_a_run_ = is_merged(problem, taps) ? last_taps : 1;
    const auto [low, high] = std::minmax_element(taps.axes[2].taps.begin(), taps.axes[2].taps.end(),
                                                 [](const Tap& a, const Tap& b) { return a.base < b.base; });
    lowest_tap_ = low->base;
    highest_tap_ = high->base;
    const AxisTaps& across = taps.axes[2];
    const int64_t before = -lowest_tap_;
    const int64_t after = (across.count - 1) * across.in_step + highest_tap_ - problem.in[2] + 1;
    // Tiles whose taps share what they load do without some elements at the ends of rows.
    const int64_t most_missing = tap_kernel_ != nullptr ? last_taps / 2 : 0;
    is_padded_ = before > most_missing || after > most_missing;
    if (tap_kernel_ != nullptr) zeros_.assign(static_cast<size_t>(channels_), T{0});
    cut();
  }

  void run() const {
    pack_weights();
    const AxisTaps* const axes = taps_.axes;
    const int64_t blocks = ceil_div(axes[1].count, rows_);
    const int64_t segments = ceil_div(axes[2].count, places_);
    const int64_t feature_parts = ceil_div(problem_.groups * panels_, panels_a_task_);
    share_out(problem_.batch * axes[0].count * blocks * segments * feature_parts, [&](int64_t part) {
      Task task;
      task.place = part % segments * places_;
      task.places = std::min(places_, axes[2].count - task.place);
      part /= segments;
      task.row = part % blocks * rows_;
      task.rows = std::min(rows_, axes[1].count - task.row);
      part /= blocks;
      task.slice = part % axes[0].count;
      part /= axes[0].count;
      task.image = part % problem_.batch;
      task.first_panel = part / problem_.batch * panels_a_task_;
      task.end_panel = std::min(task.first_panel + panels_a_task_, problem_.groups * panels_);
      run_task(task);
    });
  }

 private:
  /// A block of places, for some panels of features, those of all groups counted.
  struct Task : PlaceBlock {
    int64_t first_panel = 0;
    int64_t end_panel = 0;
  };

  /// Rows of the input as a task sees them, from the coordinate of its first place's lowest tap on; null
  /// where they are outside.
  struct InputRows {
    int64_t first_row = 0;
    int64_t rows_a_slice = 0;
    std::vector<const T*> rows;
    const T* at(size_t slice_tap, int64_t row) const {
      return rows[slice_tap * static_cast<size_t>(rows_a_slice) + static_cast<size_t>(row - first_row)];
    }
  };

  /// Elements of a task's row of the input.
  int64_t row_elements(int64_t places) const {
    return ((places - 1) * taps_.axes[2].in_step + highest_tap_ - lowest_tap_ + 1) * problem_.channels;
  }
  /// Rows of the input that so many rows of the result see.
  int64_t rows_seen(int64_t rows) const {
    const std::vector<Tap>& down = taps_.axes[1].taps;
    return (rows - 1) * taps_.axes[1].in_step + down.back().base - down.front().base + 1;
  }

  /// Decides how large tasks are.
  void cut() {
    const AxisTaps* const axes = taps_.axes;
    const int64_t segments = axes[2].count > 2 * places_a_task ? ceil_div(axes[2].count, places_a_task) : 1;
    places_ = std::min(round_up(ceil_div(axes[2].count, segments), tile_rows_), axes[2].count);
    rows_ = std::clamp<int64_t>(places_a_task / places_, 1, axes[1].count);
    const auto slices = static_cast<int64_t>(axes[0].taps.size());
    const auto bytes = [&] {
      return slices * rows_seen(rows_) * row_elements(places_) * static_cast<int64_t>(sizeof(T));
    };
    while (rows_ > 1 && bytes() > cache_sizes().l2 / 2) rows_ = ceil_div(rows_, 2);
    // A task's weights stay in the second-level cache from one block of places to the next.
    const int64_t panel_bytes = depths_ * width_ * static_cast<int64_t>(sizeof(T));
    const int64_t all_panels = problem_.groups * panels_;
    const int64_t panel_parts =
        ceil_div(all_panels, std::clamp<int64_t>(cache_sizes().l2 / 2 / panel_bytes, 1, all_panels));
    const int64_t blocks =
        problem_.batch * axes[0].count * ceil_div(axes[1].count, rows_) * ceil_div(axes[2].count, places_);
    const int64_t wanted = num_threads() > 1 ? 4 * num_threads() : 1;
    panels_a_task_ =
        ceil_div(all_panels, std::clamp<int64_t>(ceil_div(wanted, blocks), panel_parts, all_panels));
  }

  void pack_weights() const {
    share_out(problem_.groups * panels_, [&](int64_t panel) {
      const int64_t first = panel % panels_ * width_;
      const int64_t count = std::min(width_, features_ - first);
      if (tap_kernel_ != nullptr) {
        pack_abreast_weights(problem_, taps_, panel / panels_, first, count, width_, weights_panel(panel));
      } else {
        pack_convolution_weights(problem_, taps_, panel / panels_, first, count, 0, depths_, width_,
                                 weights_panel(panel));
      }
    });
  }
  T* weights_panel(int64_t panel) const { return weights_.template as<T>() + panel * depths_ * width_; }

  /// The rows of the input under a task; where places see beyond their ends, copies with zeros there.
  InputRows input_rows(const Task& task, T* copies) const {
    const AxisTaps* const axes = taps_.axes;
    InputRows result;
    // Taps of a flipped kernel come in the order of the input all the same.
    result.first_row = task.row * axes[1].in_step + axes[1].taps.front().base;
    result.rows_a_slice = rows_seen(task.rows);
    const int64_t elements = row_elements(task.places);
    const int64_t first = task.place * axes[2].in_step + lowest_tap_;
    const int64_t begin = std::clamp<int64_t>(-first * problem_.channels, 0, elements);
    const int64_t end = std::clamp<int64_t>((problem_.in[2] - first) * problem_.channels, begin, elements);
    const auto* const input = reinterpret_cast<const T*>(problem_.input);
    for (const Tap& tap : axes[0].taps) {
      const int64_t slice = task.slice * axes[0].in_step + tap.base;
      for (int64_t i = 0; i < result.rows_a_slice; ++i) {
        const int64_t row = result.first_row + i;
        if (slice < 0 || slice >= problem_.in[0] || row < 0 || row >= problem_.in[1]) {
          result.rows.push_back(nullptr);
          continue;
        }
        const int64_t place =
            ((task.image * problem_.in[0] + slice) * problem_.in[1] + row) * problem_.in[2] + first;
        if (!is_padded_) {
          result.rows.push_back(input + place * problem_.channels);
          continue;
        }
        std::fill_n(copies, begin, T{0});
        if (begin < end) std::copy_n(input + place * problem_.channels + begin, end - begin, copies + begin);
        std::fill_n(copies + end, elements - end, T{0});
        result.rows.push_back(copies);
        copies += elements;
      }
    }
    return result;
  }

  void run_task(const Task& task) const {
    const auto slices = static_cast<int64_t>(taps_.axes[0].taps.size());
    const int64_t copied = is_padded_ ? slices * rows_seen(task.rows) * row_elements(task.places) : 0;
    const Scratch memory(static_cast<size_t>(copied) * sizeof(T));
    const InputRows rows = input_rows(task, memory.as<T>());
    for (int64_t panel = task.first_panel; panel < task.end_panel; ++panel) {
      for (int64_t i = 0; i < task.rows; ++i) {
        if (tap_kernel_ != nullptr) {
          multiply_row_abreast(task, i, panel, rows);
        } else {
          multiply_row(task, i, panel, rows);
        }
      }
    }
  }

  /// The first result of row i of a task, in a panel's first feature.
  T* result(const Task& task, int64_t i, int64_t panel) const {
    const AxisTaps* const axes = taps_.axes;
    const int64_t row =
        ((task.image * axes[0].count + task.slice) * axes[1].count + task.row + i) * axes[2].count +
        task.place;
    return reinterpret_cast<T*>(problem_.output) + taps_.result_of(row) * problem_.features +
           panel / panels_ * features_ + panel % panels_ * width_;
  }
  int64_t columns(int64_t panel) const { return std::min(width_, features_ - panel % panels_ * width_); }
  int64_t result_step() const { return taps_.axes[2].step * problem_.features; }

  /// The results of row i of a task for a panel of features.
  void multiply_row(const Task& task, int64_t i, int64_t panel, const InputRows& rows) const {
    const std::vector<Tap>& down = taps_.axes[1].taps;
    const std::vector<Tap>& across = taps_.axes[2].taps;
    const int64_t first_row = (task.row + i) * taps_.axes[1].in_step;
    const T* weights = weights_panel(panel);
    GemmTile<T> tile;
    tile.k = taps_a_run_ * channels_;
    tile.a_row_stride = taps_.axes[2].in_step * problem_.channels;
    tile.a_k_stride = 1;
    tile.b_k_stride = width_;
    tile.b_run_stride = tile.k * tile.b_k_stride;
    tile.c_row_stride = result_step();
    tile.columns = columns(panel);
    const bool is_merged = taps_a_run_ == static_cast<int64_t>(across.size());
    if (!is_merged) {
      tile.runs = static_cast<int64_t>(across.size());
      tile.a_run_stride = (across[1].base - across[0].base) * problem_.channels;
    }
    const int64_t depths_a_row = static_cast<int64_t>(across.size()) * channels_;
    const int64_t first_channel = panel / panels_ * channels_;
    for (size_t slice = 0; slice < taps_.axes[0].taps.size(); ++slice) {
      for (size_t tap = 0; tap < down.size();) {
        const T* const row = rows.at(slice, first_row + down[tap].base);
        size_t next = tap + 1;
        if (row != nullptr) {
          // Rows that are there are as far apart as their taps.
          if (is_merged) {
            while (next < down.size() && rows.at(slice, first_row + down[next].base) != nullptr) ++next;
            tile.runs = static_cast<int64_t>(next - tap);
            if (next > tap + 1) tile.a_run_stride = rows.at(slice, first_row + down[tap + 1].base) - row;
          }
          tile.a = row + first_channel;
          tile.b = weights + static_cast<int64_t>(tap) * depths_a_row * width_;
          multiply_places(tile, task.places, result(task, i, panel));
          tile.accumulate = 1;
        }
        tap = next;
      }
      weights += static_cast<int64_t>(down.size()) * depths_a_row * width_;
    }
    if (tile.accumulate == 0) clear_row(task, i, panel);
  }

  /// The same by tiles whose taps share what they load.
  void multiply_row_abreast(const Task& task, int64_t i, int64_t panel, const InputRows& rows) const {
    const std::vector<Tap>& down = taps_.axes[1].taps;
    const auto across = static_cast<int64_t>(taps_.axes[2].taps.size());
    const int64_t first_row = (task.row + i) * taps_.axes[1].in_step;
    const T* weights = weights_panel(panel);
    TapTile<T> tile;
    tile.k = channels_;
    tile.a_row_stride = problem_.channels;
    tile.c_row_stride = result_step();
    tile.columns = columns(panel);
    tile.zeros = zeros_.data();
    for (size_t slice = 0; slice < taps_.axes[0].taps.size(); ++slice) {
      for (size_t tap = 0; tap < down.size();) {
        const T* const row = rows.at(slice, first_row + down[tap].base);
        size_t next = tap + 1;
        if (row != nullptr) {
          while (next < down.size() && rows.at(slice, first_row + down[next].base) != nullptr) ++next;
          tile.runs = static_cast<int64_t>(next - tap);
          if (tile.runs > 1) tile.a_run_stride = rows.at(slice, first_row + down[tap + 1].base) - row;
          tile.a = row + panel / panels_ * channels_;
          tile.b = weights + static_cast<int64_t>(tap) * across * channels_ * width_;
          multiply_places_abreast(tile, task, result(task, i, panel));
          tile.accumulate = 1;
        }
        tap = next;
      }
      weights += static_cast<int64_t>(down.size()) * across * channels_ * width_;
    }
    if (tile.accumulate == 0) clear_row(task, i, panel);
  }
  void multiply_places_abreast(TapTile<T> tile, const Task& task, T* c) const {
    const T* const a = tile.a;
    const int64_t step = taps_.axes[2].in_step;
    const int64_t tiles = ceil_div(task.places, tile_rows_);
    for (int64_t i = 0; i < tiles; ++i) {
      const int64_t place = task.places * i / tiles;
      tile.rows = task.places * (i + 1) / tiles - place;
      tile.a = a + place * step * tile.a_row_stride;
      tile.c = c + place * tile.c_row_stride;
      if (!is_padded_) {
        const int64_t first = (task.place + place) * step + lowest_tap_;
        const int64_t last = (task.place + place + tile.rows - 1) * step + highest_tap_;
        tile.missing_before = std::max<int64_t>(-first, 0);
        tile.missing_after = std::max<int64_t>(last - (problem_.in[2] - 1), 0);
      }
      tap_kernel_->run(tile);
    }
  }

  /// All places of a row, in tiles of about one size.
  void multiply_places(GemmTile<T> tile, int64_t places, T* c) const {
    const T* const a = tile.a;
    const int64_t tiles = ceil_div(places, tile_rows_);
    for (int64_t i = 0; i < tiles; ++i) {
      const int64_t place = places * i / tiles;
      tile.rows = places * (i + 1) / tiles - place;
      tile.a = a + place * tile.a_row_stride;
      tile.c = c + place * tile.c_row_stride;
      kernel_.run(tile);
    }
  }

  void clear_row(const Task& task, int64_t i, int64_t panel) const {
    T* const c = result(task, i, panel);
    for (int64_t place = 0; place < task.places; ++place) {
      std::fill_n(c + place * result_step(), columns(panel), T{0});
    }
  }

  const ConvolutionProblem& problem_;
  const TapClass& taps_;
  int64_t channels_;                ///< of a group
  int64_t features_;                ///< of a group
  const TapKernel<T>* tap_kernel_;  ///< if not null, instead of the other
  const GemmKernel<T>& kernel_;
  int64_t width_;      ///< columns of a panel
  int64_t tile_rows_;  ///< of a full tile
  int64_t depths_;
  int64_t panels_;  ///< of a group's features
  Scratch weights_;
  int64_t taps_a_run_ = 1;
  int64_t lowest_tap_ = 0;
  int64_t highest_tap_ = 0;
  bool is_padded_ = false;
  std::vector<T> zeros_;  ///< what tiles read for elements that are not there
  int64_t places_ = 1;
  int64_t rows_ = 1;
  int64_t panels_a_task_ = 1;
};

}  // namespace

bool suits_direct_convolution(const ConvolutionProblem& problem, const TapClass& taps) {
  if (taps.tap_count() == 0 || taps.place_count() == 0) return false;
  const int64_t channels = problem.channels / problem.groups;
  const auto last_taps = static_cast<int64_t>(taps.axes[2].taps.size());
  const int64_t run = is_merged(problem, taps) ? last_taps * channels : channels;
  return run >= fewest_depths && taps.axes[2].count >= fewest_places;
}

template <typename T>
void convolve_direct(const ConvolutionProblem& problem, const TapClass& taps) {
  DirectConvolution<T>(problem, taps).run();
}

template void convolve_direct<float>(const ConvolutionProblem&, const TapClass&);
template void convolve_direct<double>(const ConvolutionProblem&, const TapClass&);

}  // namespace lazuli::templates
