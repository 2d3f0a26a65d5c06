#pragma once

#include <string>

#include <lazuli/compiler/fusion/grouping.h>

namespace lazuli {

/// Why a unit is what it is, one reason a line: what its members have in common, what is computed again
/// instead of stored, why values are stored, and why it did not join the groups that make what it needs.
std::string fusion_reasons(const FusionPlan& plan, const FusionUnit& unit);

}  // namespace lazuli
