#pragma once

#include <lazuli/compiler/fusion/grouping.h>

namespace lazuli {

/// Gives a host operation that asks for the rows of its first operand the group that makes them, if nothing
/// else reads these: a norm, a gate or a conversion before a product then fills rows that are packed next,
/// and the operand itself is never stored.
void attach_prologues(FusionPlan& plan);

}  // namespace lazuli
