#pragma once

#include <lazuli/array/array.h>
#include <lazuli/lm/model/config.h>

namespace lazuli::lm {

/// A matrix in MLX's affine format.
struct QuantizedMatrixArrays {
  array codes;   ///< uint32 [rows, columns * bits / 32]
  array scales;  ///< [rows, columns / group_size]
  array biases;
};

/// Quantizes a matrix (evaluated, float32, float16 or bfloat16) with the scale and bias, as they will be
/// stored in `scale_dtype`, that leave each group the least squared error that a search finds: from several
/// ranges, the group's own and narrower ones, codes and line are fitted to each other in turn. `quantize`,
/// which spans each group's extremes, leaves more. Throws std::invalid_argument where a value is not finite.
QuantizedMatrixArrays quantize_closely(const array& w, const Quantization& format, Dtype scale_dtype);

}  // namespace lazuli::lm
