#include <lazuli/graph/trace.h>

#include <algorithm>
#include <unordered_map>

#include <lazuli/array/evaluator.h>

namespace lazuli {

namespace {

/// From node to entry: open addressing, kept between traversals so that small ones allocate nothing.
class NodeTable {
 public:
  void reset() {
    if (used_ * 8 > slots_.size() || slots_.empty()) {
      slots_.assign(std::max<size_t>(slots_.size(), 64), Slot{});
    } else {
      for (size_t slot : touched_) slots_[slot] = Slot{};
    }
    touched_.clear();
    used_ = 0;
  }
  /// The entry of a node; `fresh` and true where it is new.
  std::pair<uint32_t, bool> insert(const Node* node, uint32_t fresh) {
    if (used_ * 2 >= slots_.size()) grow();
    size_t slot = place(node);
    while (slots_[slot].node != nullptr) {
      if (slots_[slot].node == node) return {slots_[slot].entry, false};
      slot = (slot + 1) & (slots_.size() - 1);
    }
    slots_[slot] = {node, fresh};
    touched_.push_back(slot);
    ++used_;
    return {fresh, true};
  }
  void set(const Node* node, uint32_t entry) {
    size_t slot = place(node);
    while (slots_[slot].node != node) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot].entry = entry;
  }

 private:
  struct Slot {
    const Node* node = nullptr;
    uint32_t entry = 0;
  };
  size_t place(const Node* node) const {
    return (reinterpret_cast<uintptr_t>(node) * 0x9e3779b97f4a7c15u >> 20) & (slots_.size() - 1);
  }
  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    touched_.clear();
    for (const Slot& slot : old) {
      if (slot.node == nullptr) continue;
      size_t at = place(slot.node);
      while (slots_[at].node != nullptr) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = slot;
      touched_.push_back(at);
    }
  }

  std::vector<Slot> slots_;
  std::vector<size_t> touched_;
  size_t used_ = 0;
};

constexpr uint32_t in_progress = Graph::none;

}  // namespace

PendingNodes collect_pending(std::span<const array> outputs) {
  static thread_local NodeTable table;
  table.reset();
  PendingNodes pending;
  struct Frame {
    Node* node;
    size_t next = 0;
  };
  std::vector<Frame> stack;

  // Two passes over each node's inputs: going down, then (all of them having entries) writing them out.
  const auto finish = [&](Node* node, bool is_leaf) {
    table.set(node, static_cast<uint32_t>(pending.entries.size()));
    pending.entries.push_back({node, 0, is_leaf, false});
  };
  const auto visit = [&](Node* node) {
    if (!table.insert(node, in_progress).second) return;
    if (node->state.load(std::memory_order_acquire) == Node::State::lazy) {
      stack.push_back({node});
    } else {
      finish(node, true);
    }
  };
  for (const array& output : outputs) {
    visit(output.node().get());
    while (!stack.empty()) {
      Frame& top = stack.back();
      if (top.next < top.node->inputs.size()) {
        visit(top.node->inputs[top.next++].node().get());
        continue;
      }
      Node* node = top.node;
      stack.pop_back();
      for (const array& input : node->inputs) {
        const uint32_t entry = table.insert(input.node().get(), 0).first;
        pending.inputs.push_back(entry);
        ++pending.entries[entry].uses;
      }
      finish(node, false);
    }
  }
  for (const array& output : outputs) {
    const uint32_t entry = table.insert(output.node().get(), 0).first;
    pending.outputs.push_back(entry);
    ++pending.entries[entry].uses;
    pending.entries[entry].is_kept = true;
  }
  // Looked at once: another thread may let go of one at any time.
  for (uint32_t entry = 0; entry < pending.entries.size(); ++entry) {
    PendingNodes::Entry& e = pending.entries[entry];
    e.is_kept = e.is_kept || pending.is_held(entry);
  }
  return pending;
}

namespace {

const Operation& operation_of(const Node& node) {
  return static_cast<const Operation&>(*node.producer);
}

std::vector<ArraySpec> specs_of(const Node& node) {
  std::vector<ArraySpec> specs;
  for (const NodeOutput& output : node.outputs) specs.push_back({output.shape, output.dtype});
  return specs;
}

/// Adds an entry's node to the graph, its inputs being there; returns the first of its values.
Graph::ValueId add_lazy(Graph& graph, const Node& node, const uint32_t* inputs,
                        const std::vector<Graph::ValueId>& first_value) {
  std::vector<Graph::ValueId> operands;
  operands.reserve(node.inputs.size());
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    operands.push_back(first_value[inputs[i]] + node.inputs[i].output_index());
  }
  const auto id =
      graph.add_node(Ref<const Operation>(&operation_of(node)), std::move(operands), specs_of(node));
  return graph.nodes[id].outputs.front();
}

}  // namespace

