#pragma once

#include <lazuli/compiler/fusion/grouping.h>

namespace lazuli {

/// Gives a host operation that makes its result in blocks the elementwise group that is alone in reading it,
/// at the same places: bias, activation, gate, residual and conversion are then done to each block while it
/// is in the caches, and the result itself is never stored.
void attach_epilogues(FusionPlan& plan);

}  // namespace lazuli
