#include <lazuli/compiler/fusion/grouping.h>

#include <algorithm>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include <lazuli/compiler/fusion/epilogues.h>
#include <lazuli/compiler/operations.h>

namespace lazuli {

bool FusionGroup::has_reduce() const {
  return std::find(reduce.begin(), reduce.end(), true) != reduce.end();
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
// Where a kernel stops growing: past this, compilation time and register pressure cost more than the traffic.
constexpr int group_cost_limit = 200;
constexpr size_t group_load_limit = 24;
// Up to here one thread does a row program, whatever the number of rows.
constexpr int64_t small_work = 65536;

bool is_unit(Dim extent) {
  return !extent.is_symbolic() && extent.hint() == 1;
}

bool is_unscaled(const IndexTerm& term) {
  return term.dim >= 0 && term.dynamic < 0 && term.scale.same_as(1) && term.offset.same_as(0);
}

bool groupable(const Operation& operation) {
  return operation.kind() == OperationKind::elementwise || operation.kind() == OperationKind::reduction;
}

int cost_of(const Operation& operation) {
  return operation.kind() == OperationKind::elementwise
             ? static_cast<const ElementwiseOperation&>(operation).cost()
             : 1;
}

void add_edges(const Graph& graph, const std::vector<bool>& recomputed, ValueId value, const IndexMap& map,
               bool dynamic, std::vector<FusionEdge>& edges) {
  const Graph::GraphNode* node = graph.producer(value);
  if (node != nullptr && node->operation->kind() == OperationKind::view) {
    const auto& view = static_cast<const ViewOperation&>(*node->operation);
    const Shape& input = graph.spec(node->inputs[0]).shape;
    const Shape& output = graph.spec(value).shape;
    for (const DynamicIndex& index : view.dynamic_indices(input, output)) {
      dynamic = true;
      add_edges(graph, recomputed, node->inputs[static_cast<size_t>(index.operand)], compose(index.map, map),
                false, edges);
    }
    add_edges(graph, recomputed, node->inputs[0], compose(view.map(input, output), map), dynamic, edges);
    return;
  }
  if (node != nullptr && recomputed[value]) {
    for (ValueId operand : node->inputs) {
      add_edges(graph, recomputed, operand,
                compose(broadcast_map(graph.spec(operand).shape, graph.spec(value).shape), map), dynamic,
                edges);
    }
    return;
  }
  edges.push_back({value, map, dynamic});
}

/// The shape whose coordinates a node is computed at.
const Shape& computing_shape(const Graph& graph, const Graph::GraphNode& node) {
  return node.operation->kind() == OperationKind::reduction ? graph.spec(node.inputs[0]).shape
                                                            : graph.spec(node.outputs[0]).shape;
}

class Planner {
 public:
  Planner(PreparedGraph prepared, int threads) : threads_(threads) {
    plan_.prepared = std::move(prepared);
    plan_.recomputed.resize(graph().values.size(), false);
  }

  FusionPlan run() {
    find_stored();
    find_recomputed();
    unit_of_node_.resize(graph().nodes.size(), Graph::none);
    edges_.resize(graph().nodes.size());
    for (NodeId id = 0; id < graph().nodes.size(); ++id) add_node(id);
    merge_sibling_parts();
    find_outputs();
    order_units();
    return std::move(plan_);
  }

 private:
  struct Unit {
    FusionUnit fused;
    std::set<uint32_t> needs;   // units that run before; may name merged ones
    std::set<uint32_t> makers;  // those among them that make memory which this one reads as a whole
    NodeId first = 0, last = 0;
    int cost = 0;
    std::vector<FusionEdge> loads;  // what it reads that others make, each way of reading it once
    uint32_t merged_into = Graph::none;
  };

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

  uint32_t find(uint32_t unit) const {
    while (units_[unit].merged_into != Graph::none) unit = units_[unit].merged_into;
    return unit;
  }

  /// The units that must have run before a value can be read.
  void add_needs(ValueId value, std::set<uint32_t>& needs) const {
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
    if (unit_of_node_[id] != Graph::none) {
      needs.insert(find(unit_of_node_[id]));
      return;
    }
    for (ValueId input : node.inputs) add_needs(input, needs);  // a view, or recomputed
  }

  uint32_t new_unit(FusionUnit::Kind kind, NodeId node) {
    Unit unit;
    unit.fused.kind = kind;
    unit.fused.node = node;
    unit.first = unit.last = node;
    units_.push_back(std::move(unit));
    return static_cast<uint32_t>(units_.size() - 1);
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
        new_unit(kind == OperationKind::host ? FusionUnit::Kind::host : FusionUnit::Kind::reshape, id);
    for (ValueId input : node.inputs) add_needs(input, units_[unit].needs);
    unit_of_node_[id] = unit;
  }

  /// The unit that makes the memory of a concatenate or update ready: made with its first part.
  uint32_t begin_unit(NodeId id) {
    const auto found = begin_units_.find(id);
    if (found != begin_units_.end()) return found->second;
    const Graph::GraphNode& node = graph().nodes[id];
    const uint32_t unit = new_unit(FusionUnit::Kind::begin, id);
    if (node.operation->kind() == OperationKind::update) add_needs(node.inputs[0], units_[unit].needs);
    begin_units_.emplace(id, unit);
    return unit;
  }

  void add_to_group(NodeId id) {
    const Graph::GraphNode& node = graph().nodes[id];
    edges_[id] = fusion_edges(graph(), plan_.recomputed, id);
    const uint32_t unit = new_unit(FusionUnit::Kind::group, id);
    std::set<uint32_t>& needs = units_[unit].needs;
    // By operands, not by edges: a view may have operands that it only waits for.
    for (ValueId input : node.inputs) add_needs(input, needs);
    for (const FusionEdge& edge : edges_[id]) {
      if (is_joined(edge.value)) add_needs(edge.value, units_[unit].makers);
    }
    if (const NodeId joined = plan_.prepared.part_of[node.outputs[0]]; joined != Graph::none) {
      const uint32_t begin = begin_unit(joined);
      units_[unit].needs.insert(begin);
      const Graph::GraphNode& join = graph().nodes[joined];
      if (join.operation->kind() == OperationKind::update) {
        for (size_t i = 2; i < join.inputs.size(); ++i) add_needs(join.inputs[i], units_[unit].needs);
      }
    }
    unit_of_node_[id] = unit;
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
    add_loads(units_[unit].loads, edges_[id]);

    // Join the groups that make what this node needs: those that reduce first, since their spaces are larger.
    std::vector<uint32_t> candidates;
    for (const FusionEdge& edge : edges_[id]) {
      const NodeId maker = graph().values[edge.value].node;
      if (maker == Graph::none || unit_of_node_[maker] == Graph::none) continue;
      const uint32_t producer = find(unit_of_node_[maker]);
      if (units_[producer].fused.kind != FusionUnit::Kind::group) continue;
      if (std::find(candidates.begin(), candidates.end(), producer) == candidates.end()) {
        candidates.push_back(producer);
      }
    }
    std::stable_sort(candidates.begin(), candidates.end(), [&](uint32_t a, uint32_t b) {
      return units_[a].fused.group.has_reduce() > units_[b].fused.group.has_reduce();
    });
    for (uint32_t candidate : candidates) {
      const uint32_t current = find(unit);
      const uint32_t producer = find(candidate);
      if (producer == current) continue;
      const char* refused = current == unit ? join(producer, unit, id) : join_producer(current, producer, id);
      if (refused != nullptr) refuse(id, producer, refused);
    }
  }

  void refuse(NodeId id, uint32_t producer, const char* reason) {
    for (const FusionEdge& edge : edges_[id]) {
      const NodeId maker = graph().values[edge.value].node;
      if (maker == Graph::none || unit_of_node_[maker] == Graph::none ||
          find(unit_of_node_[maker]) != producer)
        continue;
      plan_.refusals.push_back({id, edge.value, reason});
      return;
    }
  }

  static void add_loads(std::vector<FusionEdge>& loads, const std::vector<FusionEdge>& edges) {
    for (const FusionEdge& edge : edges) {
      const bool known = std::any_of(loads.begin(), loads.end(), [&](const FusionEdge& other) {
        return other.value == edge.value && !edge.dynamic && !other.dynamic &&
               std::equal(edge.map.begin(), edge.map.end(), other.map.begin(), other.map.end(),
                          [](const IndexTerm& x, const IndexTerm& y) { return x.same_as(y); });
      });
      if (!known) loads.push_back(edge);
    }
  }

  /// What two units would read if they were one.
  std::vector<FusionEdge> loads_of_both(uint32_t a, uint32_t b) const {
    std::vector<FusionEdge> loads = units_[a].loads;
    add_loads(loads, units_[b].loads);
    std::erase_if(loads, [&](const FusionEdge& edge) {
      const NodeId maker = graph().values[edge.value].node;
      if (maker == Graph::none || unit_of_node_[maker] == Graph::none) return false;
      const uint32_t unit = find(unit_of_node_[maker]);
      return unit == a || unit == b;
    });
    return loads;
  }

  bool fits(uint32_t a, uint32_t b) const {
    return units_[a].cost + units_[b].cost <= group_cost_limit &&
           loads_of_both(a, b).size() <= group_load_limit;
  }

  /// Whether a value is memory that several parts are written to.
  bool is_joined(ValueId value) const {
    const Graph::GraphNode* node = graph().producer(value);
    return node != nullptr && (node->operation->kind() == OperationKind::concatenate ||
                               node->operation->kind() == OperationKind::update);
  }

  bool reads_memory_of(uint32_t reader, uint32_t maker) const {
    const std::set<uint32_t>& makers = units_[reader].makers;
    return std::any_of(makers.begin(), makers.end(), [&](uint32_t unit) { return find(unit) == maker; });
  }

  /// Whether the two units, run as one, would need something that needs one of them, or memory that they
  /// have still to write.
  bool makes_cycle(uint32_t a, uint32_t b) {
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
      if (visited_[unit] == stamp_ || units_[unit].last < first) continue;
      visited_[unit] = stamp_;
      push_needs(unit);
    }
    return false;
  }

  /// Where a node's computing coordinates lie in a group's space, given the edges that lead into the group;
  /// empty optional where they don't fit.
  std::optional<std::vector<int>> place_in(const FusionGroup& group, uint32_t unit, NodeId id) const {
    const Graph::GraphNode& node = graph().nodes[id];
    const Shape& shape = computing_shape(graph(), node);
    std::vector<int> dims(shape.size(), -1);
    std::vector<bool> taken(group.space.size(), false);
    for (const FusionEdge& edge : edges_[id]) {
      const NodeId maker = graph().values[edge.value].node;
      if (maker == Graph::none || unit_of_node_[maker] == Graph::none || find(unit_of_node_[maker]) != unit)
        continue;
      if (edge.dynamic) return std::nullopt;
      const std::vector<int>& place = group.place.at(edge.value);
      for (size_t d = 0; d < place.size(); ++d) {
        if (place[d] < 0) continue;
        if (!is_unscaled(edge.map[d])) return std::nullopt;
        const auto j = static_cast<size_t>(edge.map[d].dim);
        if (dims[j] == place[d]) continue;
        if (dims[j] >= 0 || taken[static_cast<size_t>(place[d])]) return std::nullopt;
        if (shape[j].hint() != group.space[static_cast<size_t>(place[d])].hint()) return std::nullopt;
        dims[j] = place[d];
        taken[static_cast<size_t>(place[d])] = true;
      }
    }
    for (size_t j = 0; j < shape.size(); ++j) {
      if (dims[j] >= 0 || is_unit(shape[j])) continue;
      const auto fits_at = [&](size_t k) {
        return !taken[k] && !is_unit(group.space[k]) &&
               (shape[j].same_as(group.space[k]) || shape[j].hint() == group.space[k].hint());
      };
      size_t at = group.space.size() + j - shape.size();
      if (group.space.size() + j < shape.size() || !fits_at(at)) {
        for (at = 0; at < group.space.size() && !(group.reduce[at] && fits_at(at)); ++at) {
        }
        if (at == group.space.size()) return std::nullopt;
      }
      dims[j] = static_cast<int>(at);
      taken[at] = true;
    }
    // Every parallel dimension, and all or none of the reduced ones.
    size_t reduced = 0, reduced_taken = 0;
    for (size_t k = 0; k < group.space.size(); ++k) {
      if (group.reduce[k]) {
        ++reduced;
        reduced_taken += taken[k];
      } else if (!taken[k] && !is_unit(group.space[k])) {
        return std::nullopt;
      }
    }
    if (reduced_taken != 0 && reduced_taken != reduced) return std::nullopt;
    return dims;
  }

  int64_t extent_product(const FusionGroup& group, bool reduced) const {
    int64_t product = 1;
    for (size_t k = 0; k < group.space.size(); ++k) {
      if (group.reduce[k] == reduced) product *= group.space[k].hint();
    }
    return product;
  }

  /// Whether rows are many enough, or small enough, for each to be done by one thread from end to end.
  bool rows_keep_busy(const FusionGroup& group) const {
    const int64_t rows = extent_product(group, false);
    return rows >= 2 * threads_ || rows * extent_product(group, true) <= small_work;
  }

  static constexpr const char* too_large = "the kernel would become too large";
  static constexpr const char* cycle = "something between them must run after the one and before the other";
  static constexpr const char* other_places =
      "it reads the value at other places than those where it is computed";
  static constexpr const char* not_everywhere =
      "what the group computes does not vary along the reduced dimensions";

  /// Takes a node that is alone in its unit into a group that makes what it needs; or says why not.
  const char* join(uint32_t producer, uint32_t unit, NodeId id) {
    if (!fits(producer, unit)) return too_large;
    if (makes_cycle(producer, unit)) return cycle;
    FusionGroup& group = units_[producer].fused.group;
    const auto dims = place_in(group, producer, id);
    if (!dims) return other_places;
    const Graph::GraphNode& node = graph().nodes[id];
    const bool was_reducing = group.has_reduce();
    const auto covers = [&](size_t k) {
      return std::find(dims->begin(), dims->end(), static_cast<int>(k)) != dims->end();
    };
    bool full = false;
    for (size_t k = 0; k < group.space.size(); ++k) full = full || (group.reduce[k] && covers(k));

    std::vector<int> place = *dims;
    if (node.operation->kind() == OperationKind::reduction) {
      std::vector<bool> reduce(group.space.size(), false);
      bool any = false;
      for (int axis : static_cast<const ReductionOperation&>(*node.operation).axes()) {
        int& dim = place[static_cast<size_t>(axis)];
        if (dim >= 0) {
          reduce[static_cast<size_t>(dim)] = true;
          any = true;
        }
        dim = -1;
      }
      if (!any || (was_reducing && reduce != group.reduce))
        return "it reduces over other dimensions than the group does";
      if (!was_reducing) {
        // Everything so far stays on the full space; it must be so in fact.
        for (const auto& [value, at] : group.place) {
          for (size_t k = 0; k < group.space.size(); ++k) {
            if (reduce[k] && std::find(at.begin(), at.end(), static_cast<int>(k)) == at.end())
              return not_everywhere;
          }
        }
        if (is_arg_reduction(node) && std::count(reduce.begin(), reduce.end(), true) != 1) {
          return "a position is found along one dimension only";
        }
        group.reduce = std::move(reduce);
      }
    } else if (full && was_reducing && needs_reduced(group, producer, id) && !rows_keep_busy(group)) {
      return "the rows are too few and long for each to stay in one thread";
    }
    group.place[node.outputs[0]] = std::move(place);
    if (node.operation->kind() == OperationKind::reduction) group.operand_place[node.outputs[0]] = *dims;
    merge_units(producer, unit);
    return nullptr;
  }

  static bool is_arg_reduction(const Graph::GraphNode& node) {
    const kir::Opcode op = static_cast<const ReductionOperation&>(*node.operation).op();
    return op == kir::Opcode::reduce_argmin || op == kir::Opcode::reduce_argmax;
  }

  bool needs_reduced(const FusionGroup& group, uint32_t unit, NodeId id) const {
    return std::any_of(edges_[id].begin(), edges_[id].end(), [&](const FusionEdge& edge) {
      const NodeId maker = graph().values[edge.value].node;
      return maker != Graph::none && unit_of_node_[maker] != Graph::none &&
             find(unit_of_node_[maker]) == unit && !group.is_full(edge.value);
    });
  }

  static constexpr const char* other_reduction = "the two groups reduce over different dimensions";
  static constexpr const char* other_space = "the two groups run over different spaces";

  /// Merges a further group, which makes something that node `id` needs, into the group that `id` joined; or
  /// says why not.
  const char* join_producer(uint32_t current, uint32_t other, NodeId id) {
    if (!fits(current, other)) return too_large;
    if (makes_cycle(current, other)) return cycle;
    FusionGroup& group = units_[current].fused.group;
    const FusionGroup& source = units_[other].fused.group;
    const Graph::GraphNode& node = graph().nodes[id];
    if (node.operation->kind() == OperationKind::reduction) return "a reduction joins one group only";
    const std::vector<int>& dims = group.place.at(node.outputs[0]);

    std::vector<int> to(source.space.size(), -1);
    for (const FusionEdge& edge : edges_[id]) {
      const NodeId maker = graph().values[edge.value].node;
      if (maker == Graph::none || unit_of_node_[maker] == Graph::none || find(unit_of_node_[maker]) != other)
        continue;
      if (edge.dynamic) return other_places;
      const std::vector<int>& place = source.place.at(edge.value);
      for (size_t d = 0; d < place.size(); ++d) {
        if (place[d] < 0) continue;
        if (!is_unscaled(edge.map[d])) return other_places;
        const int target = dims[static_cast<size_t>(edge.map[d].dim)];
        int& mapped = to[static_cast<size_t>(place[d])];
        if (target < 0 || (mapped >= 0 && mapped != target)) return other_places;
        mapped = target;
      }
    }
    std::vector<size_t> reduced;
    for (size_t k = 0; k < group.space.size(); ++k) {
      if (group.reduce[k]) reduced.push_back(k);
    }
    if (source.has_reduce()) {
      std::vector<size_t> source_reduced;
      for (size_t k = 0; k < source.space.size(); ++k) {
        if (source.reduce[k]) source_reduced.push_back(k);
      }
      if (source_reduced.size() != reduced.size()) return other_reduction;
      for (size_t i = 0; i < reduced.size(); ++i) {
        int& mapped = to[source_reduced[i]];
        if (mapped >= 0 && mapped != static_cast<int>(reduced[i])) return other_reduction;
        if (!source.space[source_reduced[i]].same_as(group.space[reduced[i]])) return other_reduction;
        mapped = static_cast<int>(reduced[i]);
      }
    }
    return absorb(current, other, to);
  }

  /// Moves all of `other` into `current`, its dimensions mapped by `to`, if that covers the space; or says
  /// why not.
  const char* absorb(uint32_t current, uint32_t other, const std::vector<int>& to) {
    FusionGroup& group = units_[current].fused.group;
    const FusionGroup& source = units_[other].fused.group;
    std::vector<bool> taken(group.space.size(), false);
    for (size_t k = 0; k < source.space.size(); ++k) {
      if (to[k] < 0) {
        if (is_unit(source.space[k]) && !source.reduce[k]) continue;
        return other_space;
      }
      const auto target = static_cast<size_t>(to[k]);
      if (taken[target] || source.space[k].hint() != group.space[target].hint()) return other_space;
      if (source.has_reduce() && source.reduce[k] != group.reduce[target]) return other_reduction;
      taken[target] = true;
    }
    size_t reduced = 0, reduced_taken = 0;
    for (size_t k = 0; k < group.space.size(); ++k) {
      if (group.reduce[k]) {
        ++reduced;
        reduced_taken += taken[k];
      } else if (!taken[k] && !is_unit(group.space[k])) {
        return other_space;
      }
    }
    if (reduced_taken != 0 && reduced_taken != reduced) return other_reduction;
    const auto moved = [&](std::vector<int> place) {
      for (int& dim : place) dim = dim < 0 ? -1 : to[static_cast<size_t>(dim)];
      return place;
    };
    for (const auto& [value, place] : source.place) group.place[value] = moved(place);
    for (const auto& [value, place] : source.operand_place) group.operand_place[value] = moved(place);
    merge_units(current, other);
    return nullptr;
  }

  void merge_units(uint32_t into, uint32_t from) {
    Unit& target = units_[into];
    Unit& source = units_[from];
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

  /// Parts of one result that run over the same space share loads when they run together.
  void merge_sibling_parts() {
    for (const Graph::GraphNode& node : graph().nodes) {
      if (node.operation->kind() != OperationKind::concatenate) continue;
      for (size_t i = 1; i < node.inputs.size(); ++i) {
        const uint32_t a = find(unit_of_node_[graph().values[node.inputs[0]].node]);
        const uint32_t b = find(unit_of_node_[graph().values[node.inputs[i]].node]);
        if (a == b || !fits(a, b)) continue;
        const FusionGroup& left = units_[a].fused.group;
        const FusionGroup& right = units_[b].fused.group;
        if (left.has_reduce() || right.has_reduce() || left.space.size() != right.space.size() ||
            !std::equal(left.space.begin(), left.space.end(), right.space.begin(),
                        [](Dim x, Dim y) { return x.same_as(y); }) ||
            makes_cycle(a, b) || reaches(a, b) || reaches(b, a)) {
          continue;
        }
        std::vector<int> to(right.space.size());
        for (size_t k = 0; k < to.size(); ++k) to[k] = is_unit(right.space[k]) ? -1 : static_cast<int>(k);
        absorb(a, b, to);
      }
    }
  }

  bool reaches(uint32_t from, uint32_t target) {
    ++stamp_;
    visited_.resize(units_.size(), 0);
    std::vector<uint32_t> stack{from};
    while (!stack.empty()) {
      const uint32_t unit = stack.back();
      stack.pop_back();
      if (unit == target) return true;
      if (visited_[unit] == stamp_) continue;
      visited_[unit] = stamp_;
      for (uint32_t need : units_[unit].needs) stack.push_back(find(need));
    }
    return false;
  }

  void find_outputs() {
    std::vector<bool> needed = stored_;
    const auto need_from_elsewhere = [&](ValueId value, uint32_t reader) {
      const NodeId maker = graph().values[value].node;
      if (maker == Graph::none || unit_of_node_[maker] == Graph::none) return;
      if (find(unit_of_node_[maker]) != reader) needed[value] = true;
    };
    for (NodeId id = 0; id < graph().nodes.size(); ++id) {
      for (const FusionEdge& edge : edges_[id]) need_from_elsewhere(edge.value, find(unit_of_node_[id]));
      const Graph::GraphNode& node = graph().nodes[id];
      if (node.operation->kind() != OperationKind::update) continue;
      // The part's kernel reads the dynamic indices.
      const uint32_t reader = find(unit_of_node_[graph().values[node.inputs[1]].node]);
      for (size_t i = 2; i < node.inputs.size(); ++i) {
        std::vector<FusionEdge> edges;
        add_edges(graph(), plan_.recomputed, node.inputs[i],
                  identity_map(static_cast<int>(graph().spec(node.inputs[i]).shape.size())), false, edges);
        for (const FusionEdge& edge : edges) {
          needed[edge.value] = true;
          need_from_elsewhere(edge.value, reader);
        }
      }
    }
    for (Unit& unit : units_) {
      if (unit.merged_into != Graph::none || unit.fused.kind != FusionUnit::Kind::group) continue;
      FusionGroup& group = unit.fused.group;
      std::sort(group.members.begin(), group.members.end());
      for (NodeId member : group.members) {
        const ValueId value = graph().nodes[member].outputs[0];
        if (needed[value]) group.outputs.push_back(value);
      }
    }
  }

  void order_units() {
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
            plan_.units.push_back(std::move(units_[unit].fused));
          }
          continue;
        }
        state[unit] = 1;
        for (uint32_t need : units_[unit].needs) {
          if (state[find(need)] == 0) stack.push_back(find(need));
        }
      }
    }
  }

  int threads_;
  FusionPlan plan_;
  std::vector<bool> stored_;
  std::vector<Unit> units_;
  std::vector<uint32_t> unit_of_node_;
  std::vector<std::vector<FusionEdge>> edges_;
  std::unordered_map<NodeId, uint32_t> begin_units_;
  std::vector<uint32_t> visited_;
  uint32_t stamp_ = 0;
};

}  // namespace

