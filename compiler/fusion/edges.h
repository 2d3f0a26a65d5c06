#pragma once

#include <vector>

#include <lazuli/graph/graph.h>
#include <lazuli/graph/index_map.h>

namespace lazuli {

/// A value that a computation needs at coordinates given by `map` from the computation's own coordinates.
/// Views, and operations computed again wherever they are needed, have been looked through.
struct FusionEdge {
  Graph::ValueId value;
  IndexMap map;
  bool dynamic = false;  ///< read through a dynamic view, so at unpredictable places
};

/// What a node's computation needs. The computation's coordinates are those of its output (elementwise) or
/// of its operand (reduction). `recomputed` tells of each value whether it is computed where it is needed.
std::vector<FusionEdge> fusion_edges(const Graph& graph, const std::vector<bool>& recomputed,
                                     Graph::NodeId node);
/// What it takes to have a value at coordinates that are the value's own.
std::vector<FusionEdge> fusion_edges_of_value(const Graph& graph, const std::vector<bool>& recomputed,
                                              Graph::ValueId value);

/// The shape whose coordinates a node is computed at.
const Shape& computing_shape(const Graph& graph, const Graph::GraphNode& node);

/// The value under views: what has memory of its own (a reshape has, or shares).
Graph::ValueId value_under_views(const Graph& graph, Graph::ValueId value);

}  // namespace lazuli
