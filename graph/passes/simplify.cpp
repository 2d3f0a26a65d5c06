#include <lazuli/graph/passes/simplify.h>

#include <algorithm>
#include <unordered_map>

#include <lazuli/graph/hash.h>
#include <lazuli/graph/passes/rewrite.h>

namespace lazuli {

namespace {

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
    Ref<const Operation> operation = node.operation;
    for (Rewritten rewritten;
         node.outputs.size() == 1 && rewrite(to_, operation, inputs, specs.front(), rewritten);) {
      if (rewritten.value != Graph::none) {
        mapped_[node.outputs.front()] = rewritten.value;
        return;
      }
      operation = std::move(rewritten.operation);
      inputs = std::move(rewritten.inputs);
    }

    Hasher hasher;
    hasher.add(operation->hash());
    for (Graph::ValueId input : inputs) hasher.add(input);
    auto& candidates = known_[hasher.result()];
    for (Graph::NodeId candidate : candidates) {
      const Graph::GraphNode& other = to_.nodes[candidate];
      if (other.inputs == inputs && other.operation->equals(*operation)) {
        for (size_t i = 0; i < node.outputs.size(); ++i) mapped_[node.outputs[i]] = other.outputs[i];
        return;
      }
    }
    const Graph::NodeId id = to_.add_node(std::move(operation), std::move(inputs), std::move(specs));
    candidates.push_back(id);
    for (size_t i = 0; i < node.outputs.size(); ++i) mapped_[node.outputs[i]] = to_.nodes[id].outputs[i];
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
