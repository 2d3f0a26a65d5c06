#include <lazuli/compiler/fusion/grouping.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <unordered_map>

#include <lazuli/compiler/fusion/epilogues.h>
#include <lazuli/compiler/fusion/joining.h>
#include <lazuli/compiler/fusion/prologues.h>
#include <lazuli/compiler/fusion/siblings.h>
#include <lazuli/compiler/operations.h>

namespace lazuli {

bool FusionGroup::has_reduce() const {
  return std::find(reduce.begin(), reduce.end(), true) != reduce.end();
}

bool FusionGroup::is_column_sum(Graph::ValueId value) const {
  return std::find(column_sums.begin(), column_sums.end(), value) != column_sums.end();
}

bool FusionGroup::is_full(Graph::ValueId value) const {
  const std::vector<int>& dims = place.at(value);
  for (size_t k = 0; k < space.size(); ++k) {
    if (reduce[k] && std::find(dims.begin(), dims.end(), static_cast<int>(k)) != dims.end()) return true;
  }
  return !has_reduce();
}

namespace {

using ValueId = Graph::ValueId;
using NodeId = Graph::NodeId;

// What is cheaper to compute again than to keep in memory.
constexpr int recompute_cost = 4;
constexpr int recompute_loads = 1;

bool is_unit(Dim extent) {
  return !extent.is_symbolic() && extent.hint() == 1;
}

bool groupable(const Operation& operation) {
  return operation.kind() == OperationKind::elementwise || operation.kind() == OperationKind::reduction;
}

int cost_of(const Operation& operation) {
  return operation.kind() == OperationKind::elementwise
             ? static_cast<const ElementwiseOperation&>(operation).cost()
             : 1;
}

class Planner {
 public:
  Planner(FusionPlan& plan, int threads, bool fuse)
      : plan_(plan),
        units_(plan),
        joiner_(units_, threads),
        stored_(graph().values.size(), false),
        fuse_(fuse) {
    plan_.recomputed.resize(graph().values.size(), false);
  }

  void run() {
    find_stored();
    if (fuse_) find_recomputed();
    for (NodeId id = 0; id < graph().nodes.size(); ++id) add_node(id);
    if (fuse_) merge_siblings(units_, joiner_);
    find_outputs();
    plan_.units = units_.take_in_order();
  }

 private:
  const Graph& graph() const { return plan_.prepared.graph; }

  ValueId through_views(ValueId value) const { return value_under_views(graph(), value); }

  /// Values that must be in memory whatever the groups.
  void find_stored() {
    stored_.resize(graph().values.size(), false);
    for (ValueId output : graph().outputs) stored_[through_views(output)] = true;
    for (const Graph::GraphNode& node : graph().nodes) {
      switch (node.operation->kind()) {
        case OperationKind::host:
          for (ValueId input : node.inputs) stored_[through_views(input)] = true;
          break;
        case OperationKind::reshape:
        case OperationKind::update:
          stored_[through_views(node.inputs[0])] = true;
          break;
        default:
          break;
      }
    }
    for (ValueId value = 0; value < graph().values.size(); ++value) {
      if (plan_.prepared.part_of[value] != Graph::none) stored_[value] = true;
    }
  }

  void find_recomputed() {
    std::vector<int> cost(graph().values.size(), 0), loads(graph().values.size(), 0);
    for (const Graph::GraphNode& node : graph().nodes) {
      if (node.operation->kind() != OperationKind::elementwise) continue;
      const ValueId value = node.outputs[0];
      int total = cost_of(*node.operation), reads = 0;
      for (ValueId input : node.inputs) {
        const ValueId source = through_views(input);
        if (plan_.recomputed[source]) {
          total += cost[source];
          reads += loads[source];
        } else if (!scalar_constant(graph(), source)) {
          ++reads;
        }
      }
      cost[value] = total;
      loads[value] = reads;
      plan_.recomputed[value] = !stored_[value] && total <= recompute_cost && reads <= recompute_loads;
    }
  }

