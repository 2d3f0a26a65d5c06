#include <lazuli/graph/transforms/tracing.h>

#include <algorithm>

namespace lazuli::transforms {

namespace {

thread_local int tracing_depth = 0;

/// Its input, under another name.
class Identity final : public ForwardOperation {
 public:
  std::string_view name() const override { return "identity"; }
  std::vector<ArraySpec> infer(std::span<const ArraySpec> inputs) const override { return {inputs[0]}; }
  size_t source(size_t) const override { return 0; }
  Differentials vjp(const Application&, const Differentials& cotangents,
                    const std::vector<bool>&) const override {
    return cotangents;
  }
  Differentials jvp(const Application&, const Differentials& tangents) const override { return tangents; }
  std::vector<array> vmap(std::span<const array> inputs, const std::vector<bool>&, Dim) const override {
    return {inputs[0]};
  }
};

}  // namespace

TracingScope::TracingScope() {
  ++tracing_depth;
}
TracingScope::~TracingScope() {
  --tracing_depth;
}

bool is_tracing() {
  return tracing_depth > 0;
}

array stand_in(const array& a) {
  static const Ref<const Operation> identity(new Identity);
  array result = apply(identity, {a});
  if (!a.is_available()) return result;
  Node& node = *result.node();
  node.outputs.front() = a.node()->outputs[a.output_index()];
  node.set_state(Node::State::computed);
  return result;
}

Record::Record(std::span<const array> results, std::span<const array> from, std::span<const array> known) {
  // Other threads may be evaluating what the function uses besides its arguments.
  const std::lock_guard lock(graph_mutex());
  for (const array& a : from) reached_.insert(a.node().get());
  std::unordered_set<const Node*> visited = reached_;
  for (const array& a : known) visited.insert(a.node().get());
  struct Frame {
    Ref<Node> node;
    size_t inputs = 0;
    size_t next = 0;
  };
  std::vector<Frame> stack;
  const auto visit = [&](const Ref<Node>& node) {
    if (!node->producer || !visited.insert(node.get()).second) return;
    const Operation& operation = operation_of(*node);
    size_t inputs = node->inputs.size();
    if (operation.kind() == OperationKind::forward) {
      inputs = static_cast<const ForwardOperation&>(operation).inputs_of_rules();
    }
    stack.push_back({node, inputs});
  };
  for (const array& result : results) {
    visit(result.node());
    while (!stack.empty()) {
      Frame& top = stack.back();
      if (top.next < top.inputs) {
        visit(top.node->inputs[top.next++].node());
        continue;
      }
      const Ref<Node> node = std::move(top.node);
      stack.pop_back();
      if (std::any_of(node->inputs.begin(), node->inputs.end(), [&](const array& a) { return reaches(a); })) {
        reached_.insert(node.get());
        nodes_.push_back(node);
      }
    }
  }
}

void Record::release() const {
  // Nodes further back may go with the inputs: all are let go of at the end.
  std::vector<std::vector<array>> dropped;
  for (const Ref<Node>& node : nodes_) {
    if (!node->is_computed()) continue;
    dropped.push_back(std::move(node->inputs));
    node->inputs.clear();
    node->producer = nullptr;
  }
}

std::vector<array> outputs_of(const Ref<Node>& node) {
  std::vector<array> outputs;
  for (uint32_t i = 0; i < node->outputs.size(); ++i) outputs.emplace_back(node, i);
  return outputs;
}

}  // namespace lazuli::transforms
