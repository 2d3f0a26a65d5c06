#include <lazuli/compiler/fusion/prologues.h>

#include <algorithm>
#include <optional>
#include <set>
#include <vector>

#include <lazuli/compiler/operations.h>

namespace lazuli {

namespace {

using ValueId = Graph::ValueId;
using NodeId = Graph::NodeId;

class PrologueFinder {
 public:
  explicit PrologueFinder(FusionPlan& plan) : plan_(plan), graph_(plan.prepared.graph) {}

  void run() {
    count_uses();
    for (size_t u = 0; u < plan_.units.size(); ++u) note_readers(plan_.units[u], u);
    for (size_t u = 0; u < plan_.units.size(); ++u) {
      if (is_gone(u) || !asks_for_rows(plan_.units[u])) continue;
      const std::optional<Operand> operand = find_operand(plan_.units[u]);
      if (!operand || !makes_rows(plan_.units[operand->group].group, operand->made)) continue;
      if (is_needed_between(operand->group, u, operand->made) || takes_much_memory(*operand, u)) continue;
      plan_.units[u].prologue = std::move(plan_.units[operand->group].group);
      plan_.units[u].made = operand->made;
      note_readers(plan_.units[u], u);
      gone_.insert(operand->group);
      if (operand->reshape) gone_.insert(*operand->reshape);
    }
    for (auto unit = gone_.rbegin(); unit != gone_.rend(); ++unit) {
      plan_.units.erase(plan_.units.begin() + static_cast<std::ptrdiff_t>(*unit));
    }
  }

 private:
  /// What a host operation's first operand is made by.
  struct Operand {
    ValueId made = Graph::none;
    size_t group = 0;               ///< the unit that makes it
    std::optional<size_t> reshape;  ///< the unit between, if there is one
  };

  bool is_gone(size_t unit) const { return gone_.contains(unit); }

  bool asks_for_rows(const FusionUnit& unit) const {
    if (unit.kind != FusionUnit::Kind::host) return false;
    const Graph::GraphNode& node = graph_.nodes[unit.node];
    if (!static_cast<const HostOperation&>(*node.operation).asks_for_rows()) return false;
    // Rows that are used for more than one part of the result would be made for each.
    const Shape& operand = graph_.spec(node.inputs[0]).shape;
    const Shape& result = graph_.spec(node.outputs[0]).shape;
    return operand.size() == result.size() && !operand.empty() &&
           std::equal(operand.begin(), operand.end() - 1, result.begin(),
                      [](Dim a, Dim b) { return a.same_as(b); });
  }

  /// By what the results need: conversions that were left to an operation may have no use any more.
  void count_uses() {
    uses_.resize(graph_.values.size(), 0);
    is_returned_.resize(graph_.values.size(), false);
    for (ValueId output : graph_.outputs) {
      ++uses_[output];
      is_returned_[value_under_views(graph_, output)] = true;
    }
    for (auto node = graph_.nodes.rbegin(); node != graph_.nodes.rend(); ++node) {
      const auto is_used = [&](ValueId value) { return uses_[value] > 0; };
      if (std::none_of(node->outputs.begin(), node->outputs.end(), is_used)) continue;
      for (ValueId input : node->inputs) ++uses_[input];
    }
  }

  std::optional<Operand> find_operand(const FusionUnit& unit) const {
    Operand operand;
    operand.made = graph_.nodes[unit.node].inputs[0];
    const auto is_alone = [&](ValueId value) {
      return uses_[value] == 1 && plan_.prepared.part_of[value] == Graph::none;
    };
    const Graph::GraphNode* maker = graph_.producer(operand.made);
    if (maker != nullptr && maker->operation->kind() == OperationKind::reshape && is_alone(operand.made)) {
      // The same rows, counted otherwise.
      const ValueId before = maker->inputs[0];
      const Shape& shape = graph_.spec(before).shape;
      if (shape.empty() || !shape.back().same_as(graph_.spec(operand.made).shape.back())) return std::nullopt;
      operand.reshape = find_unit([&](const FusionUnit& other) {
        return other.kind == FusionUnit::Kind::reshape && &graph_.nodes[other.node] == maker;
      });
      operand.made = before;
    }
    if (!is_alone(operand.made)) return std::nullopt;
    const std::optional<size_t> group = find_unit([&](const FusionUnit& other) {
      const auto& outputs = other.group.outputs;
      return other.kind == FusionUnit::Kind::group &&
             std::find(outputs.begin(), outputs.end(), operand.made) != outputs.end();
    });
    if (!group) return std::nullopt;
    operand.group = *group;
    return operand;
  }

  template <typename F>
  std::optional<size_t> find_unit(F&& f) const {
    for (size_t u = 0; u < plan_.units.size(); ++u) {
      if (!is_gone(u) && f(plan_.units[u])) return u;
    }
    return std::nullopt;
  }

