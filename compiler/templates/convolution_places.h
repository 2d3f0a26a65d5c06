#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <lazuli/compiler/templates/convolution.h>
#include <lazuli/compiler/templates/scratch.h>

/// Places of a convolution's result: which see a tap of the kernel, and in which blocks sums go over them.
namespace lazuli::templates {

/// From begin to before end.
struct Range {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t count() const { return std::max<int64_t>(end - begin, 0); }
  Range within(int64_t first, int64_t after) const { return {std::max(begin, first), std::min(end, after)}; }
};

/// The input's coordinate under a tap at place 0.
inline int64_t tap_offset(const ConvolutionProblem& problem, size_t axis, int64_t tap) {
  return tap * problem.kernel_dilation[axis] - problem.padding[axis];
}

/// The places for which the element under a tap is within the input, whose elements do not lie apart.
inline Range places_seeing(const ConvolutionProblem& problem, size_t axis, int64_t tap) {
  const int64_t at = tap_offset(problem, axis, tap);
  const int64_t step = problem.stride[axis];
  const int64_t begin = at < 0 ? ceil_div(-at, step) : 0;
  const int64_t end = problem.in[axis] > at ? (problem.in[axis] - 1 - at) / step + 1 : 0;
  return Range{begin, end}.within(0, problem.out[axis]);
}

/// Places [place, place + places) of rows [row, row + rows) of a slice of an image.
struct PlaceBlock {
  int64_t image = 0;
  int64_t slice = 0;
  int64_t row = 0;
  int64_t rows = 0;
  int64_t place = 0;
  int64_t places = 0;
};

/// All places in blocks of about one size: what is left over would be summed up as slowly as it is loaded
/// and stored.
class PlaceBlocks {
 public:
  explicit PlaceBlocks(const ConvolutionProblem& problem)
      : problem_(problem),
        places_(ceil_div(problem.out[2], ceil_div(problem.out[2], places_a_block))),
        rows_(rows_of_a_block(problem.out[1], places_)) {}

  /// The most rows of a block, and places of a row.
  int64_t rows() const { return rows_; }
  int64_t places() const { return places_; }

  int64_t count() const {
    return problem_.batch * problem_.out[0] * ceil_div(problem_.out[1], rows_) * segments();
  }
  PlaceBlock operator[](int64_t index) const {
    PlaceBlock block;
    block.place = index % segments() * places_;
    block.places = std::min(places_, problem_.out[2] - block.place);
    index /= segments();
    const int64_t blocks_a_slice = ceil_div(problem_.out[1], rows_);
    block.row = index % blocks_a_slice * rows_;
    block.rows = std::min(rows_, problem_.out[1] - block.row);
    index /= blocks_a_slice;
    block.slice = index % problem_.out[0];
    block.image = index / problem_.out[0];
    return block;
  }

 private:
  /// About as many places as a tile sums over: enough that its results are seldom loaded and stored, few
  /// enough that the rows under them stay in the second-level cache.
  static constexpr int64_t places_a_block = 192;

  static int64_t rows_of_a_block(int64_t rows, int64_t places) {
    const int64_t blocks = (rows * places + places_a_block / 2) / places_a_block;
    return ceil_div(rows, std::clamp<int64_t>(blocks, 1, rows));
  }
  int64_t segments() const { return ceil_div(problem_.out[2], places_); }

  const ConvolutionProblem& problem_;
  int64_t places_;
  int64_t rows_;
};

}  // namespace lazuli::templates
