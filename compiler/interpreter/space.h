#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace lazuli::interpreter {

inline constexpr int max_rank = 16;

/// How one tensor, or one coordinate, moves over the points of a space.
struct StreamState {
  std::byte* base = nullptr;                ///< where offsets count from
  int64_t first = 0;                        ///< the offset of the first point, in elements
  std::array<int64_t, max_rank> strides{};  ///< in elements, innermost dimension first
  std::array<int64_t, 8> dynamic_strides{};
};

/// Iteration points in row-major order, numbered from 0. Neighbouring dimensions that all streams cross
/// without a gap are made one, so that runs are long.
struct Space {
  int dims = 0;
  std::array<int64_t, max_rank> extents{};  ///< innermost first

  /// Drops dimensions of extent 1 and joins others; rewrites the strides of `streams` likewise.
  void collapse(std::span<StreamState> streams);
};

/// A stretch of points [point, point + n) and where its first point lies.
struct Chunk {
  int64_t point = 0;
  int64_t n = 0;
  std::array<int64_t, max_rank> coordinates;

  Chunk(const Space& space, int64_t first, int64_t count) : point(first), n(count) {
    for (int d = 0; d + 1 < space.dims; ++d) {
      coordinates[d] = first % space.extents[d];
      first /= space.extents[d];
    }
    coordinates[space.dims - 1] = first;
  }
};

/// Calls `f(offset, begin, n)` for the runs of a chunk along the innermost dimension: the run starts at
/// element `offset` of the stream and is the chunk's [begin, begin + n).
template <typename F>
void for_each_run(const Space& space, const Chunk& chunk, const StreamState& stream, F&& f) {
  int64_t offset = stream.first;
  for (int d = 0; d < space.dims; ++d) offset += chunk.coordinates[d] * stream.strides[d];
  const int64_t left = space.extents[0] - chunk.coordinates[0];
  if (chunk.n <= left) return f(offset, int64_t{0}, chunk.n);

  std::array<int64_t, max_rank> at = chunk.coordinates;
  int64_t begin = 0;
  int64_t length = left;
  while (true) {
    f(offset, begin, length);
    begin += length;
    if (begin == chunk.n) return;
    offset -= at[0] * stream.strides[0];
    at[0] = 0;
    for (int d = 1;; ++d) {
      offset += stream.strides[d];
      if (++at[d] < space.extents[d] || d + 1 == space.dims) break;
      offset -= at[d] * stream.strides[d];
      at[d] = 0;
    }
    length = chunk.n - begin < space.extents[0] ? chunk.n - begin : space.extents[0];
  }
}

}  // namespace lazuli::interpreter
