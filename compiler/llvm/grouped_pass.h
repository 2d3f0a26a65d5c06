#pragma once

#include <optional>

#include <lazuli/compiler/llvm/schedule.h>

namespace lazuli {

/// Whether the last pass over rows had better go over some of them at once; see `Schedule`.
std::optional<Schedule::Grouped> find_grouped_pass(const kir::Kernel& kernel, const Schedule& schedule);

/// Whether the last pass over rows, which is late and reads rows of weights, had better write two at once.
std::optional<Schedule::Grouped> find_late_group(const kir::Kernel& kernel, const Schedule& schedule,
                                                 const Schedule::Late& late);

}  // namespace lazuli
