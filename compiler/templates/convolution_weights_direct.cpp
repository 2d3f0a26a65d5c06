#include <lazuli/compiler/templates/convolution_weights_direct.h>

#include <algorithm>

#include <lazuli/compiler/templates/convolution_pack.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>

namespace lazuli::templates {

namespace {

/// Features, elements beside each other, and places beside each other that a tile should have at least.
constexpr int64_t fewest_features = 16;
constexpr int64_t fewest_elements = 8;
constexpr int64_t fewest_places = 4;
/// Places that a tile sums over: enough that its results are seldom loaded and stored, few enough that the
/// rows under them stay in the second-level cache.
constexpr int64_t places_a_tile = 192;
/// Tiles that use the same features of these places at least, for copying them side by side to pay.
constexpr int64_t fewest_tiles_to_pack = 4;

/// Products over places: rows of a tile are elements of the input that lie beside each other (the channels
/// under a row of the kernel, or under one tap), columns are features, and depths are the places of some rows
/// of the result. Sums are kept as [tap][channel][feature] and turned round at the end.
template <typename T>
class WeightSums {
 public:
  WeightSums(const ConvolutionProblem& problem, const T* result)
      : problem_(problem),
        result_(result),
        kernel_(gemm_kernel<T>()),
        channels_(problem.channels / problem.groups),
        features_(problem.features / problem.groups),
        first_place_(-problem.padding[2]),
        padded_((problem.out[2] - 1) * problem.stride[2] +
                (problem.kernel[2] - 1) * problem.kernel_dilation[2] + 1),
        is_padded_(first_place_ < 0 || first_place_ + padded_ > problem.in[2]),
        copies_(is_padded_ ? row_count() * padded_ * problem.channels * size : 0),
        sums_(problem.groups * taps() * channels_ * features_ * size) {
    const bool is_merged = problem.groups == 1 && problem.kernel_dilation[2] == 1;
    taps_abreast_ = is_merged ? problem.kernel[2] : 1;
  }

  void run(T* weights) const {
    if (is_padded_) copy_rows();
    const int64_t abreast = taps_abreast_ * channels_;
    const int64_t panels = ceil_div(features_, kernel_.columns);
    const int64_t lines = problem_.groups * (taps() / taps_abreast_);
    // Four tasks a thread, or as many as there are tiles.
    const int64_t wanted = num_threads() > 1 ? 4 * num_threads() : 1;
    const int64_t tiles = ceil_div(abreast, kernel_.rows);
    const int64_t cuts = std::clamp<int64_t>(ceil_div(wanted, lines * panels), 1, tiles);
    const int64_t tiles_a_task = ceil_div(tiles, cuts);
    // Tiles of about one size.
    const int64_t rows = ceil_div(abreast, tiles);
    const int64_t tasks_abreast = ceil_div(tiles, tiles_a_task);
    share_out(lines * panels * tasks_abreast, [&](int64_t part) {
      const int64_t first = part % tasks_abreast * tiles_a_task * rows;
      const int64_t end = std::min(first + tiles_a_task * rows, abreast);
      part /= tasks_abreast;
      for_each_block(
          part / panels, part % panels * kernel_.columns,
          [&](GemmTile<T> tile, T* sums) {
            const T* const a = tile.a;
            for (int64_t row = first; row < end; row += rows) {
              tile.rows = std::min(rows, end - row);
              tile.a = a + row;
              tile.c = sums + row * features_;
              kernel_.run(tile);
            }
          },
          first, end);
    });
    turn_round(weights);
  }

 private:
  static constexpr size_t size = sizeof(T);

  size_t row_count() const { return static_cast<size_t>(problem_.batch * problem_.in[0] * problem_.in[1]); }
  int64_t taps() const { return problem_.kernel[0] * problem_.kernel[1] * problem_.kernel[2]; }

  /// Rows of the input as places see them, with zeros beyond their ends.
  void copy_rows() const {
    const int64_t elements = padded_ * problem_.channels;
    const int64_t begin = std::clamp<int64_t>(-first_place_ * problem_.channels, 0, elements);
    const int64_t end =
        std::clamp<int64_t>((problem_.in[2] - first_place_) * problem_.channels, begin, elements);
    share_out(static_cast<int64_t>(row_count()), [&](int64_t row) {
      T* const to = copies_.template as<T>() + row * elements;
      const T* const from = input() + (row * problem_.in[2] + first_place_) * problem_.channels;
      std::fill_n(to, begin, T{0});
      if (begin < end) std::copy_n(from + begin, end - begin, to + begin);
      std::fill_n(to + end, elements - end, T{0});
    });
  }
  const T* input() const { return reinterpret_cast<const T*>(problem_.input); }
  /// Elements from one row of the input to the next, and the first that places see of a row.
  int64_t row_stride() const { return (is_padded_ ? padded_ : problem_.in[2]) * problem_.channels; }
  const T* row(int64_t image, int64_t slice, int64_t line) const {
    const int64_t at = ((image * problem_.in[0] + slice) * problem_.in[1] + line) * row_stride();
    return is_padded_ ? copies_.template as<T>() + at : input() + at + first_place_ * problem_.channels;
  }

