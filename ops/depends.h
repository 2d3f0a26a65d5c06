#pragma once

#include <vector>

#include <lazuli/array/array.h>

namespace lazuli {

/// The same arrays (`inputs`, without a copy), which are not used before `dependencies` have been computed.
/// Gradients go through them to `inputs` alone.
std::vector<array> depends(const std::vector<array>& inputs, const std::vector<array>& dependencies);

}  // namespace lazuli
