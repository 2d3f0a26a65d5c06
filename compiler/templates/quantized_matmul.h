#pragma once

#include <cstddef>
#include <cstdint>

#include <lazuli/array/dtype.h>
#include <lazuli/compiler/holes.h>

namespace lazuli::templates {

/// What the codes and scales of a quantized matrix are: MLX's modes (see `ops/quantized.h`).
enum class QuantizedMode : uint8_t { affine, mxfp4, mxfp8, nvfp4 };

/// The mode of floating point elements that has such groups and bits.
constexpr QuantizedMode float_mode(int bits, int group_size) {
  return bits == 8 ? QuantizedMode::mxfp8 : group_size == 16 ? QuantizedMode::nvfp4 : QuantizedMode::mxfp4;
}

/// A matrix in one of MLX's quantized formats.
///
/// Each row of `columns` elements is cut into groups of `group_size`; in the affine mode (32, 64 or 128),
/// element i of a row is `scale[g] * q + bias[g]` with g = i / group_size. The codes q have `bits` (2, 3, 4,
/// 5, 6 or 8) bits and lie one after another in the row's little-endian bit stream: q takes bits
/// [i * bits, (i + 1) * bits) of it (8 codes of 3 bits take 3 bytes, 8 of 5 bits 5 bytes, 4 of 6 bits 3
/// bytes). `columns` is a multiple of `group_size`. In other modes codes and scales are floating point
/// numbers of a few bits, whose product the element is.
struct QuantizedMatrix {
  const uint32_t* codes = nullptr;    ///< [rows, columns * bits / 32]
  const std::byte* scales = nullptr;  ///< [rows, columns / group_size]
  const std::byte* biases = nullptr;  ///< like `scales`; null but in the affine mode
  Dtype scale_dtype = float32;        ///< float32, float16 or bfloat16; uint8 but in the affine mode
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t codes_row_stride = 0;   ///< in uint32 words
  int64_t scales_row_stride = 0;  ///< in elements
  int64_t biases_row_stride = 0;  ///< in elements
  int bits = 4;
  int group_size = 64;
  QuantizedMode mode = QuantizedMode::affine;

  /// A matrix whose rows lie one after another; without biases, one of floating point elements.
  static QuantizedMatrix contiguous(const uint32_t* codes, const std::byte* scales, const std::byte* biases,
                                    Dtype scale_dtype, int64_t rows, int64_t columns, int bits,
                                    int group_size) {
    const int64_t groups = columns / group_size;
    return {codes,
            scales,
            biases,
            scale_dtype,
            rows,
            columns,
            columns * bits / 32,
            groups,
            groups,
            bits,
            group_size,
            biases == nullptr ? float_mode(bits, group_size) : QuantizedMode::affine};
  }
};

/// out = x · wᵀ (`transpose`, w is [n, k]) or x · w (w is [k, n]), straight from MLX's layout.
/// `x` is [m, k] with unit stride along k, `out` is [m, n] with unit stride along n; both are of `dtype`:
/// float32, float16 or bfloat16. Accumulates in float32. Up to eight rows of 16-bit elements may be rounded
/// to whole numbers of 16 bits first, in units of a group's largest (`CodeBytes`), far within their own
/// rounding.
struct QuantizedMatmulProblem {
  int64_t m = 0;
  const std::byte* x = nullptr;
  Dtype dtype = float32;
  int64_t x_row_stride = 0;
  QuantizedMatrix w;
  bool transpose = true;
  std::byte* out = nullptr;
  int64_t out_row_stride = 0;
  Holes holes;  ///< `make`, where given, makes `x`; `take` gets the results in blocks, unrounded, not `out`
  int64_t first_row = 0;  ///< from which they count rows
};

/// Solves `problem`; throws std::invalid_argument for bits, group sizes or dtypes other than those above.
void quantized_matmul(const QuantizedMatmulProblem& problem);

/// The precision in which activations meet packed weights.
enum class Activations : uint8_t {
  /// Codes are widened in registers: out[i] = Σ_g (scale[g] * Σ_k q[k] x[k] + bias[g] * Σ_k x[k]), in
  /// float32.
  float32,
  /// Activations are quantized first, a group of `group_size` along k at a time:
  ///   s[g] = max|x| / 127,  a[k] = round-to-nearest-even(x[k] * (1 / s[g])) in [-127, 127]  (a = 0 where s =
  ///   0),
  ///   out = Σ_g (scale[g] * s[g]) * D[g] + bias[g] * (s[g] * A[g]),  D[g] = Σ_k q[k] a[k],  A[g] = Σ_k a[k],
  /// with D and A exact in int32, the rest in float32, groups in ascending order. A group that holds a NaN
  /// or an infinity makes its whole output row NaN.
  int8,
};

/// Packed weights: a header and then panels of `packed_quantized_rows` rows, so that a vector lane is a
/// row. Made once, when weights are loaded; the layout is opaque and belongs to one version of Lazuli.
inline constexpr uint32_t packed_quantized_version = 2;
/// Required of the buffer's address.
inline constexpr size_t packed_quantized_alignment = 64;
/// Rows (outputs) in a panel; the last panel is padded.
inline constexpr int64_t packed_quantized_rows = 16;

/// Bytes that `pack_quantized` writes for a [rows, columns] matrix.
size_t packed_quantized_size(int64_t rows, int64_t columns, int bits, int group_size, Dtype scale_dtype);

/// Packs `w` ([n, k], as used transposed) into `packed`, aligned to `packed_quantized_alignment`.
void pack_quantized(const QuantizedMatrix& w, std::byte* packed);

/// What a packed buffer holds, read from its header.
struct PackedQuantizedInfo {
  uint32_t version = 0;
  int bits = 0;
  int group_size = 0;
  Dtype scale_dtype = float32;
  int64_t rows = 0;
  int64_t columns = 0;
};
PackedQuantizedInfo packed_quantized_info(const std::byte* packed);

/// Rows of a packed matrix with that many columns, dequantized, into `out` ([count, columns]). Throws
/// std::invalid_argument for other widths and for rows that are not there.
void unpack_quantized_rows(const std::byte* packed, const int32_t* rows, int64_t count, int64_t columns,
                           float* out);

/// out = x · wᵀ with packed w ([n, k]); `x` is [m, k] and `out` [m, n], both of `dtype` (float32, float16
/// or bfloat16) with unit stride along their last dimension. Row strides count elements.
/// Where `make` is given it makes the rows of `x`; where `take` is, it gets the results in blocks, unrounded,
/// instead of `out`.
void packed_quantized_matmul(const std::byte* x, Dtype dtype, int64_t m, int64_t x_row_stride,
                             const std::byte* packed, std::byte* out, int64_t out_row_stride,
                             Activations activations, const Holes& holes = {});

/// Writes rows [first, first + count) of the packed matrix to `out` ([count, columns], of `dtype`).
void dequantize_packed(const std::byte* packed, int64_t first, int64_t count, std::byte* out, Dtype dtype);

}  // namespace lazuli::templates
