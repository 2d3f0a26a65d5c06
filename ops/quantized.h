#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// Matrices quantized in MLX's affine format: a row is cut into groups of `group_size` (32, 64 or 128; 64 if
/// not given) elements, each scale * q + bias with an unsigned q of `bits` (2, 3, 4, 5, 6 or 8; 4 if not
/// given) bits. The q of a row lie one after another in uint32 words, least significant bits first. Modes
/// other than "affine" throw std::invalid_argument.
namespace lazuli {

/// {codes, scales, biases} of a matrix (or a stack of them), quantized along the last axis, whose extent must
/// be a multiple of `group_size`. Codes are uint32 [..., n * bits / 32]; scales and biases [..., n /
/// group_size] have the dtype of `w`.
std::vector<array> quantize(const array& w, std::optional<int> group_size = std::nullopt,
                            std::optional<int> bits = std::nullopt, const std::string& mode = "affine",
                            const std::optional<array>& global_scale = std::nullopt, StreamOrDevice s = {});
/// The matrix that was quantized, approximately, in `dtype` (that of the scales if not given).
array dequantize(const array& w, const array& scales, const std::optional<array>& biases = std::nullopt,
                 std::optional<int> group_size = std::nullopt, std::optional<int> bits = std::nullopt,
                 const std::string& mode = "affine", const std::optional<array>& global_scale = std::nullopt,
                 std::optional<Dtype> dtype = std::nullopt, StreamOrDevice s = {});
/// x [..., k] times a quantized matrix: its transpose (w is [n, k]) or, without `transpose`, itself (w is
/// [k, n]). Extra axes of `w` broadcast with those of `x`. Accumulates in float32.
array quantized_matmul(array x, array w, array scales, std::optional<array> biases = std::nullopt,
                       bool transpose = true, std::optional<int> group_size = std::nullopt,
                       std::optional<int> bits = std::nullopt, const std::string& mode = "affine",
                       StreamOrDevice s = {});

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
