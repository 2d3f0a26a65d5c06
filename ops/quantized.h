#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// Quantized matrices in MLX's formats. A row is cut into groups, whose elements have a few bits each and lie
/// one after another in uint32 words, least significant bits first:
///
/// | mode | groups of | elements | a group's scale |
/// | --- | --- | --- | --- |
/// | affine | 32, 64 (if not given) or 128 | unsigned q of 2, 3, 4 (if not given), 5, 6 or 8 bits: scale * q
/// + bias | floating point, and a bias | | mxfp4 | 32 | 4-bit floats E2M1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and
/// their negatives | E8M0: 2^(n - 127), uint8 | | mxfp8 | 32 | 8-bit floats E4M3 (see `to_fp8`) | E8M0 | |
/// nvfp4 | 16 | E2M1 | E4M3, uint8 |
///
/// The formats of elements and scales are those of the Open Compute Project's Microscaling specification; the
/// byte 0 of E8M0 is 2^-127, and 255 infinity. With a global scale, which is the largest absolute value of
/// the matrix as a float32 scalar, nvfp4's scales count in units of it divided by 448 * 6. Other modes, group
/// sizes and bits throw std::invalid_argument.
namespace lazuli {

/// {codes, scales, biases}, or without biases in modes other than affine, of a matrix (or a stack of them),
/// quantized along the last axis, whose extent must be a multiple of `group_size`. Codes are uint32 [..., n *
/// bits / 32]; scales and biases [..., n / group_size] have the dtype of `w`, but for the scales that are
/// bytes: these are the largest absolute value of the group divided by the largest element, rounded (to the
/// nearest exponent for E8M0), and elements are rounded to the nearest, ties to even.
std::vector<array> quantize(const array& w, std::optional<int> group_size = std::nullopt,
                            std::optional<int> bits = std::nullopt, const std::string& mode = "affine",
                            const std::optional<array>& global_scale = std::nullopt, StreamOrDevice s = {});
/// The matrix that was quantized, approximately, in `dtype` (if not given, that of
/// the scales, or bfloat16 where these are bytes).
array dequantize(const array& w, const array& scales, const std::optional<array>& biases = std::nullopt,
                 std::optional<int> group_size = std::nullopt, std::optional<int> bits = std::nullopt,
                 const std::string& mode = "affine", const std::optional<array>& global_scale = std::nullopt,
                 std::optional<Dtype> dtype = std::nullopt, StreamOrDevice s = {});
/// x [..., k] times a quantized matrix: its transpose (w is [n, k]) or, without `transpose`, itself (w is
/// [k, n]). Extra axes of `w` broadcast with those of `x`. Accumulates in float32, codes are
/// read where they lie (with float64 rows, in modes other than affine, the matrix is dequantized first). In
/// these modes gradients go to `x` only.
array quantized_matmul(array x, array w, array scales, std::optional<array> biases = std::nullopt,
                       bool transpose = true, std::optional<int> group_size = std::nullopt,
                       std::optional<int> bits = std::nullopt, const std::string& mode = "affine",
                       StreamOrDevice s = {});

/// x [..., k] times the transpose of w [n, k], both rounded to the elements of a mode of floating point
/// numbers first. `w` is a floating point matrix or, with `w_scales`, codes. The global scales are for nvfp4.
/// The gradient takes the rounding for none.
array qqmm(array x, array w, const std::optional<array> w_scales = std::nullopt,
           std::optional<int> group_size = std::nullopt, std::optional<int> bits = std::nullopt,
           const std::string& mode = "nvfp4", const std::optional<array> global_scale_x = std::nullopt,
           const std::optional<array> global_scale_w = std::nullopt, StreamOrDevice s = {});

// For Lazuli's own layers
// -------------------------------------------------------------------------------------

// Enumerators of a scoped enumeration hide nothing, whatever GCC says.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
/// In what precision activations meet packed weights.
enum class QuantizedActivations : uint8_t {
  float32,  ///< as they are
  int8,     ///< quantized a group at a time first: faster, at the cost of some accuracy
};
#pragma GCC diagnostic pop

/// The rows of a quantized matrix at `indices`, dequantized: an embedding table. The shape of `indices`
/// followed by the row's length.
array quantized_take(const array& w, const array& scales, const array& biases, const array& indices,
                     int group_size = 64, int bits = 4, StreamOrDevice s = {});
/// A quantized matrix [n, k] repacked for `packed_quantized_matmul`, as bytes in an opaque layout. Computed
/// once, while a function is compiled, if it is a constant there.
array pack_quantized(const array& w, const array& scales, const array& biases, int group_size = 64,
                     int bits = 4, StreamOrDevice s = {});
/// The rows of a packed matrix [n, in_features] at `indices` (int32), dequantized, in `dtype` (float32,
/// float16 or bfloat16): an embedding table that shares its memory with the last layer.
array packed_quantized_take(const array& packed, const array& indices, Dim in_features, Dtype dtype = float32,
                            StreamOrDevice s = {});
/// x [..., in_features] times the transpose of a packed matrix [out_features, in_features].
array packed_quantized_matmul(const array& x, const array& packed, Dim out_features, Dim in_features,
                              int group_size, int bits,
                              QuantizedActivations activations = QuantizedActivations::float32,
                              StreamOrDevice s = {});

}  // namespace lazuli
