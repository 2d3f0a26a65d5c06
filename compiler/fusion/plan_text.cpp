#include <fmt/format.h>

#include <lazuli/compiler/fusion/grouping.h>
#include <lazuli/compiler/operations.h>

namespace lazuli {

namespace {

/// A group as a kernel. `made` is what a prologue makes rows of.
std::string kernel_text(const Graph& graph, const FusionGroup& group, Graph::ValueId made) {
  std::string text = "kernel over [";
  for (size_t k = 0; k < group.space.size(); ++k) {
    text += fmt::format("{}{}{}", k > 0 ? "," : "", group.space[k].hint(), group.reduce[k] ? "r" : "");
  }
  text += ']';
  if (made != Graph::none) text += fmt::format(" makes rows of %{}", made);
  if (made == Graph::none || group.outputs.size() > 1) text += " stores";
  for (Graph::ValueId value : group.outputs) {
    if (value != made) text += fmt::format(" %{}", value);
  }
  text += '\n';
  for (Graph::NodeId member : group.members) {
    const Graph::GraphNode& node = graph.nodes[member];
    text += "  " + graph.value_text(node.outputs[0]) + " = " + node.operation->to_string();
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      text += fmt::format("{}%{}", i > 0 ? ", " : " ", node.inputs[i]);
    }
    text += '\n';
  }
  return text;
}

}  // namespace

std::string FusionPlan::to_text() const {
  std::string text;
  for (const FusionUnit& unit : units) text += to_text(unit);
  return text;
}

std::string FusionPlan::to_text(const FusionUnit& unit) const {
  const Graph& graph = prepared.graph;
  switch (unit.kind) {
    case FusionUnit::Kind::host: {
      const Graph::GraphNode& node = graph.nodes[unit.node];
      if (!unit.has_prologue() && !unit.has_epilogue()) return "host " + node.operation->to_string() + "\n";
      std::string text =
          fmt::format("host {} = {}", graph.value_text(node.outputs[0]), node.operation->to_string());
      if (unit.has_prologue()) text += ", after a " + kernel_text(graph, unit.prologue, unit.made);
      if (!unit.has_epilogue()) return text;
      return text + (unit.has_prologue() ? "  in blocks to a " : ", in blocks to a ") + to_text(unit.group);
    }
    case FusionUnit::Kind::reshape:
      return "reshape\n";
    case FusionUnit::Kind::begin:
      return fmt::format("memory of %{}\n", graph.nodes[unit.node].outputs[0]);
    case FusionUnit::Kind::group:
      break;
  }
  return to_text(unit.group);
}

std::string FusionPlan::to_text(const FusionGroup& group) const {
  return kernel_text(prepared.graph, group, Graph::none);
}

}  // namespace lazuli
