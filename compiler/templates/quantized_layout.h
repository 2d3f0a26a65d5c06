#pragma once

#include <cstddef>
#include <cstdint>

#include <lazuli/array/dtype.h>

/// The bytes of packed quantized weights.
///
/// A buffer is a 64-byte header and then panels of 16 rows. A panel is one block for each group along k: the
/// codes of 16 rows × group_size columns, then 16 scales, then 16 biases (as stored in the checkpoint). The
/// codes go 32 columns at a time (a span), which are `bits` vectors of 64 bytes: 16 lanes of 32 bits, a lane
/// for each row. Four consecutive columns (a quad; a span has 8) lie in the four bytes of a lane, at the same
/// bits of each. So a mask of one or of a few vectors gives 16 rows × 4 columns as unsigned bytes, in the
/// order in which byte dot products against a broadcast of four activations want them.
///
/// A span is one or several units, each a few vectors (a, b, c, ...) that hold a few quads. Quads are
/// numbered from 0; those that stand alone in a byte's bits:
///
///   bits   unit                   bits of a byte, highest first
///   2      1 vector, 4 quads      a: 33221100
///   3      3 vectors, 8 quads     a: 66333000   b: 67444111   c: 77555222
///   4      1 vector, 2 quads      a: 11110000
///   5      5 vectors, 8 quads     a: 55500000   b: 55711111   c: 66622222   d: 66733333   e: 77744444
///   6      3 vectors, 4 quads     a: 33000000   b: 33111111   c: 33222222
///   8      1 vector, 1 quad       a: 00000000
///
/// What is left over above whole codes makes further ones: `quad_codes` tells which bits are which.
namespace lazuli::templates {

inline constexpr int64_t panel_lanes = 16;
inline constexpr int64_t span_columns = 32;
inline constexpr int64_t span_quads = span_columns / 4;
inline constexpr int64_t code_vector_bytes = 64;
inline constexpr int64_t packed_header_bytes = 64;

constexpr int unit_vectors(int bits) {
  return bits == 3 || bits == 6 ? 3 : bits == 5 ? 5 : 1;
}
constexpr int unit_quads(int bits) {
  return unit_vectors(bits) * 8 / bits;
}

/// A part of a quad's codes: `width` bits from `first` on of each byte of a vector of the unit, which count
/// 2^weight in the code.
struct CodePiece {
  int vector = 0;
  int first = 0;
  int width = 0;
  int weight = 0;
};

/// The codes of one quad, as pieces from the highest weight to the lowest.
struct QuadCodes {
  int count = 0;
  CodePiece pieces[3] = {};

  /// How far up the codes are if the first piece stays where it is. The others then move down, or stay.
  constexpr int shift() const { return pieces[0].first - pieces[0].weight; }
};

constexpr QuadCodes quad_codes(int bits, int quad) {
  switch (bits) {
    case 3:
      if (quad < 6) return {1, {{quad % 3, quad / 3 * 3, 3, 0}}};
      return quad == 6 ? QuadCodes{2, {{0, 6, 2, 1}, {1, 7, 1, 0}}}
                       : QuadCodes{2, {{2, 6, 2, 1}, {1, 6, 1, 0}}};
    case 5:
      if (quad < 5) return {1, {{quad, 0, 5, 0}}};
      if (quad < 7) return {2, {{quad == 5 ? 0 : 2, 5, 3, 2}, {quad == 5 ? 1 : 3, 6, 2, 0}}};
      return {3, {{4, 5, 3, 2}, {1, 5, 1, 1}, {3, 5, 1, 0}}};
    case 6:
      return quad < 3 ? QuadCodes{1, {{quad, 0, 6, 0}}}
                      : QuadCodes{3, {{2, 6, 2, 4}, {1, 6, 2, 2}, {0, 6, 2, 0}}};
    default:
      return {1, {{0, bits * quad, bits, 0}}};
  }
}

constexpr int64_t span_bytes(int bits) {
  return bits * code_vector_bytes;
}
constexpr int64_t unit_bytes(int bits) {
  return unit_vectors(bits) * code_vector_bytes;
}
constexpr int64_t group_code_bytes(int bits, int group_size) {
  return group_size / span_columns * span_bytes(bits);
}
constexpr int64_t group_bytes(int bits, int group_size, Dtype scale_dtype) {
  return group_code_bytes(bits, group_size) + 2 * panel_lanes * scale_dtype.size();
}

}  // namespace lazuli::templates
