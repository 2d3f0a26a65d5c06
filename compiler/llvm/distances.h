#pragma once

#include <optional>

#include <lazuli/compiler/llvm/schedule.h>

namespace lazuli {

/// Finds sums of distances in a kernel of rows whose instructions have their levels; see `Schedule`. Whether
/// they are worth it where the row is written later depends on what the pass that they save would do: it may
/// fetch the next row, or, where `written_while_read`, nothing.
std::optional<Schedule::Distances> find_distances(const kir::Kernel& kernel, const Schedule& schedule,
                                                  bool written_while_read);

}  // namespace lazuli
