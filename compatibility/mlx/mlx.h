#pragma once

/// Programs written for MLX's C++ interface build against Lazuli with this header: `mlx::core` is another
/// name for `lazuli`. docs/mlx-names.md says which of its names there are, and what differs.
#include <lazuli/lazuli.h>

namespace mlx {
namespace core = lazuli;
}  // namespace mlx
