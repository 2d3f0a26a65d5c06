#pragma once

#include <optional>

#include <lazuli/compiler/llvm/schedule.h>

namespace lazuli {

/// Whether the last pass over a row had better run within a pass over the next one, which is `busy` with
/// arithmetic; see `Schedule`.
std::optional<Schedule::Late> find_late_pass(const kir::Kernel& kernel, const Schedule& schedule,
                                             size_t busy);

}  // namespace lazuli
