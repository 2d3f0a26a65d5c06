#include <lazuli/compiler/fusion/units.h>

#include <algorithm>

#include <lazuli/compiler/operations.h>

namespace lazuli {

namespace {

using ValueId = Graph::ValueId;
using NodeId = Graph::NodeId;

// Where a kernel stops growing: past this, compilation time and register pressure cost more than the traffic.
constexpr int group_cost_limit = 200;
constexpr size_t group_load_limit = 24;

}  // namespace

FusionUnits::FusionUnits(FusionPlan& plan)
    : plan_(plan), unit_of_node_(graph().nodes.size(), Graph::none), edges_(graph().nodes.size()) {}

uint32_t FusionUnits::add(FusionUnit::Kind kind, NodeId node) {
  FusionUnitDraft unit;
  unit.fused.kind = kind;
  unit.fused.node = node;
  unit.first = unit.last = node;
  units_.push_back(std::move(unit));
  return static_cast<uint32_t>(units_.size() - 1);
}

uint32_t FusionUnits::find(uint32_t unit) const {
  while (units_[unit].merged_into != Graph::none) unit = units_[unit].merged_into;
  return unit;
}

uint32_t FusionUnits::unit_of(NodeId node) const {
  return node == Graph::none || unit_of_node_[node] == Graph::none ? Graph::none : find(unit_of_node_[node]);
}

uint32_t FusionUnits::maker_of(ValueId value) const {
  return unit_of(graph().values[value].node);
}

void FusionUnits::add_needs(ValueId value, std::set<uint32_t>& needs) const {
  const NodeId id = graph().values[value].node;
  if (id == Graph::none) return;
  const Graph::GraphNode& node = graph().nodes[id];
  switch (node.operation->kind()) {
    case OperationKind::concatenate:
      for (ValueId part : node.inputs) add_needs(part, needs);
      return;
    case OperationKind::update:
      add_needs(node.inputs[1], needs);
      return;
    default:
      break;
  }
  if (const uint32_t unit = unit_of(id); unit != Graph::none) {
    needs.insert(unit);
    return;
  }
  for (ValueId input : node.inputs) add_needs(input, needs);  // a view, or recomputed
}

void FusionUnits::note_needs(uint32_t unit) {
  for (uint32_t need : units_[unit].needs) ++units_[find(need)].needed_by;
}

void FusionUnits::add_loads(std::vector<FusionEdge>& loads, const std::vector<FusionEdge>& edges) {
  for (const FusionEdge& edge : edges) {
    const bool known = std::any_of(loads.begin(), loads.end(), [&](const FusionEdge& other) {
      return other.value == edge.value && !edge.dynamic && !other.dynamic &&
             std::equal(edge.map.begin(), edge.map.end(), other.map.begin(), other.map.end(),
                        [](const IndexTerm& x, const IndexTerm& y) { return x.same_as(y); });
    });
    if (!known) loads.push_back(edge);
  }
}

std::vector<FusionEdge> FusionUnits::loads_of_both(uint32_t a, uint32_t b) const {
  std::vector<FusionEdge> loads = units_[a].loads;
  add_loads(loads, units_[b].loads);
  std::erase_if(loads, [&](const FusionEdge& edge) {
    const uint32_t maker = maker_of(edge.value);
    return maker == a || maker == b;
  });
  return loads;
}

bool FusionUnits::fits(uint32_t a, uint32_t b) const {
  return units_[a].cost + units_[b].cost <= group_cost_limit &&
         loads_of_both(a, b).size() <= group_load_limit;
}

bool FusionUnits::is_joined(ValueId value) const {
  const Graph::GraphNode* node = graph().producer(value);
  return node != nullptr && (node->operation->kind() == OperationKind::concatenate ||
                             node->operation->kind() == OperationKind::update);
}

bool FusionUnits::reads_memory_of(uint32_t reader, uint32_t maker) const {
  const std::set<uint32_t>& makers = units_[reader].makers;
  return std::any_of(makers.begin(), makers.end(), [&](uint32_t unit) { return find(unit) == maker; });
}

bool FusionUnits::makes_cycle(uint32_t a, uint32_t b) {
  if (reads_memory_of(a, b) || reads_memory_of(b, a)) return true;
  ++stamp_;
  visited_.resize(units_.size(), 0);
  const NodeId first = std::min(units_[a].first, units_[b].first);
  std::vector<uint32_t> stack;
  const auto push_needs = [&](uint32_t unit) {
    for (uint32_t need : units_[unit].needs) stack.push_back(find(need));
  };
  push_needs(a);
  push_needs(b);
  std::erase_if(stack, [&](uint32_t unit) { return unit == a || unit == b; });
  while (!stack.empty()) {
    const uint32_t unit = stack.back();
    stack.pop_back();
    if (unit == a || unit == b) return true;
    if (visited_[unit] == stamp_) continue;
    // What ends before both begin needs neither, unless by a unit that has grown since.
    if (units_[unit].last < first && units_[unit].last <= grown_from_) continue;
    visited_[unit] = stamp_;
    push_needs(unit);
  }
  return false;
}

bool FusionUnits::reaches(uint32_t from, uint32_t target) {
  ++stamp_;
  visited_.resize(units_.size(), 0);
  const NodeId first = units_[target].first;
  std::vector<uint32_t> stack{from};
  while (!stack.empty()) {
    const uint32_t unit = stack.back();
    stack.pop_back();
    if (unit == target) return true;
    if (visited_[unit] == stamp_) continue;
    if (units_[unit].last < first && units_[unit].last <= grown_from_) continue;  // as above
    visited_[unit] = stamp_;
    for (uint32_t need : units_[unit].needs) stack.push_back(find(need));
  }
  return false;
}

void FusionUnits::merge(uint32_t into, uint32_t from) {
  FusionUnitDraft& target = units_[into];
  FusionUnitDraft& source = units_[from];
  const auto others_that_need = [&](uint32_t unit, uint32_t other) {
    const std::set<uint32_t>& needs = units_[other].needs;
    const bool by_other =
        std::any_of(needs.begin(), needs.end(), [&](uint32_t need) { return find(need) == unit; });
    return units_[unit].needed_by - (by_other ? 1 : 0);
  };
  const int of_target = others_that_need(into, from);
  const int of_source = others_that_need(from, into);
  if ((of_target > 0 && target.last < source.last) || (of_source > 0 && source.last < target.last)) {
    grown_from_ = std::min({grown_from_, target.first, source.first});
  }
  target.needed_by = of_target + of_source;
  target.fused.group.members.insert(target.fused.group.members.end(), source.fused.group.members.begin(),
                                    source.fused.group.members.end());
  target.needs.merge(source.needs);
  target.makers.merge(source.makers);
  target.needs.erase(into);
  target.needs.erase(from);
  target.first = std::min(target.first, source.first);
  target.last = std::max(target.last, source.last);
  target.cost += source.cost;
  target.loads = loads_of_both(into, from);
  source.loads.clear();
  source.merged_into = into;
  source.needs.clear();
  source.makers.clear();
  source.fused.group = {};
}

std::vector<FusionUnit> FusionUnits::take_in_order() {
  std::vector<FusionUnit> ordered;
  // Depth first along needs, begun in order of each unit's first node, so that what belongs together
  // stays together.
  std::vector<uint32_t> roots;
  for (uint32_t unit = 0; unit < units_.size(); ++unit) {
    if (units_[unit].merged_into == Graph::none) roots.push_back(unit);
  }
  std::sort(roots.begin(), roots.end(),
            [&](uint32_t a, uint32_t b) { return units_[a].last < units_[b].last; });
  std::vector<uint8_t> state(units_.size(), 0);
  std::vector<uint32_t> stack;
  for (uint32_t root : roots) {
    stack.push_back(root);
    while (!stack.empty()) {
      const uint32_t unit = stack.back();
      if (state[unit] != 0) {
        stack.pop_back();
        if (state[unit] == 1) {
          state[unit] = 2;
          ordered.push_back(std::move(units_[unit].fused));
        }
        continue;
      }
      state[unit] = 1;
      for (uint32_t need : units_[unit].needs) {
        if (state[find(need)] == 0) stack.push_back(find(need));
      }
    }
  }
  return ordered;
}

}  // namespace lazuli
