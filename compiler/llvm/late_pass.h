#pragma once

#include <optional>

#include <lazuli/compiler/llvm/schedule.h>

namespace lazuli {

/// Whether the last pass over a row can run within a pass over the next one; see `Schedule`.
std::optional<Schedule::Late> find_late_pass(const kir::Kernel& kernel, const Schedule& schedule,
                                             size_t within);

/// The values that are the same for a row, and used in the steps of a pass over it.
std::vector<kir::ValueId> values_of_a_row(const kir::Kernel& kernel, const Schedule& schedule,
                                          const kir::Block& pass);

/// The same of two passes of which the `last` only adds up what the `first` has read before.
std::optional<Schedule::Late> find_late_sums(const kir::Kernel& kernel, const Schedule& schedule,
                                             size_t first, size_t last);

}  // namespace lazuli
