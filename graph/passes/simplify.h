#pragma once

#include <lazuli/graph/graph.h>

namespace lazuli {

/// Replaces operations by simpler ones where the result is the same to the bit (views and conversions that
/// change nothing, x*1, --x, a reshape of a reshape...), gives equal operations on equal inputs one node
/// (common subexpressions), and drops what no output needs. Inputs stay, used or not.
Graph simplify(const Graph& graph);

}  // namespace lazuli
