#include <lazuli/compiler/fusion/stages.h>

#include <algorithm>

#include <lazuli/compiler/operations.h>

namespace lazuli {

using ValueId = Graph::ValueId;
using NodeId = Graph::NodeId;

namespace {

// From here on it is cheaper to keep a row's value in scratch memory for a later stage than to compute it
// again.
constexpr int scratch_cost = 8;

/// Parallel dimensions, then reduced ones; a last dimension that is parallel stays last, for vectors to run
/// along.
void choose_dimension_order(const FusionGroup& group, GroupStages& stages) {
  const size_t rank = group.space.size();
  const bool column = rank > 0 && group.has_reduce() && !group.reduce.back();
  for (size_t k = 0; k < rank; ++k) {
    if (!group.reduce[k] && !(column && k + 1 == rank)) stages.order.push_back(k);
  }
  for (size_t k = 0; k < rank; ++k) {
    if (group.reduce[k]) stages.order.push_back(k);
  }
  if (column) stages.order.push_back(rank - 1);
  stages.kernel_dim.resize(rank);
  for (size_t p = 0; p < rank; ++p) stages.kernel_dim[stages.order[p]] = static_cast<int>(p);
  stages.rows = group.has_reduce() && !column;
}

void find_passes(const FusionPlan& plan, const FusionGroup& group, GroupStages& stages) {
  const Graph& graph = plan.prepared.graph;
  std::unordered_map<ValueId, int> last_use, cost;
  for (NodeId member : group.members) {
    const Graph::GraphNode& node = graph.nodes[member];
    const ValueId value = node.outputs[0];
    int stage = 0, total = 0;
    const auto edges = fusion_edges(graph, plan.recomputed, member);
    for (const FusionEdge& edge : edges) {
      if (!group.place.contains(edge.value)) continue;
      stage = std::max(stage, stages.of[edge.value]);
      if (group.is_full(edge.value)) total += cost[edge.value];
    }
    for (const FusionEdge& edge : edges) {
      if (group.place.contains(edge.value) && group.is_full(edge.value)) {
        last_use[edge.value] = std::max(last_use[edge.value], stage);
      }
    }
    stages.of[value] = is_row_reduction(group, node) ? stage + 1 : stage;
    stages.last = std::max(stages.last, stages.of[value]);
    if (node.operation->kind() == OperationKind::elementwise) {
      cost[value] = total + static_cast<const ElementwiseOperation&>(*node.operation).cost();
    }
  }
  for (const auto& [value, use] : last_use) {
    if (stages.rows && use > stages.of[value] && cost[value] >= scratch_cost &&
        graph.spec(value).dtype != complex64) {
      stages.kept.push_back(value);
    }
  }
}

}  // namespace

GroupStages find_stages(const FusionPlan& plan, const FusionGroup& group) {
  GroupStages stages;
  choose_dimension_order(group, stages);
  if (group.has_reduce()) find_passes(plan, group, stages);
  return stages;
}

bool is_row_reduction(const FusionGroup& group, const Graph::GraphNode& node) {
  return node.operation->kind() == OperationKind::reduction && !group.is_column_sum(node.outputs[0]);
}

}  // namespace lazuli
