#include <lazuli/compiler/fusion/edges.h>

#include <lazuli/compiler/operations.h>

namespace lazuli {

namespace {

using ValueId = Graph::ValueId;

void add_edges(const Graph& graph, const std::vector<bool>& recomputed, ValueId value, const IndexMap& map,
               bool dynamic, std::vector<FusionEdge>& edges) {
  const Graph::GraphNode* node = graph.producer(value);
  if (node != nullptr && node->operation->kind() == OperationKind::view) {
    const auto& view = static_cast<const ViewOperation&>(*node->operation);
    const Shape& input = graph.spec(node->inputs[0]).shape;
    const Shape& output = graph.spec(value).shape;
    for (const DynamicIndex& index : view.dynamic_indices(input, output)) {
      dynamic = true;
      add_edges(graph, recomputed, node->inputs[static_cast<size_t>(index.operand)], compose(index.map, map),
                false, edges);
    }
    add_edges(graph, recomputed, node->inputs[0], compose(view.map(input, output), map), dynamic, edges);
    return;
  }
  if (node != nullptr && recomputed[value]) {
    for (ValueId operand : node->inputs) {
      add_edges(graph, recomputed, operand,
                compose(broadcast_map(graph.spec(operand).shape, graph.spec(value).shape), map), dynamic,
                edges);
    }
    return;
  }
  edges.push_back({value, map, dynamic});
}

}  // namespace

const Shape& computing_shape(const Graph& graph, const Graph::GraphNode& node) {
  return node.operation->kind() == OperationKind::reduction ? graph.spec(node.inputs[0]).shape
                                                            : graph.spec(node.outputs[0]).shape;
}

std::vector<FusionEdge> fusion_edges(const Graph& graph, const std::vector<bool>& recomputed,
                                     Graph::NodeId id) {
  const Graph::GraphNode& node = graph.nodes[id];
  const Shape& shape = computing_shape(graph, node);
  std::vector<FusionEdge> edges;
  for (ValueId input : node.inputs) {
    add_edges(graph, recomputed, input, broadcast_map(graph.spec(input).shape, shape), false, edges);
  }
  return edges;
}

std::vector<FusionEdge> fusion_edges_of_value(const Graph& graph, const std::vector<bool>& recomputed,
                                              ValueId value) {
  std::vector<FusionEdge> edges;
  add_edges(graph, recomputed, value, identity_map(static_cast<int>(graph.spec(value).shape.size())), false,
            edges);
  return edges;
}

Graph::ValueId value_under_views(const Graph& graph, Graph::ValueId value) {
  for (const auto* node = graph.producer(value);
       node != nullptr && node->operation->kind() == OperationKind::view; node = graph.producer(value)) {
    value = node->inputs[0];
  }
  return value;
}

}  // namespace lazuli
