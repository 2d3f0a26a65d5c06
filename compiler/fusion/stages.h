#pragma once

#include <unordered_map>
#include <vector>

#include <lazuli/compiler/fusion/grouping.h>
#include <lazuli/graph/graph.h>

namespace lazuli {

/// The dimensions of a group's kernel, and the passes over its elements. A group that reduces has a pass for
/// each reduction that another one waits for, and one for what waits for the last.
struct GroupStages {
  std::vector<size_t> order;    ///< dimensions of the group's space, as the kernel has them
  std::vector<int> kernel_dim;  ///< the kernel's dimension for each of the space
  bool rows = false;            ///< whether vectors run along a reduced dimension
  /// For a value on the full space the pass in which it is first there, for others the pass before which it
  /// is.
  std::unordered_map<Graph::ValueId, int> of;
  int last = 0;
  std::vector<Graph::ValueId> kept;  ///< values that later passes find in scratch memory
};

GroupStages find_stages(const FusionPlan& plan, const FusionGroup& group);

/// Whether the node is a reduction over the group's reduced dimensions, whose value later passes see.
bool is_row_reduction(const FusionGroup& group, const Graph::GraphNode& node);

}  // namespace lazuli
