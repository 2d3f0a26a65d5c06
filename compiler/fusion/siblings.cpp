#include <lazuli/compiler/fusion/siblings.h>

#include <algorithm>
#include <map>

#include <lazuli/compiler/operations.h>

namespace lazuli {

namespace {

using ValueId = Graph::ValueId;
using NodeId = Graph::NodeId;

// How many earlier readers of an array a group is tried with: in long chains those far away need it, or are
// needed.
constexpr size_t most_tries = 16;

class SiblingMerger {
 public:
  SiblingMerger(FusionUnits& units, FusionJoiner& joiner) : units_(units), joiner_(joiner) {}

  void run() {
    for (const Graph::GraphNode& node : graph().nodes) {
      if (node.operation->kind() != OperationKind::concatenate) continue;
      for (ValueId part : node.inputs) merge(units_.maker_of(node.inputs[0]), units_.maker_of(part));
    }
    for (const auto& [value, readers] : find_readers()) {
      for (size_t i = 1; i < readers.size(); ++i) {
        // The first of the others that it can run with.
        for (size_t j = i - std::min(i, most_tries); j < i; ++j) {
          if (merge(units_.find(readers[j]), units_.find(readers[i]))) break;
        }
      }
    }
  }

 private:
  const Graph& graph() const { return units_.graph(); }

  /// The groups that read an array at every point of their space.
  std::map<ValueId, std::vector<uint32_t>> find_readers() const {
    std::map<ValueId, std::vector<uint32_t>> readers;
    for (NodeId id = 0; id < graph().nodes.size(); ++id) {
      const uint32_t unit = units_.unit_of(id);
      if (unit == Graph::none || units_[unit].fused.kind != FusionUnit::Kind::group) continue;
      for (const FusionEdge& edge : units_.edges(id)) {
        if (edge.dynamic || units_.maker_of(edge.value) == unit || !is_read_everywhere(edge, id)) continue;
        std::vector<uint32_t>& of_value = readers[edge.value];
        if (of_value.empty() || of_value.back() != unit) of_value.push_back(unit);
      }
    }
    std::erase_if(readers, [](const auto& entry) { return entry.second.size() < 2; });
    return readers;
  }

  bool is_read_everywhere(const FusionEdge& edge, NodeId id) const {
    return element_count(graph().spec(edge.value).shape) >=
           element_count(computing_shape(graph(), graph().nodes[id]));
  }

  bool merge(uint32_t a, uint32_t b) {
    if (a == b) return true;
    if (a == Graph::none || b == Graph::none) return false;
    const FusionGroup& left = units_[a].fused.group;
    const FusionGroup& right = units_[b].fused.group;
    const auto same = [](Dim x, Dim y) { return x.same_as(y); };
    if (left.space.size() != right.space.size() ||
        !std::equal(left.space.begin(), left.space.end(), right.space.begin(), same) || !units_.fits(a, b) ||
        units_.makes_cycle(a, b) || units_.reaches(a, b) || units_.reaches(b, a)) {
      return false;
    }
    // Of two groups that reduce over rows and over columns, the one sums up the rows that the other goes
    // over.
    if (left.reduce != right.reduce && !joiner_.turn_to_column_sums(a, right.reduce) &&
        !joiner_.turn_to_column_sums(b, left.reduce)) {
      return false;
    }
    std::vector<int> to(right.space.size());
    for (size_t k = 0; k < to.size(); ++k) {
      const bool is_one = !right.space[k].is_symbolic() && right.space[k].hint() == 1;
      to[k] = is_one && !right.reduce[k] ? -1 : static_cast<int>(k);
    }
    return joiner_.absorb(a, b, to) == nullptr;
  }

  FusionUnits& units_;
  FusionJoiner& joiner_;
};

}  // namespace

void merge_siblings(FusionUnits& units, FusionJoiner& joiner) {
  SiblingMerger(units, joiner).run();
}

}  // namespace lazuli