  /// Whether the group goes over a value's rows one after the other, and makes all of one at a time.
  bool makes_rows(const FusionGroup& group, ValueId value) const {
    const Shape& shape = graph_.spec(value).shape;
    if (group.space.size() != shape.size() || !group.column_sums.empty()) return false;
    const std::vector<int>& place = group.place.at(value);
    for (size_t d = 0; d < shape.size(); ++d) {
      const bool is_last = d + 1 == shape.size();
      if (!group.space[d].same_as(shape[d]) || (group.reduce[d] && !is_last)) return false;
      if (place[d] != static_cast<int>(d) && (is_last || place[d] >= 0)) return false;
    }
    // What becomes a part of other memory is waited for by whoever reads that.
    return std::all_of(group.outputs.begin(), group.outputs.end(),
                       [&](ValueId output) { return plan_.prepared.part_of[output] == Graph::none; });
  }

  /// Values in memory that a value is computed from, or the value itself.
  void add_sources(ValueId value, std::vector<ValueId>& sources) const {
    const Graph::GraphNode* node = graph_.producer(value);
    const bool is_seen_through =
        node != nullptr && (node->operation->kind() == OperationKind::view || plan_.recomputed[value]);
    if (!is_seen_through) {
      sources.push_back(value);
      return;
    }
    for (ValueId input : node->inputs) add_sources(input, sources);
  }

  void add_sources_of(const FusionGroup& group, std::vector<ValueId>& sources) const {
    for (NodeId member : group.members) {
      for (ValueId input : graph_.nodes[member].inputs) add_sources(input, sources);
      const NodeId joined = plan_.prepared.part_of[graph_.nodes[member].outputs[0]];
      if (joined == Graph::none) continue;
      // Dynamic indices of the place that it is written to.
      for (ValueId input : graph_.nodes[joined].inputs) add_sources(input, sources);
    }
  }

  /// Notes what a unit reads, and more where that makes no difference.
  void note_readers(const FusionUnit& unit, size_t index) {
    std::vector<ValueId> sources;
    add_sources_of(unit.group, sources);
    add_sources_of(unit.prologue, sources);
    if (unit.node != Graph::none) {
      for (ValueId input : graph_.nodes[unit.node].inputs) add_sources(input, sources);
    }
    readers_.resize(graph_.values.size());
    for (ValueId source : sources) readers_[source].insert(index);
  }

  /// Whether a value is read by units [begin, end).
  bool is_read_within(ValueId value, size_t begin, size_t end) const {
    const auto first = readers_[value].lower_bound(begin);
    return first != readers_[value].end() && *first < end;
  }

  /// Whether other results of the group are read before, or by, the unit that it would be run in.
  bool is_needed_between(size_t group, size_t unit, ValueId made) const {
    const std::vector<ValueId>& outputs = plan_.units[group].group.outputs;
    return std::any_of(outputs.begin(), outputs.end(), [&](ValueId output) {
      return output != made && is_read_within(output, group + 1, unit + 1);
    });
  }

  int64_t bytes_of(ValueId value) const {
    return element_count(graph_.spec(value).shape) * graph_.spec(value).dtype.size();
  }

  /// Whether what the group alone still needs, and the unit's results, which are then in memory at the same
  /// time, are much more than what either has beside the operand otherwise.
  bool takes_much_memory(const Operand& operand, size_t unit) const {
    const FusionGroup& group = plan_.units[operand.group].group;
    std::vector<ValueId> sources;
    add_sources_of(group, sources);
    int64_t inputs = 0;
    for (ValueId value : std::set<ValueId>(sources.begin(), sources.end())) {
      const bool is_temporary =
          graph_.producer(value) != nullptr && !group.place.contains(value) && !is_returned_[value];
      if (is_temporary && !is_read_within(value, operand.group + 1, plan_.units.size())) {
        inputs += bytes_of(value);
      }
    }
    int64_t results = 0;
    const FusionUnit& host = plan_.units[unit];
    for (ValueId output : host.has_epilogue() ? host.group.outputs : graph_.nodes[host.node].outputs) {
      results += bytes_of(output);
    }
    const int64_t made = bytes_of(operand.made);
    return 3 * (inputs + results) > 4 * std::max(inputs + made, made + results);
  }

  FusionPlan& plan_;
  const Graph& graph_;
  std::vector<int> uses_;  // of each value, by nodes and by the caller
  std::vector<bool> is_returned_;
  std::vector<std::set<size_t>> readers_;  // of each value in memory: units
  std::set<size_t> gone_;                  // units that have become parts of others
};

}  // namespace

void attach_prologues(FusionPlan& plan) {
  const Graph& graph = plan.prepared.graph;
  const bool any = std::any_of(plan.units.begin(), plan.units.end(), [&](const FusionUnit& unit) {
    return unit.kind == FusionUnit::Kind::host &&
           static_cast<const HostOperation&>(*graph.nodes[unit.node].operation).asks_for_rows();
  });
  if (any) PrologueFinder(plan).run();
}

}  // namespace lazuli
