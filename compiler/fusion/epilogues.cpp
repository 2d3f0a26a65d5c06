#include <lazuli/compiler/fusion/epilogues.h>

#include <algorithm>
#include <optional>

#include <lazuli/compiler/operations.h>

namespace lazuli {

namespace {

using ValueId = Graph::ValueId;
using NodeId = Graph::NodeId;

class EpilogueFinder {
 public:
  explicit EpilogueFinder(FusionPlan& plan) : plan_(plan), graph_(plan.prepared.graph) {}

  void run() {
    if (!any_host_makes_blocks()) return;
    find_needed_in_memory();
    for (size_t u = 0; u < plan_.units.size(); ++u) {
      FusionUnit& unit = plan_.units[u];
      if (!makes_blocks(unit)) continue;
      const ValueId result = graph_.nodes[unit.node].outputs[0];
      if (in_memory_[result]) continue;
      const std::optional<size_t> reader = only_reader(result);
      if (!reader || !can_be_epilogue(plan_.units[*reader], result)) continue;
      // All that the group needs is there when its turn comes, and nobody else waits for the result.
      FusionUnit& group = plan_.units[*reader];
      group.kind = FusionUnit::Kind::host;
      group.node = unit.node;
      taken_.push_back(u);
    }
    for (size_t i = taken_.size(); i-- > 0;) {
      plan_.units.erase(plan_.units.begin() + static_cast<std::ptrdiff_t>(taken_[i]));
    }
  }

 private:
  static bool is_plain_host(const FusionUnit& unit) {
    return unit.kind == FusionUnit::Kind::host && !unit.has_epilogue();
  }

  bool makes_blocks(const FusionUnit& unit) const {
    return is_plain_host(unit) &&
           static_cast<const HostOperation&>(*graph_.nodes[unit.node].operation).makes_blocks();
  }

  bool any_host_makes_blocks() const {
    return std::any_of(plan_.units.begin(), plan_.units.end(),
                       [&](const FusionUnit& unit) { return makes_blocks(unit); });
  }

  /// Values that anything but a group reads.
  void find_needed_in_memory() {
    in_memory_.resize(graph_.values.size(), false);
    const auto need = [&](ValueId value) { in_memory_[value_under_views(graph_, value)] = true; };
    for (ValueId output : graph_.outputs) need(output);
    for (const Graph::GraphNode& node : graph_.nodes) {
      switch (node.operation->kind()) {
        case OperationKind::elementwise:
        case OperationKind::reduction:
          break;
        case OperationKind::view:
          // Dynamic indices, and what the view only waits for.
          std::for_each(node.inputs.begin() + 1, node.inputs.end(), need);
          break;
        case OperationKind::update:
          need(node.inputs[0]);
          for (size_t i = 2; i < node.inputs.size(); ++i) need_all_of(node.inputs[i]);
          break;
        default:
          std::for_each(node.inputs.begin(), node.inputs.end(), need);
          break;
      }
    }
  }

  /// All that an index is computed from by the kernel that uses it.
  void need_all_of(ValueId value) {
    in_memory_[value] = true;
    const Graph::GraphNode* node = graph_.producer(value);
    if (node == nullptr) return;
    if (node->operation->kind() != OperationKind::view && !plan_.recomputed[value]) return;
    for (ValueId input : node->inputs) need_all_of(input);
  }

  /// The one group that reads a value.
  std::optional<size_t> only_reader(ValueId value) const {
    std::optional<size_t> reader;
    for (size_t u = 0; u < plan_.units.size(); ++u) {
      for (NodeId member : plan_.units[u].group.members) {
        for (const FusionEdge& edge : fusion_edges(graph_, plan_.recomputed, member)) {
          if (edge.value != value || reader == u) continue;
          if (reader) return std::nullopt;
          reader = u;
        }
      }
    }
    return reader;
  }

  /// Whether the group works on the value's own elements, each where it lies.
  bool can_be_epilogue(const FusionUnit& unit, ValueId value) const {
    const FusionGroup& group = unit.group;
    const Shape& shape = graph_.spec(value).shape;
    if (unit.kind != FusionUnit::Kind::group || group.has_reduce() || group.space.size() != shape.size()) {
      return false;
    }
    for (size_t d = 0; d < shape.size(); ++d) {
      if (shape[d].is_symbolic() != group.space[d].is_symbolic() ||
          shape[d].hint() != group.space[d].hint()) {
        return false;
      }
    }
    for (NodeId member : group.members) {
      const std::vector<int>& place = group.place.at(graph_.nodes[member].outputs[0]);
      for (const FusionEdge& edge : fusion_edges(graph_, plan_.recomputed, member)) {
        if (edge.value != value) continue;
        if (edge.dynamic) return false;
        for (size_t d = 0; d < shape.size(); ++d) {
          if (!shape[d].is_symbolic() && shape[d].hint() == 1) continue;
          const IndexTerm& term = edge.map[d];
          const bool same_place = term.dim >= 0 && term.dynamic < 0 && term.scale.same_as(1) &&
                                  term.offset.same_as(0) &&
                                  place[static_cast<size_t>(term.dim)] == static_cast<int>(d);
          if (!same_place) return false;
        }
      }
    }
    return true;
  }

  FusionPlan& plan_;
  const Graph& graph_;
  std::vector<bool> in_memory_;
  std::vector<size_t> taken_;
};

}  // namespace

void attach_epilogues(FusionPlan& plan) {
  EpilogueFinder(plan).run();
}

}  // namespace lazuli