  void add_node(NodeId id) {
    const Graph::GraphNode& node = graph().nodes[id];
    const OperationKind kind = node.operation->kind();
    if (groupable(*node.operation)) {
      if (!plan_.recomputed[node.outputs[0]]) add_to_group(id);
      return;
    }
    if (kind == OperationKind::view) return;
    if (kind == OperationKind::concatenate || kind == OperationKind::update) {
      // The memory was made ready before the parts; see `begin_unit`.
      return;
    }
    const uint32_t unit =
        units_.add(kind == OperationKind::host ? FusionUnit::Kind::host : FusionUnit::Kind::reshape, id);
    for (ValueId input : node.inputs) units_.add_needs(input, units_[unit].needs);
    units_.note_needs(unit);
    units_.set_unit_of(id, unit);
  }

  /// The unit that makes the memory of a concatenate or update ready: made with its first part.
  uint32_t begin_unit(NodeId id) {
    const auto found = begin_units_.find(id);
    if (found != begin_units_.end()) return found->second;
    const Graph::GraphNode& node = graph().nodes[id];
    const uint32_t unit = units_.add(FusionUnit::Kind::begin, id);
    if (node.operation->kind() == OperationKind::update) units_.add_needs(node.inputs[0], units_[unit].needs);
    units_.note_needs(unit);
    begin_units_.emplace(id, unit);
    return unit;
  }

  /// A unit for the node alone.
  uint32_t start_group(NodeId id) {
    const Graph::GraphNode& node = graph().nodes[id];
    units_.set_edges(id, fusion_edges(graph(), plan_.recomputed, id));
    const uint32_t unit = units_.add(FusionUnit::Kind::group, id);
    std::set<uint32_t>& needs = units_[unit].needs;
    // By operands, not by edges: a view may have operands that it only waits for.
    for (ValueId input : node.inputs) units_.add_needs(input, needs);
    for (const FusionEdge& edge : units_.edges(id)) {
      if (units_.is_joined(edge.value)) units_.add_needs(edge.value, units_[unit].makers);
    }
    if (const NodeId joined = plan_.prepared.part_of[node.outputs[0]]; joined != Graph::none) {
      const uint32_t begin = begin_unit(joined);
      units_[unit].needs.insert(begin);
      const Graph::GraphNode& join = graph().nodes[joined];
      if (join.operation->kind() == OperationKind::update) {
        for (size_t i = 2; i < join.inputs.size(); ++i) units_.add_needs(join.inputs[i], units_[unit].needs);
      }
    }
    units_.note_needs(unit);
    units_.set_unit_of(id, unit);
    FusionGroup& group = units_[unit].fused.group;
    group.members = {id};
    const Shape& shape = computing_shape(graph(), node);
    group.space.assign(shape.begin(), shape.end());
    group.reduce.assign(shape.size(), false);
    std::vector<int> dims(shape.size());
    for (size_t d = 0; d < shape.size(); ++d) dims[d] = is_unit(shape[d]) ? -1 : static_cast<int>(d);
    if (node.operation->kind() == OperationKind::reduction) {
      std::vector<int>& operand = group.operand_place[node.outputs[0]];
      operand.resize(shape.size());
      std::iota(operand.begin(), operand.end(), 0);
      for (int axis : static_cast<const ReductionOperation&>(*node.operation).axes()) {
        group.reduce[static_cast<size_t>(axis)] = true;
        dims[static_cast<size_t>(axis)] = -1;
      }
    }
    group.place[node.outputs[0]] = std::move(dims);
    units_[unit].cost = cost_of(*node.operation);
    FusionUnits::add_loads(units_[unit].loads, units_.edges(id));
    return unit;
  }