  /// Calls `multiply(tile, sums)` for the places of each block of rows that see line number `line` of the
  /// kernel (of all groups): `tile` has all but its rows, which begin at the line's first element.
  template <typename Multiply>
  void for_each_block(int64_t line, int64_t column, const Multiply& multiply, int64_t first,
                      int64_t end) const {
    const ConvolutionProblem& p = problem_;
    const int64_t lines_a_group = taps() / taps_abreast_;
    const int64_t group = line / lines_a_group;
    int64_t at = line % lines_a_group;
    const int64_t lines_across = p.kernel[2] / taps_abreast_;
    const int64_t k2 = at % lines_across;
    at /= lines_across;
    const int64_t k1 = at % p.kernel[1];
    const int64_t k0 = at / p.kernel[1];
    T* const sums = sums_.template as<T>() + line * taps_abreast_ * channels_ * features_ + column;
    GemmTile<T> tile;
    tile.k = p.out[2];
    tile.a_row_stride = 1;
    tile.a_k_stride = p.stride[2] * p.channels;
    tile.a_run_stride = p.stride[1] * row_stride();
    tile.c_row_stride = features_;
    tile.columns = std::min(kernel_.columns, features_ - column);
    // Rows of the result whose row of the input is there.
    const int64_t offset1 = k1 * p.kernel_dilation[1] - p.padding[1];
    const int64_t begin1 =
        std::clamp<int64_t>(ceil_div(std::max<int64_t>(-offset1, 0), p.stride[1]), 0, p.out[1]);
    const int64_t end1 =
        p.in[1] > offset1 ? std::min((p.in[1] - 1 - offset1) / p.stride[1] + 1, p.out[1]) : int64_t{0};
    const int64_t rows_a_block = std::max<int64_t>(1, places_a_tile / p.out[2]);
    const bool packs = end - first > (fewest_tiles_to_pack - 1) * kernel_.rows;
    const Scratch memory(packs ? static_cast<size_t>(rows_a_block * p.out[2] * kernel_.columns) * size : 0);
    for (int64_t image = 0; image < p.batch; ++image) {
      for (int64_t o0 = 0; o0 < p.out[0]; ++o0) {
        const int64_t slice = o0 * p.stride[0] + k0 * p.kernel_dilation[0] - p.padding[0];
        if (slice < 0 || slice >= p.in[0]) continue;
        for (int64_t o1 = begin1; o1 < end1; o1 += rows_a_block) {
          tile.runs = std::min(rows_a_block, end1 - o1);
          tile.a = row(image, slice, o1 * p.stride[1] + offset1) + k2 * p.kernel_dilation[2] * p.channels +
                   group * channels_;
          tile.b_k_stride = p.features;
          tile.b_run_stride = p.out[2] * p.features;
          tile.b_columns = tile.columns;
          tile.b = result_ + ((image * p.out[0] + o0) * p.out[1] + o1) * p.out[2] * p.features +
                   group * features_ + column;
          if (packs) pack_features(tile, memory.as<T>());
          multiply(tile, sums);
          tile.accumulate = 1;
        }
      }
    }
    if (tile.accumulate != 0) return;
    for (int64_t i = first; i < end; ++i) std::fill_n(sums + i * features_, tile.columns, T{0});
  }

  /// Copies a tile's right operand to where its rows follow each other.
  void pack_features(GemmTile<T>& tile, T* panel) const {
    const int64_t places = tile.runs * tile.k;
    const int64_t width = kernel_.columns;
    for (int64_t place = 0; place < places; ++place) {
      std::copy_n(tile.b + place * tile.b_k_stride, tile.columns, panel + place * width);
      std::fill(panel + place * width + tile.columns, panel + (place + 1) * width, T{0});
    }
    tile.b = panel;
    tile.b_k_stride = width;
    tile.b_run_stride = tile.k * width;
    tile.b_columns = 0;
  }

  /// weights[feature][tap][channel], in the order in which the kernel's elements are counted.
  void turn_round(T* weights) const {
    share_out(problem_.groups * taps(), [&](int64_t part) {
      const int64_t group = part / taps();
      const int64_t tap = part % taps();
      const int64_t to = problem_.flip ? taps() - 1 - tap : tap;
      interleave_columns(sums_.template as<T>() + part * channels_ * features_,
                         weights + group * features_ * taps() * channels_ + to * channels_);
    });
  }
  void interleave_columns(const T* sums, T* weights) const {
    const int64_t stride = taps() * channels_;
    if constexpr (std::is_same_v<T, float>) {
      if (channels_ >= 4) return kernels().transpose(sums, features_, channels_, features_, weights, stride);
    }
    for (int64_t f = 0; f < features_; ++f) {
      for (int64_t c = 0; c < channels_; ++c) weights[f * stride + c] = sums[c * features_ + f];
    }
  }

  const ConvolutionProblem& problem_;
  const T* result_;
  const GemmKernel<T>& kernel_;
  int64_t channels_;  ///< of a group
  int64_t features_;  ///< of a group
  int64_t first_place_;
  int64_t padded_;  ///< places of the input that a row of the result sees
  bool is_padded_;
  Scratch copies_;
  Scratch sums_;
  int64_t taps_abreast_ = 1;
};

}  // namespace

bool suits_direct_weights(const ConvolutionProblem& problem) {
  const int64_t channels = problem.channels / problem.groups;
  const bool is_merged = problem.groups == 1 && problem.kernel_dilation[2] == 1;
  const bool is_apart = problem.input_dilation != ConvolutionProblem::Extents{1, 1, 1};
  return !is_apart && problem.features / problem.groups >= fewest_features &&
         (is_merged ? problem.kernel[2] : 1) * channels >= fewest_elements && problem.out[2] >= fewest_places;
}

template <typename T>
void sum_weights_direct(const ConvolutionProblem& problem, const T* result, T* weights) {
  WeightSums<T>(problem, result).run(weights);
}

template void sum_weights_direct<float>(const ConvolutionProblem&, const float*, float*);
template void sum_weights_direct<double>(const ConvolutionProblem&, const double*, double*);

}  // namespace lazuli::templates
