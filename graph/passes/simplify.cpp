#include <lazuli/graph/passes/simplify.h>

#include <algorithm>
#include <unordered_map>

#include <lazuli/graph/hash.h>

namespace lazuli {

namespace {

bool same_shape(const Shape& a, const Shape& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](Dim x, Dim y) { return x.same_as(y); });
}

/// Copies a graph node by node, simplifying on the way.
class Simplifier {
 public:
  explicit Simplifier(const Graph& from) : from_(from), mapped_(from.values.size(), Graph::none) {
    to_.dim_base = from.dim_base;
    to_.dims = from.dims;
  }

  Graph run() {
    const std::vector<bool> live = live_nodes();
    for (Graph::ValueId input : from_.inputs) mapped_[input] = to_.add_input(from_.spec(input));
    for (Graph::NodeId id = 0; id < from_.nodes.size(); ++id) {
      if (live[id]) copy(from_.nodes[id]);
    }
    for (Graph::ValueId output : from_.outputs) to_.outputs.push_back(map(output));
    return std::move(to_);
  }

 private:
  std::vector<bool> live_nodes() const {
    std::vector<bool> live(from_.nodes.size(), false);
    const auto mark = [&](Graph::ValueId value) {
      if (from_.values[value].node != Graph::none) live[from_.values[value].node] = true;
    };
    std::for_each(from_.outputs.begin(), from_.outputs.end(), mark);
    for (size_t id = live.size(); id-- > 0;) {
      if (live[id]) std::for_each(from_.nodes[id].inputs.begin(), from_.nodes[id].inputs.end(), mark);
    }
    return live;
  }

  /// The new value of an old one; constants come along when they are first used.
  Graph::ValueId map(Graph::ValueId value) {
    if (mapped_[value] != Graph::none) return mapped_[value];
    const array& constant = *from_.constant(value);
    const auto [found, is_new] = constants_.emplace(constant.id(), 0);
    if (is_new) found->second = to_.add_constant(constant);
    return mapped_[value] = found->second;
  }

  void copy(const Graph::GraphNode& node) {
    std::vector<Graph::ValueId> inputs;
    inputs.reserve(node.inputs.size());
    for (Graph::ValueId input : node.inputs) inputs.push_back(map(input));
    std::vector<ArraySpec> specs;
    for (Graph::ValueId output : node.outputs) specs.push_back(from_.spec(output));

    if (node.operation->kind() == OperationKind::forward) {
      const auto& forward = static_cast<const ForwardOperation&>(*node.operation);
      for (size_t i = 0; i < node.outputs.size(); ++i) mapped_[node.outputs[i]] = inputs[forward.source(i)];
      return;
    }
    if (const Graph::ValueId same = unchanged(*node.operation, inputs, specs.front()); same != Graph::none) {
      mapped_[node.outputs.front()] = same;
      return;
    }
    if (node.operation->kind() == OperationKind::reshape) {
      // Only the last of several reshapes matters.
      while (const auto* producer = to_.producer(inputs[0])) {
        if (producer->operation->kind() != OperationKind::reshape) break;
        inputs[0] = producer->inputs[0];
      }
      if (same_shape(to_.spec(inputs[0]).shape, specs[0].shape)) {
        mapped_[node.outputs.front()] = inputs[0];
        return;
      }
    }

    Hasher hasher;
    hasher.add(node.operation->hash());
    for (Graph::ValueId input : inputs) hasher.add(input);
    auto& candidates = known_[hasher.result()];
    for (Graph::NodeId candidate : candidates) {
      const Graph::GraphNode& other = to_.nodes[candidate];
      if (other.inputs == inputs && other.operation->equals(*node.operation)) {
        for (size_t i = 0; i < node.outputs.size(); ++i) mapped_[node.outputs[i]] = other.outputs[i];
        return;
      }
    }
    const Graph::NodeId id = to_.add_node(node.operation, std::move(inputs), std::move(specs));
    candidates.push_back(id);
    for (size_t i = 0; i < node.outputs.size(); ++i) mapped_[node.outputs[i]] = to_.nodes[id].outputs[i];
  }

  /// The input that the operation hands on unchanged, or none.
  Graph::ValueId unchanged(const Operation& operation, const std::vector<Graph::ValueId>& inputs,
                           const ArraySpec& result) const {
    if (inputs.empty()) return Graph::none;
    const ArraySpec& first = to_.spec(inputs[0]);
    const bool same_spec = first.dtype == result.dtype && same_shape(first.shape, result.shape);
    const std::string_view name = operation.name();
    switch (operation.kind()) {
      case OperationKind::reshape: return same_spec ? inputs[0] : Graph::none;
      case OperationKind::concatenate: return inputs.size() == 1 ? inputs[0] : Graph::none;
      case OperationKind::view:
        return (name == "broadcast_to" && same_spec) ? inputs[0] : Graph::none;
      case OperationKind::elementwise: break;
      default: return Graph::none;
    }
    if (name == "astype" && same_spec) return inputs[0];
    if (name == "negative" || name == "logical_not") {
      const auto* producer = to_.producer(inputs[0]);
      if (producer != nullptr && producer->operation->name() == name &&
          to_.spec(producer->inputs[0]).dtype == result.dtype) {
        return producer->inputs[0];
      }
    }
    if (inputs.size() == 2) {
      const ArraySpec& second = to_.spec(inputs[1]);
      const auto left = scalar_constant(to_, inputs[0]);
      const auto right = scalar_constant(to_, inputs[1]);
      if (same_spec && right == 1.0 && (name == "multiply" || name == "divide")) return inputs[0];
      if (same_spec && right == 0.0 && name == "subtract") return inputs[0];
      if (left == 1.0 && name == "multiply" && second.dtype == result.dtype &&
          same_shape(second.shape, result.shape)) {
        return inputs[1];
      }
    }
    return Graph::none;
  }

  const Graph& from_;
  Graph to_;
  std::vector<Graph::ValueId> mapped_;
  std::unordered_map<uintptr_t, Graph::ValueId> constants_;
  std::unordered_map<uint64_t, std::vector<Graph::NodeId>> known_;
};

}  // namespace

Graph simplify(const Graph& graph) {
  // A second pass drops what the first made superfluous.
  return Simplifier(Simplifier(graph).run()).run();
}

}  // namespace lazuli
