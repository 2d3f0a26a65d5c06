#pragma once

#include <optional>

#include <lazuli/compiler/llvm/schedule.h>

namespace lazuli {

/// Whether the last pass over rows had better go over some of them at once; see `Schedule`.
std::optional<Schedule::Grouped> find_grouped_pass(const kir::Kernel& kernel, const Schedule& schedule);

}  // namespace lazuli
