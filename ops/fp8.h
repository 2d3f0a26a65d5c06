#pragma once

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// 8-bit floating point numbers of 4 exponent and 3 fraction bits (E4M3 of the Open Compute Project's 8-bit
/// Floating Point Specification: no infinities, largest 448), as the bits of uint8.
namespace lazuli {

/// The nearest of them, ties to even; what is too large becomes 448, NaN stays NaN. Throws
/// std::invalid_argument unless `x` is real floating point.
array to_fp8(array x, StreamOrDevice s = {});
/// Their values in a floating point dtype. Throws std::invalid_argument unless `x` is uint8 and the dtype is
/// real floating point.
array from_fp8(array x, Dtype dtype, StreamOrDevice s = {});

}  // namespace lazuli
