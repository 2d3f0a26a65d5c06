#pragma once

#include <functional>
#include <vector>

#include <lazuli/array/array.h>

namespace lazuli {

/// From arrays to arrays: what can be compiled and transformed.
using ArrayFunction = std::function<std::vector<array>(const std::vector<array>&)>;

}  // namespace lazuli
