#pragma once

#include <optional>

#include <lazuli/compiler/llvm/schedule.h>

namespace lazuli {

/// Finds sums of distances in a kernel of rows whose instructions have their levels; see `Schedule`.
std::optional<Schedule::Distances> find_distances(const kir::Kernel& kernel, const Schedule& schedule);

}  // namespace lazuli
