#pragma once

#include <cstdint>
#include <vector>

#include <lazuli/graph/graph.h>

namespace lazuli {

/// A graph made ready for fusion.
struct PreparedGraph {
  Graph graph;
  /// For each value: the concatenate or update node into whose result it is written as a part; none for
  /// other values. Parts are copies made for the purpose, used by that node alone.
  std::vector<Graph::NodeId> part_of;
};

/// Rewrites a graph so that every operand of a host operation, reshape or output can be had by strides alone
/// (dynamic views get a copy), conversions that a host operation does itself are left to it, and the operands
/// of concatenate and update become parts that are written straight into the result.
PreparedGraph prepare_for_fusion(const Graph& graph);

}  // namespace lazuli
