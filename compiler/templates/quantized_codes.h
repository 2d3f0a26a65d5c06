#pragma once

#include <cstdint>

#include <lazuli/compiler/templates/quantized_matmul.h>

/// Reading MLX's quantized format.
namespace lazuli::templates {

/// Throws std::invalid_argument, in the name of `function`, for formats that do not exist.
void check_quantized(const char* function, int bits, int group_size, Dtype scale_dtype, int64_t columns,
                     QuantizedMode mode = QuantizedMode::affine);

/// Scales of groups [first, first + count) of a row as floats.
void widen_scales(const QuantizedMatrix& w, int64_t row, int64_t first, int64_t count, float* out);

/// Codes [first, first + count) of a row, a byte each; both are multiples of 8.
void unpack_codes(const QuantizedMatrix& w, int64_t row, int64_t first, int64_t count, uint8_t* codes);

/// The same elements as floats.
void dequantize_row(const QuantizedMatrix& w, int64_t row, int64_t first, int64_t count, float* out);

}  // namespace lazuli::templates