std::vector<FusionEdge> fusion_edges(const Graph& graph, const std::vector<bool>& recomputed, NodeId id) {
  const Graph::GraphNode& node = graph.nodes[id];
  const Shape& shape = computing_shape(graph, node);
  std::vector<FusionEdge> edges;
  for (ValueId input : node.inputs) {
    add_edges(graph, recomputed, input, broadcast_map(graph.spec(input).shape, shape), false, edges);
  }
  return edges;
}

Graph::ValueId value_under_views(const Graph& graph, Graph::ValueId value) {
  for (const auto* node = graph.producer(value);
       node != nullptr && node->operation->kind() == OperationKind::view; node = graph.producer(value)) {
    value = node->inputs[0];
  }
  return value;
}

FusionPlan plan_fusion(PreparedGraph prepared, int threads) {
  FusionPlan plan = Planner(std::move(prepared), threads).run();
  attach_epilogues(plan);
  return plan;
}

std::string FusionPlan::to_text() const {
  std::string text;
  for (const FusionUnit& unit : units) text += to_text(unit);
  return text;
}

std::string FusionPlan::to_text(const FusionUnit& unit) const {
  const Graph& graph = prepared.graph;
  switch (unit.kind) {
    case FusionUnit::Kind::host:
      if (!unit.has_epilogue()) return "host " + graph.nodes[unit.node].operation->to_string() + "\n";
      break;
    case FusionUnit::Kind::reshape:
      return "reshape\n";
    case FusionUnit::Kind::begin:
      return fmt::format("memory of %{}\n", graph.nodes[unit.node].outputs[0]);
    case FusionUnit::Kind::group:
      break;
  }
  std::string text;
  if (unit.has_epilogue()) {
    const Graph::GraphNode& node = graph.nodes[unit.node];
    text = fmt::format("host {} = {}, in blocks to a ", graph.value_text(node.outputs[0]),
                       node.operation->to_string());
  }
  text += "kernel over [";
  for (size_t k = 0; k < unit.group.space.size(); ++k) {
    text +=
        fmt::format("{}{}{}", k > 0 ? "," : "", unit.group.space[k].hint(), unit.group.reduce[k] ? "r" : "");
  }
  text += "] stores";
  for (ValueId value : unit.group.outputs) text += fmt::format(" %{}", value);
  text += '\n';
  for (NodeId member : unit.group.members) {
    const Graph::GraphNode& node = graph.nodes[member];
    text += "  " + graph.value_text(node.outputs[0]) + " = " + node.operation->to_string();
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      text += fmt::format("{}%{}", i > 0 ? ", " : " ", node.inputs[i]);
    }
    text += '\n';
  }
  return text;
}

}  // namespace lazuli
