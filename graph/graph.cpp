#include <lazuli/graph/graph.h>

#include <fmt/format.h>

namespace lazuli {

namespace {

std::string dim_text(const Graph& graph, Dim dim) {
  if (!dim.is_symbolic()) return fmt::format("{}", dim.hint());
  return graph.dims.to_text(dim.symbol() - graph.dim_base);
}

}  // namespace

Graph::ValueId Graph::add_input(ArraySpec spec) {
  const auto id = static_cast<ValueId>(values.size());
  values.push_back({std::move(spec), none, 0, none});
  inputs.push_back(id);
  return id;
}

Graph::ValueId Graph::add_constant(const array& constant) {
  const auto id = static_cast<ValueId>(values.size());
  values.push_back({{constant.shape(), constant.dtype()}, none, 0, static_cast<uint32_t>(constants.size())});
  constants.push_back(constant);
  return id;
}

Graph::NodeId Graph::add_node(Ref<const Operation> operation, std::vector<ValueId> node_inputs,
                              std::vector<ArraySpec> node_outputs) {
  const auto id = static_cast<NodeId>(nodes.size());
  GraphNode node{std::move(operation), std::move(node_inputs), {}};
  for (uint32_t i = 0; i < node_outputs.size(); ++i) {
    node.outputs.push_back(static_cast<ValueId>(values.size()));
    values.push_back({std::move(node_outputs[i]), id, i, none});
  }
  nodes.push_back(std::move(node));
  return id;
}

std::string Graph::value_text(ValueId value) const {
  const ArraySpec& of = spec(value);
  std::string shape;
  for (size_t d = 0; d < of.shape.size(); ++d) shape += (d > 0 ? "," : "") + dim_text(*this, of.shape[d]);
  return fmt::format("%{}: {}[{}]", value, dtype_name(of.dtype), shape);
}

std::string Graph::to_text() const {
  std::string text;
  for (ValueId input : inputs) text += value_text(input) + " = input\n";
  for (ValueId value = 0; value < values.size(); ++value) {
    if (constant(value) == nullptr) continue;
    const auto scalar = scalar_constant(*this, value);
    text += value_text(value) + " = constant" + (scalar ? fmt::format(" {}", *scalar) : "") + "\n";
  }
  for (const GraphNode& node : nodes) {
    for (size_t i = 0; i < node.outputs.size(); ++i)
      text += (i > 0 ? ", " : "") + value_text(node.outputs[i]);
    text += " = " + node.operation->to_string();
    for (size_t i = 0; i < node.inputs.size(); ++i)
      text += fmt::format("{}%{}", i > 0 ? ", " : " ", node.inputs[i]);
    text += '\n';
  }
  text += "return";
  for (size_t i = 0; i < outputs.size(); ++i) text += fmt::format("{}%{}", i > 0 ? ", " : " ", outputs[i]);
  text += '\n';
  for (const DimGuard& guard : dims.guards) {
    static constexpr const char* names[] = {"==", "!=", "<", "<="};
    text += fmt::format("guard {} {} {}\n", dims.to_text(static_cast<uint32_t>(guard.a)),
                        names[static_cast<int>(guard.kind)], dims.to_text(static_cast<uint32_t>(guard.b)));
  }
  return text;
}

std::optional<double> scalar_constant(const Graph& graph, Graph::ValueId value) {
  const array* constant = graph.constant(value);
  if (constant == nullptr || constant->size() != 1 || constant->dtype() == complex64) return std::nullopt;
  return constant->item<double>();
}

}  // namespace lazuli
