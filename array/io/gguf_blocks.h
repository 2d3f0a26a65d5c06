#pragma once

#include <cstddef>
#include <cstdint>

#include <lazuli/array/io/gguf_format.h>

namespace lazuli {

/// Writes the numbers behind `count` blocks of a type to `out`, `type.block_elements` each. `type` is one
/// that has blocks which can be read.
void dequantize_gguf_blocks(const gguf::TensorType& type, const std::byte* blocks, size_t count, float* out);

}  // namespace lazuli
