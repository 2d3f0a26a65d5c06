#pragma once

#include <cstdint>

#include <lazuli/array/array.h>

namespace lazuli {

/// 8-bit floating point formats of the Open Compute Project's 8-bit Floating Point Specification, as files
/// have them: arrays have no such dtype.
enum class Float8 : uint8_t {
  e4m3,  ///< 4 exponent bits; no infinities; NaN where all bits but the sign are set
  e5m2,  ///< 5 exponent bits; the upper half of a float16
};

/// The numbers behind computed uint8 codes, in bfloat16, which holds all of them exactly.
array decode_float8(const array& codes, Float8 format);

}  // namespace lazuli
