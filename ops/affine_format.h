#pragma once

#include <optional>
#include <string>

#include <lazuli/array/array.h>

/// What functions share that take codes of the affine mode (see ops/quantized.h).
namespace lazuli {

struct AffineFormat {
  int group_size = 64;
  int bits = 4;
};

/// The format asked for, or groups of 64 and 4 bits. Throws std::invalid_argument, in the name of `name`, for
/// others than there are.
AffineFormat affine_format(std::optional<int> group_size, std::optional<int> bits, const std::string& name);

/// Checks that codes, scales and biases belong together.
void check_affine_parts(const array& w, const array& scales, const array& biases, AffineFormat format,
                        const std::string& name);

}  // namespace lazuli
