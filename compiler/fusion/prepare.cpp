#include <lazuli/compiler/fusion/prepare.h>

#include <lazuli/compiler/operations.h>

namespace lazuli {

namespace {

/// The identity, as an operation that fusion can place.
class CopyOperation final : public ElementwiseOperation {
 public:
  std::string_view name() const override { return "copy"; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override { return {inputs[0]}; }
  kir::Value expression(ExpressionContext&, std::span<const kir::Value> inputs) const override {
    return inputs[0];
  }
  int cost() const override { return 0; }
};

const Ref<const Operation>& copy_operation() {
  static const Ref<const Operation> operation(new CopyOperation);
  return operation;
}

class Preparer {
 public:
  explicit Preparer(const Graph& from) : from_(from), mapped_(from.values.size(), Graph::none) {}

  PreparedGraph run() {
    Graph& to = result_.graph;
    to.dim_base = from_.dim_base;
    to.dims = from_.dims;
    for (Graph::ValueId input : from_.inputs) mapped_[input] = to.add_input(from_.spec(input));
    for (const Graph::GraphNode& node : from_.nodes) add(node);
    for (Graph::ValueId output : from_.outputs) to.outputs.push_back(strided(map(output)));
    result_.part_of.resize(to.values.size(), Graph::none);
    for (Graph::NodeId id = 0; id < to.nodes.size(); ++id) {
      const Graph::GraphNode& node = to.nodes[id];
      const OperationKind kind = node.operation->kind();
      if (kind == OperationKind::concatenate) {
        for (Graph::ValueId part : node.inputs) result_.part_of[part] = id;
      } else if (kind == OperationKind::update) {
        result_.part_of[node.inputs[1]] = id;
      }
    }
    return std::move(result_);
  }

 private:
  Graph::ValueId map(Graph::ValueId value) {
    if (mapped_[value] == Graph::none) mapped_[value] = result_.graph.add_constant(*from_.constant(value));
    return mapped_[value];
  }

  Graph::ValueId append(const Ref<const Operation>& operation, std::vector<Graph::ValueId> inputs,
                        ArraySpec spec) {
    std::vector<ArraySpec> specs;
    specs.push_back(std::move(spec));
    const auto id = result_.graph.add_node(operation, std::move(inputs), std::move(specs));
    return result_.graph.nodes[id].outputs.front();
  }

  Graph::ValueId copy(Graph::ValueId value) {
    return append(copy_operation(), {value}, result_.graph.spec(value));
  }

  /// The value, copied if it comes out of a dynamic view.
  Graph::ValueId strided(Graph::ValueId value) {
    const Graph& to = result_.graph;
    for (Graph::ValueId at = value;;) {
      const Graph::GraphNode* node = to.producer(at);
      if (node == nullptr || node->operation->kind() != OperationKind::view) return value;
      const auto& view = static_cast<const ViewOperation&>(*node->operation);
      const Shape& from = to.spec(node->inputs[0]).shape;
      if (!view.dynamic_indices(from, to.spec(at).shape).empty()) return copy(value);
      at = node->inputs[0];
    }
  }

  /// What a conversion converts, under the views on top of it, if the host operation can do the conversion.
  Graph::ValueId without_conversion(const HostOperation& host, int operand, Graph::ValueId value) {
    const Graph& to = result_.graph;
    std::vector<const Graph::GraphNode*> views;
    const Graph::GraphNode* node = to.producer(value);
    while (node != nullptr &&
           (node->operation->kind() == OperationKind::reshape ||
            (node->operation->kind() == OperationKind::view && node->inputs.size() == 1))) {
      views.push_back(node);
      node = to.producer(node->inputs[0]);
    }
    if (node == nullptr || node->operation->name() != "astype") return value;
    Graph::ValueId source = node->inputs[0];
    if (!host.accepts(operand, to.spec(source).dtype)) return value;
    const Dtype dtype = to.spec(source).dtype;
    std::vector<std::pair<Ref<const Operation>, Shape>> rebuilt;
    for (auto view = views.rbegin(); view != views.rend(); ++view) {
      rebuilt.emplace_back((*view)->operation, to.spec((*view)->outputs[0]).shape);
    }
    for (auto& [operation, shape] : rebuilt) source = append(operation, {source}, {shape, dtype});
    return source;
  }

  void add(const Graph::GraphNode& node) {
    std::vector<Graph::ValueId> inputs;
    inputs.reserve(node.inputs.size());
    for (Graph::ValueId input : node.inputs) inputs.push_back(map(input));
    switch (node.operation->kind()) {
      case OperationKind::host: {
        const auto& host = static_cast<const HostOperation&>(*node.operation);
        for (size_t i = 0; i < inputs.size(); ++i) {
          inputs[i] = strided(without_conversion(host, static_cast<int>(i), inputs[i]));
        }
        break;
      }
      case OperationKind::reshape:
        inputs[0] = strided(inputs[0]);
        break;
      case OperationKind::concatenate:
        for (Graph::ValueId& input : inputs) input = copy(input);
        break;
      case OperationKind::update:
        inputs[0] = strided(inputs[0]);
        inputs[1] = copy(inputs[1]);
        break;
      default:
        break;
    }
    std::vector<ArraySpec> specs;
    for (Graph::ValueId output : node.outputs) specs.push_back(from_.spec(output));
    const auto id = result_.graph.add_node(node.operation, std::move(inputs), std::move(specs));
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      mapped_[node.outputs[i]] = result_.graph.nodes[id].outputs[i];
    }
  }

  const Graph& from_;
  std::vector<Graph::ValueId> mapped_;
  PreparedGraph result_;
};

}  // namespace

PreparedGraph prepare_for_fusion(const Graph& graph) {
  return Preparer(graph).run();
}

}  // namespace lazuli
