#include <lazuli/compiler/fusion/reasons.h>

#include <algorithm>
#include <set>
#include <vector>

#include <fmt/format.h>

#include <lazuli/compiler/operations.h>

namespace lazuli {
namespace {

using ValueId = Graph::ValueId;
using NodeId = Graph::NodeId;

class Reasons {
 public:
  /// `made` is what a prologue makes rows of.
  Reasons(const FusionPlan& plan, const FusionGroup& group, ValueId made)
      : plan_(plan), group_(group), made_(made), graph_(plan.prepared.graph) {}

  std::string text() {
    say_what_is_shared();
    say_what_is_recomputed();
    say_what_is_stored();
    say_what_was_refused();
    return text_;
  }

 private:
  const FusionGroup& group() const { return group_; }

  bool is_member(NodeId node) const {
    return std::find(group().members.begin(), group().members.end(), node) != group().members.end();
  }

  void say_what_is_shared() {
    const size_t members = group().members.size();
    if (members == 1) return;
    if (!group().has_reduce()) {
      text_ += fmt::format(
          "{} operations at the same points: what one makes, the next takes from registers\n", members);
      return;
    }
    const auto reductions = std::count_if(group().members.begin(), group().members.end(), [&](NodeId node) {
      const Graph::GraphNode& member = graph_.nodes[node];
      return member.operation->kind() == OperationKind::reduction &&
             !group().is_column_sum(member.outputs[0]);
    });
    text_ += fmt::format(
        "{} operations, {} of them reductions over the same dimensions: a row stays in cache throughout\n",
        members, reductions, reductions == 1 ? "a reduction" : "reductions");
    for (ValueId value : group().column_sums) {
      text_ +=
          fmt::format("sums %{} up row by row, 64 or more of them in a row of sums of their own\n", value);
    }
  }

  /// Values that members use and that no kernel stores.
  void find_recomputed(ValueId value, std::set<ValueId>& found) const {
    const Graph::GraphNode* node = graph_.producer(value);
    if (node == nullptr) return;
    if (plan_.recomputed[value]) {
      found.insert(value);
    } else if (node->operation->kind() != OperationKind::view) {
      return;
    }
    for (ValueId input : node->inputs) find_recomputed(input, found);
  }

  void say_what_is_recomputed() {
    std::set<ValueId> found;
    for (NodeId member : group().members) {
      for (ValueId input : graph_.nodes[member].inputs) find_recomputed(input, found);
    }
    for (ValueId value : found) {
      text_ += fmt::format("computes {} = {} where it is needed: cheaper than to store and load it\n",
                           graph_.value_text(value), graph_.producer(value)->operation->to_string());
    }
  }

  /// Who needs a value in memory, looking through views.
  void find_readers(ValueId value, std::vector<std::string>& readers) const {
    const auto add = [&](const std::string& reader) {
      if (std::find(readers.begin(), readers.end(), reader) == readers.end()) readers.push_back(reader);
    };
    if (std::find(graph_.outputs.begin(), graph_.outputs.end(), value) != graph_.outputs.end())
      add("a result");
    if (const NodeId whole = plan_.prepared.part_of[value]; whole != Graph::none) {
      add(fmt::format("a part of %{}", graph_.nodes[whole].outputs[0]));
    }
    for (NodeId id = 0; id < graph_.nodes.size(); ++id) {
      const Graph::GraphNode& node = graph_.nodes[id];
      if (std::find(node.inputs.begin(), node.inputs.end(), value) == node.inputs.end()) continue;
      switch (node.operation->kind()) {
        case OperationKind::host:
          add("needed whole by " + std::string(node.operation->name()));
          break;
        case OperationKind::view:
          find_readers(node.outputs[0], readers);
          break;
        case OperationKind::reshape:
          add("reshaped");
          break;
        case OperationKind::elementwise:
        case OperationKind::reduction:
          if (!is_member(id)) add(fmt::format("read by another kernel for %{}", node.outputs[0]));
          break;
        default:
          break;
      }
    }
  }

  void say_what_is_stored() {
    for (ValueId value : group().outputs) {
      if (value == made_) continue;
      std::vector<std::string> readers;
      find_readers(value, readers);
      if (!readers.empty()) text_ += fmt::format("stores %{}: {}\n", value, fmt::join(readers, ", "));
    }
  }

  void say_what_was_refused() {
    for (const FusionRefusal& refusal : plan_.refusals) {
      const NodeId maker = graph_.values[refusal.needed].node;
      if (is_member(refusal.node) == is_member(maker))
        continue;  // elsewhere, or they came together after all
      if (!is_member(refusal.node)) continue;
      text_ += fmt::format("apart from the kernel that makes %{}: for %{}, {}\n", refusal.needed,
                           graph_.nodes[refusal.node].outputs[0], refusal.reason);
    }
  }

  const FusionPlan& plan_;
  const FusionGroup& group_;
  const ValueId made_;
  const Graph& graph_;
  std::string text_;
};

}  // namespace

std::string fusion_reasons(const FusionPlan& plan, const FusionUnit& unit) {
  std::string text;
  switch (unit.kind) {
    case FusionUnit::Kind::host:
      if (!unit.has_prologue() && !unit.has_epilogue()) {
        return "a template or library call, which runs as a whole\n";
      }
      if (unit.has_prologue()) {
        text += fmt::format(
            "nothing else reads %{}: its rows are made when they are needed, and not stored\n", unit.made);
        text += Reasons(plan, unit.prologue, unit.made).text();
      }
      if (!unit.has_epilogue()) return text;
      text += fmt::format(
          "nothing else reads %{}: it is used block by block while in the caches, and not stored\n",
          plan.prepared.graph.nodes[unit.node].outputs[0]);
      break;
    case FusionUnit::Kind::reshape:
      return "another view of the same memory where strides allow one, otherwise a copy\n";
    case FusionUnit::Kind::begin:
      return "kernels write parts of it straight into place\n";
    case FusionUnit::Kind::group:
      break;
  }
  return text + Reasons(plan, unit.group, Graph::none).text();
}

}  // namespace lazuli
