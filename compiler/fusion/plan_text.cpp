#include <fmt/format.h>

#include <lazuli/compiler/fusion/grouping.h>
#include <lazuli/compiler/operations.h>

namespace lazuli {

std::string FusionPlan::to_text() const {
  std::string text;
  for (const FusionUnit& unit : units) text += to_text(unit);
  return text;
}

std::string FusionPlan::to_text(const FusionUnit& unit) const {
  const Graph& graph = prepared.graph;
  switch (unit.kind) {
    case FusionUnit::Kind::host:
      if (!unit.has_epilogue()) return "host " + graph.nodes[unit.node].operation->to_string() + "\n";
      break;
    case FusionUnit::Kind::reshape:
      return "reshape\n";
    case FusionUnit::Kind::begin:
      return fmt::format("memory of %{}\n", graph.nodes[unit.node].outputs[0]);
    case FusionUnit::Kind::group:
      break;
  }
  std::string text;
  if (unit.has_epilogue()) {
    const Graph::GraphNode& node = graph.nodes[unit.node];
    text = fmt::format("host {} = {}, in blocks to a ", graph.value_text(node.outputs[0]),
                       node.operation->to_string());
  }
  text += "kernel over [";
  for (size_t k = 0; k < unit.group.space.size(); ++k) {
    text +=
        fmt::format("{}{}{}", k > 0 ? "," : "", unit.group.space[k].hint(), unit.group.reduce[k] ? "r" : "");
  }
  text += "] stores";
  for (Graph::ValueId value : unit.group.outputs) text += fmt::format(" %{}", value);
  text += '\n';
  for (Graph::NodeId member : unit.group.members) {
    const Graph::GraphNode& node = graph.nodes[member];
    text += "  " + graph.value_text(node.outputs[0]) + " = " + node.operation->to_string();
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      text += fmt::format("{}%{}", i > 0 ? ", " : " ", node.inputs[i]);
    }
    text += '\n';
  }
  return text;
}

}  // namespace lazuli
