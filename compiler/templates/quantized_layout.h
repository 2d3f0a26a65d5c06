#pragma once

#include <cstddef>
#include <cstdint>

#include <lazuli/array/dtype.h>

/// The bytes of packed quantized weights.
///
/// A buffer is a 64-byte header and then panels of 16 rows. A panel is one block for each group along k: the
/// codes of 16 rows × group_size columns, then 16 scales, then 16 biases (as stored in the checkpoint). The
/// codes go 32 columns at a time (a span). In a span, codes are split into bit planes of widths that divide
/// a byte: a main plane of the low bits and, for 3, 5 and 6 bits, a second plane of the rest.
///
///   bits    2    3      4    5      6      8
///   planes  2    2+1    4    4+1    4+2    8
///
/// A plane of width b takes b vectors of 64 bytes a span: 16 lanes of 32 bits, a lane for each row. Four
/// consecutive columns (a quad; a span has 8) lie in the four bytes of a lane, and 8/b quads share a vector,
/// one in each b-bit field of the bytes: quad t is in vector t / (8/b) at bit b * (t % (8/b)). So one load
/// and one shift-and-mask give 16 rows × 4 columns as unsigned bytes, in the order in which byte dot products
/// against a broadcast of four activations want them.
namespace lazuli::templates {

inline constexpr int64_t panel_lanes = 16;
inline constexpr int64_t span_columns = 32;
inline constexpr int64_t span_quads = span_columns / 4;
inline constexpr int64_t plane_vector_bytes = 64;
inline constexpr int64_t packed_header_bytes = 64;

constexpr int main_plane(int bits) {
  return bits == 3 ? 2 : bits == 5 || bits == 6 ? 4 : bits;
}
constexpr int second_plane(int bits) {
  return bits - main_plane(bits);
}

constexpr int64_t span_bytes(int bits) {
  return bits * plane_vector_bytes;
}
constexpr int64_t group_code_bytes(int bits, int group_size) {
  return group_size / span_columns * span_bytes(bits);
}
constexpr int64_t group_bytes(int bits, int group_size, Dtype scale_dtype) {
  return group_code_bytes(bits, group_size) + 2 * panel_lanes * scale_dtype.size();
}

}  // namespace lazuli::templates