  void add_to_group(NodeId id) {
    const uint32_t unit = start_group(id);
    if (!fuse_) return;
    // Join the groups that make what this node needs: those that reduce first, since their spaces are larger.
    std::vector<uint32_t> candidates;
    for (const FusionEdge& edge : units_.edges(id)) {
      const uint32_t producer = units_.maker_of(edge.value);
      if (producer == Graph::none || units_[producer].fused.kind != FusionUnit::Kind::group) continue;
      if (std::find(candidates.begin(), candidates.end(), producer) == candidates.end()) {
        candidates.push_back(producer);
      }
    }
    std::stable_sort(candidates.begin(), candidates.end(), [&](uint32_t a, uint32_t b) {
      return units_[a].fused.group.has_reduce() > units_[b].fused.group.has_reduce();
    });
    for (uint32_t candidate : candidates) {
      const uint32_t current = units_.find(unit);
      const uint32_t producer = units_.find(candidate);
      if (producer == current) continue;
      const char* refused =
          current == unit ? joiner_.join(producer, unit, id) : joiner_.join_producer(current, producer, id);
      if (refused != nullptr) refuse(id, producer, refused);
    }
    if (units_.find(unit) == unit) join_reader(id, unit);
    for (const FusionEdge& edge : units_.edges(id)) readers_[edge.value].push_back(unit);
  }

  /// Sums over rows join a group that goes over the same rows anyway.
  void join_reader(NodeId id, uint32_t unit) {
    if (graph().nodes[id].operation->kind() != OperationKind::reduction) return;
    for (const FusionEdge& edge : units_.edges(id)) {
      const auto readers = readers_.find(edge.value);
      if (edge.dynamic || readers == readers_.end()) continue;
      for (const uint32_t reader : readers->second) {
        if (joiner_.join_reader(units_.find(reader), unit, id)) return;
      }
    }
  }

  void refuse(NodeId id, uint32_t producer, const char* reason) {
    for (const FusionEdge& edge : units_.edges(id)) {
      if (units_.maker_of(edge.value) != producer) continue;
      plan_.refusals.push_back({id, edge.value, reason});
      return;
    }
  }

  void find_outputs() {
    std::vector<bool> needed = stored_;
    const auto need_from_elsewhere = [&](ValueId value, uint32_t reader) {
      const uint32_t maker = units_.maker_of(value);
      if (maker != Graph::none && maker != reader) needed[value] = true;
    };
    for (NodeId id = 0; id < graph().nodes.size(); ++id) {
      for (const FusionEdge& edge : units_.edges(id)) need_from_elsewhere(edge.value, units_.unit_of(id));
      const Graph::GraphNode& node = graph().nodes[id];
      if (node.operation->kind() != OperationKind::update) continue;
      // The part's kernel reads the dynamic indices.
      const uint32_t reader = units_.maker_of(node.inputs[1]);
      for (size_t i = 2; i < node.inputs.size(); ++i) {
        for (const FusionEdge& edge : fusion_edges_of_value(graph(), plan_.recomputed, node.inputs[i])) {
          needed[edge.value] = true;
          need_from_elsewhere(edge.value, reader);
        }
      }
    }
    for (uint32_t unit = 0; unit < units_.size(); ++unit) {
      if (units_.is_merged(unit) || units_[unit].fused.kind != FusionUnit::Kind::group) continue;
      FusionGroup& group = units_[unit].fused.group;
      std::sort(group.members.begin(), group.members.end());
      for (NodeId member : group.members) {
        const ValueId value = graph().nodes[member].outputs[0];
        if (needed[value]) group.outputs.push_back(value);
      }
    }
  }

  FusionPlan& plan_;
  FusionUnits units_;
  FusionJoiner joiner_;
  std::vector<bool> stored_;
  bool fuse_;
  std::unordered_map<NodeId, uint32_t> begin_units_;
  std::unordered_map<ValueId, std::vector<uint32_t>> readers_;  // of each value, the units that read it
};

}  // namespace

FusionPlan plan_fusion(PreparedGraph prepared, int threads, bool fuse) {
  FusionPlan plan;
  plan.prepared = std::move(prepared);
  Planner(plan, threads, fuse).run();
  if (fuse) {
    attach_epilogues(plan);
    attach_prologues(plan);
  }
  return plan;
}

}  // namespace lazuli
