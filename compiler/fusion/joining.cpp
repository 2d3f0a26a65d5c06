#include <lazuli/compiler/fusion/joining.h>

#include <algorithm>

#include <lazuli/compiler/operations.h>

namespace lazuli {

namespace {

using NodeId = Graph::NodeId;

// Up to here one thread does a row program, whatever the number of rows.
constexpr int64_t small_work = 65536;

// Why units stay apart.
constexpr const char* too_large = "the kernel would become too large";
constexpr const char* cycle = "something between them must run after the one and before the other";
constexpr const char* other_places = "it reads the value at other places than those where it is computed";
constexpr const char* not_everywhere = "what the group computes does not vary along the reduced dimensions";
constexpr const char* other_reduction = "the two groups reduce over different dimensions";
constexpr const char* other_space = "the two groups run over different spaces";
constexpr const char* unfinished_sum = "it needs a sum that is known only when all rows are done";

// From so many rows on it saves traffic to sum them up as they are made: less than that is about what a
// thread's own sums take.
constexpr int64_t least_summed_rows = 64;
// Bytes of sums that stay in the second-level cache while rows come and go.
constexpr int64_t most_sum_bytes = 256 << 10;

bool is_unit(Dim extent) {
  return !extent.is_symbolic() && extent.hint() == 1;
}

bool is_unscaled(const IndexTerm& term) {
  return term.dim >= 0 && term.dynamic < 0 && term.scale.same_as(1) && term.offset.same_as(0);
}

int64_t extent_product(const FusionGroup& group, bool reduced) {
  int64_t product = 1;
  for (size_t k = 0; k < group.space.size(); ++k) {
    if (group.reduce[k] == reduced) product *= group.space[k].hint();
  }
  return product;
}

bool is_arg_reduction(const Graph::GraphNode& node) {
  const kir::Opcode op = static_cast<const ReductionOperation&>(*node.operation).op();
  return op == kir::Opcode::reduce_argmin || op == kir::Opcode::reduce_argmax;
}

}  // namespace

/// Where a node's computing coordinates lie in a group's space, given the edges that lead into the group;
/// empty optional where they don't fit.
std::optional<std::vector<int>> FusionJoiner::place_in(const FusionGroup& group, uint32_t unit,
                                                       NodeId id) const {
  const Graph::GraphNode& node = graph().nodes[id];
  const Shape& shape = computing_shape(graph(), node);
  std::vector<int> dims(shape.size(), -1);
  std::vector<bool> taken(group.space.size(), false);
  for (const FusionEdge& edge : units_.edges(id)) {
    if (units_.maker_of(edge.value) != unit) continue;
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

/// Whether rows are many enough, or small enough, for each to be done by one thread from end to end.
bool FusionJoiner::rows_keep_busy(const FusionGroup& group) const {
  const int64_t rows = extent_product(group, false);
  return rows >= 2 * threads_ || rows * extent_product(group, true) <= small_work;
}

bool FusionJoiner::needs_reduced(const FusionGroup& group, uint32_t unit, NodeId id) const {
  return std::any_of(units_.edges(id).begin(), units_.edges(id).end(), [&](const FusionEdge& edge) {
    return units_.maker_of(edge.value) == unit && !group.is_full(edge.value);
  });
}

bool FusionJoiner::reads_column_sums(uint32_t reader, uint32_t unit) const {
  const FusionGroup& group = units_[unit].fused.group;
  if (group.column_sums.empty()) return false;
  const std::vector<NodeId>& members = units_[reader].fused.group.members;
  return std::any_of(members.begin(), members.end(), [&](NodeId member) {
    const std::vector<FusionEdge>& edges = units_.edges(member);
    return std::any_of(edges.begin(), edges.end(),
                       [&](const FusionEdge& edge) { return group.is_column_sum(edge.value); });
  });
}

bool FusionJoiner::needs_column_sums(uint32_t a, uint32_t b) const {
  return reads_column_sums(a, b) || reads_column_sums(b, a);
}

/// Whether a reduction over `reduce` of the group's space sums up the rows that the group makes.
bool FusionJoiner::can_be_column_sum(const FusionGroup& group, const std::vector<bool>& reduce,
                                     NodeId id) const {
  const Graph::GraphNode& node = graph().nodes[id];
  const Graph::ValueId value = node.outputs[0];
  const Dtype dtype = graph().spec(value).dtype;
  if (static_cast<const ReductionOperation&>(*node.operation).op() != kir::Opcode::reduce_sum) return false;
  if (!issubdtype(dtype, floating) || units_.plan().prepared.part_of[value] != Graph::none) return false;
  if (group.space.empty() || !group.reduce.back()) return false;
  for (size_t k = 0; k < group.space.size(); ++k) {
    if (!is_unit(group.space[k]) && reduce[k] == group.reduce[k]) return false;
  }
  const int64_t bytes = extent_product(group, true) * kir::compute_type(dtype).size();
  return extent_product(group, false) >= least_summed_rows &&
         bytes * static_cast<int64_t>(group.column_sums.size() + 1) <= most_sum_bytes &&
         rows_keep_busy(group);
}

bool FusionJoiner::join_reader(uint32_t reader, uint32_t unit, NodeId id) {
  if (units_[reader].fused.kind != FusionUnit::Kind::group) return false;
  FusionGroup& group = units_[reader].fused.group;
  const FusionGroup& own = units_[unit].fused.group;
  if (!group.has_reduce() || group.space.size() != own.space.size()) return false;
  for (size_t k = 0; k < own.space.size(); ++k) {
    if (!own.space[k].same_as(group.space[k])) return false;
  }
  if (!can_be_column_sum(group, own.reduce, id) || needs_column_sums(reader, unit)) return false;
  if (!units_.fits(reader, unit) || units_.makes_cycle(reader, unit) || units_.reaches(unit, reader)) {
    return false;
  }
  const Graph::ValueId value = graph().nodes[id].outputs[0];
  group.place[value] = own.place.at(value);
  group.operand_place[value] = own.operand_place.at(value);
  group.column_sums.push_back(value);
  units_.merge(reader, unit);
  return true;
}

bool FusionJoiner::turn_to_column_sums(uint32_t unit, const std::vector<bool>& reduce) {
  FusionGroup& group = units_[unit].fused.group;
  if (!group.has_reduce() || !group.column_sums.empty()) return false;
  FusionGroup turned = group;
  turned.reduce = reduce;
  for (const NodeId member : group.members) {
    const Graph::GraphNode& node = graph().nodes[member];
    const Graph::ValueId value = node.outputs[0];
    if (node.operation->kind() == OperationKind::reduction) {
      if (!can_be_column_sum(turned, group.reduce, member)) return false;
      turned.column_sums.push_back(value);
      continue;
    }
    // All else has to be made at every point.
    const std::vector<int>& place = group.place.at(value);
    for (size_t k = 0; k < group.space.size(); ++k) {
      const bool covered = std::find(place.begin(), place.end(), static_cast<int>(k)) != place.end();
      if (!covered && !is_unit(group.space[k])) return false;
    }
  }
  std::swap(group, turned);
  if (!reads_column_sums(unit, unit)) return true;
  std::swap(group, turned);
  return false;
}

const char* FusionJoiner::join(uint32_t producer, uint32_t unit, NodeId id) {
  if (!units_.fits(producer, unit)) return too_large;
  if (units_.makes_cycle(producer, unit)) return cycle;
  if (reads_column_sums(unit, producer)) return unfinished_sum;
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
    if (was_reducing && full && can_be_column_sum(group, reduce, id)) {
      group.column_sums.push_back(node.outputs[0]);
    } else if (!any || (was_reducing && reduce != group.reduce)) {
      return "it reduces over other dimensions than the group does";
    }
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
  units_.merge(producer, unit);
  return nullptr;
}

const char* FusionJoiner::join_producer(uint32_t current, uint32_t other, NodeId id) {
  if (!units_.fits(current, other)) return too_large;
  if (units_.makes_cycle(current, other)) return cycle;
  if (needs_column_sums(current, other)) return unfinished_sum;
  FusionGroup& group = units_[current].fused.group;
  const FusionGroup& source = units_[other].fused.group;
  const Graph::GraphNode& node = graph().nodes[id];
  if (node.operation->kind() == OperationKind::reduction) return "a reduction joins one group only";
  // Where the node reads the other group decides; every member that reads it must read at the same places.
  std::vector<int> to(source.space.size(), -1);
  for (const NodeId member : group.members) {
    const Graph::ValueId value = graph().nodes[member].outputs[0];
    const auto reads = group.operand_place.find(value);
    const std::vector<int>& dims = reads != group.operand_place.end() ? reads->second : group.place.at(value);
    for (const FusionEdge& edge : units_.edges(member)) {
      if (units_.maker_of(edge.value) != other) continue;
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
      // Read point by point, the two extents are known to be equal, one of them a symbol or not.
      if (mapped < 0 && !source.space[source_reduced[i]].same_as(group.space[reduced[i]])) {
        return other_reduction;
      }
      mapped = static_cast<int>(reduced[i]);
    }
  }
  return absorb(current, other, to);
}

const char* FusionJoiner::absorb(uint32_t current, uint32_t other, const std::vector<int>& to) {
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
  group.column_sums.insert(group.column_sums.end(), source.column_sums.begin(), source.column_sums.end());
  units_.merge(current, other);
  return nullptr;
}

}  // namespace lazuli