TracedGraph build_evaluation_graph(const PendingNodes& pending) {
  TracedGraph traced;
  std::vector<Graph::ValueId> first_value(pending.entries.size());
  const uint32_t* inputs = pending.inputs.data();
  for (uint32_t entry = 0; entry < pending.entries.size(); ++entry) {
    Node& node = *pending.entries[entry].node;
    if (pending.entries[entry].is_leaf) {
      first_value[entry] = static_cast<Graph::ValueId>(traced.graph.values.size());
      for (uint32_t i = 0; i < node.outputs.size(); ++i) {
        traced.graph.add_input({node.outputs[i].shape, node.outputs[i].dtype});
        traced.leaves.emplace_back(Ref<Node>(&node), i);
      }
      continue;
    }
    first_value[entry] = add_lazy(traced.graph, node, inputs, first_value);
    inputs += node.inputs.size();
    if (!pending.entries[entry].is_kept) continue;
    for (uint32_t i = 0; i < node.outputs.size(); ++i) {
      traced.graph.outputs.push_back(first_value[entry] + i);
      traced.output_entries.push_back(entry);
      traced.output_indices.push_back(i);
    }
  }
  return traced;
}

namespace {

bool has_symbols(const Shape& shape) {
  return std::any_of(shape.begin(), shape.end(), [](Dim d) { return d.is_symbolic(); });
}

/// Whether computing an operation again on every call costs next to nothing, so that its result need not be
/// kept in memory as a constant.
bool is_light(const Operation& operation, size_t operands) {
  switch (operation.kind()) {
    case OperationKind::view:
    case OperationKind::reshape:
      return true;
    case OperationKind::elementwise:
      return operands == 0 || operation.name() == "astype";
    default:
      return false;
  }
}

}  // namespace

Graph build_function_graph(std::span<const array> arguments, std::span<const array> results) {
  // Other threads may be evaluating what the function uses besides its arguments.
  std::unique_lock lock(graph_mutex());
  const PendingNodes pending = collect_pending(results);
  const auto count = static_cast<uint32_t>(pending.entries.size());
  std::unordered_map<const Node*, size_t> argument_of;
  for (size_t i = 0; i < arguments.size(); ++i) argument_of.emplace(arguments[i].node().get(), i);

  // What depends on no argument and no symbolic extent is constant; what is not light is computed now.
  std::vector<bool> constant(count), light(count, true);
  std::vector<array> compute_now;
  const uint32_t* inputs = pending.inputs.data();
  std::vector<std::pair<uint32_t, const array*>> uses;  // of constant entries by entries that are not
  for (uint32_t entry = 0; entry < count; ++entry) {
    const Node& node = *pending.entries[entry].node;
    if (pending.entries[entry].is_leaf) {
      const Node::State state = node.state.load(std::memory_order_acquire);
      constant[entry] = state != Node::State::placeholder;
      if (constant[entry] && state != Node::State::computed) {
        compute_now.emplace_back(Ref<Node>(pending.entries[entry].node));  // waits for whoever computes it
      } else if (!constant[entry] && !argument_of.contains(&node)) {
        throw std::runtime_error(
            "[compile] the function uses an argument of another function that is being traced; pass it as an "
            "argument");
      }
      continue;
    }
    bool all = std::none_of(node.outputs.begin(), node.outputs.end(),
                            [](const NodeOutput& output) { return has_symbols(output.shape); });
    bool all_light = is_light(operation_of(node), node.inputs.size());
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      all = all && constant[inputs[i]];
      all_light = all_light && light[inputs[i]];
    }
    all = all && !operation_of(node).has_symbols();
    constant[entry] = all;
    light[entry] = all_light;
    if (!all) {
      for (size_t i = 0; i < node.inputs.size(); ++i) uses.emplace_back(inputs[i], &node.inputs[i]);
    }
    inputs += node.inputs.size();
  }
  for (size_t i = 0; i < results.size(); ++i) uses.emplace_back(pending.outputs[i], &results[i]);
  std::vector<bool> now(count, false);
  for (const auto& [entry, use] : uses) {
    if (!constant[entry] || pending.entries[entry].is_leaf || light[entry] || now[entry]) continue;
    now[entry] = true;
    compute_now.push_back(*use);
  }
  if (!compute_now.empty()) {
    lock.unlock();
    evaluator().eval(compute_now);
    return build_function_graph(arguments, results);  // the computed parts are leaves now
  }

  Graph graph;
  std::vector<Graph::ValueId> first_value(count, Graph::none);
  std::vector<Graph::ValueId> argument_values;
  for (const array& argument : arguments) {
    argument_values.push_back(graph.add_input({argument.shape(), argument.dtype()}));
  }
  inputs = pending.inputs.data();
  for (uint32_t entry = 0; entry < count; ++entry) {
    Node& node = *pending.entries[entry].node;
    if (!pending.entries[entry].is_leaf) {
      first_value[entry] = add_lazy(graph, node, inputs, first_value);
      inputs += node.inputs.size();
    } else if (const auto found = argument_of.find(&node); found != argument_of.end()) {
      first_value[entry] = argument_values[found->second];
    } else {
      first_value[entry] = static_cast<Graph::ValueId>(graph.values.size());
      for (uint32_t i = 0; i < node.outputs.size(); ++i) graph.add_constant(array(Ref<Node>(&node), i));
    }
  }
  for (size_t i = 0; i < results.size(); ++i) {
    graph.outputs.push_back(first_value[pending.outputs[i]] + results[i].output_index());
  }
  return graph;
}

}  // namespace lazuli
