#pragma once

#include <lazuli/compiler/fusion/joining.h>

namespace lazuli {

/// Merges groups that run over the same space without needing each other, where that saves traffic: they read
/// the same array, or write parts of one result.
void merge_siblings(FusionUnits& units, FusionJoiner& joiner);

}  // namespace lazuli
