#pragma once

#include <set>
#include <vector>

#include <lazuli/compiler/fusion/grouping.h>

namespace lazuli {

/// A unit while units are still being merged.
struct FusionUnitDraft {
  FusionUnit fused;
  std::set<uint32_t> needs;   ///< units that run before; may name merged ones
  std::set<uint32_t> makers;  ///< those among them that make memory which this one reads as a whole
  Graph::NodeId first = 0, last = 0;
  int needed_by = 0;  ///< how many units were said to need it, or more
  int cost = 0;
  std::vector<FusionEdge> loads;  ///< what it reads that others make, each way of reading it once
  uint32_t merged_into = Graph::none;
};

/// The units of a plan that is being made, what they need of each other, and which could be one.
class FusionUnits {
 public:
  explicit FusionUnits(FusionPlan& plan);

  FusionUnitDraft& operator[](uint32_t unit) { return units_[unit]; }
  const FusionUnitDraft& operator[](uint32_t unit) const { return units_[unit]; }
  uint32_t size() const { return static_cast<uint32_t>(units_.size()); }
  const Graph& graph() const { return plan_.prepared.graph; }
  FusionPlan& plan() { return plan_; }

  uint32_t add(FusionUnit::Kind kind, Graph::NodeId node);
  /// What a unit has been merged into, or itself.
  uint32_t find(uint32_t unit) const;
  bool is_merged(uint32_t unit) const { return units_[unit].merged_into != Graph::none; }
  void set_unit_of(Graph::NodeId node, uint32_t unit) { unit_of_node_[node] = unit; }
  /// The unit of a node, or none.
  uint32_t unit_of(Graph::NodeId node) const;
  /// The unit that makes a value; none for inputs, views and what is computed where it is needed.
  uint32_t maker_of(Graph::ValueId value) const;
  /// What the node of a group needs.
  const std::vector<FusionEdge>& edges(Graph::NodeId node) const { return edges_[node]; }
  void set_edges(Graph::NodeId node, std::vector<FusionEdge> edges) { edges_[node] = std::move(edges); }

  /// Adds the units that must have run before a value can be read.
  void add_needs(Graph::ValueId value, std::set<uint32_t>& needs) const;
  /// To be called when a unit's needs are known.
  void note_needs(uint32_t unit);
  static void add_loads(std::vector<FusionEdge>& loads, const std::vector<FusionEdge>& edges);
  /// Whether a value is memory that several parts are written to.
  bool is_joined(Graph::ValueId value) const;

  /// Whether the two, run as one, are small enough for a kernel.
  bool fits(uint32_t a, uint32_t b) const;
  /// Whether the two units, run as one, would need something that needs one of them, or memory that they
  /// have still to write.
  bool makes_cycle(uint32_t a, uint32_t b);
  /// Whether `from` needs `target`, by others or directly.
  bool reaches(uint32_t from, uint32_t target);
  /// Moves the members and needs of one unit into another; where they lie there is the caller's to say.
  void merge(uint32_t into, uint32_t from);

  /// The units in an order in which they can run.
  std::vector<FusionUnit> take_in_order();

 private:
  std::vector<FusionEdge> loads_of_both(uint32_t a, uint32_t b) const;
  bool reads_memory_of(uint32_t reader, uint32_t maker) const;

  FusionPlan& plan_;
  std::vector<FusionUnitDraft> units_;
  std::vector<uint32_t> unit_of_node_;
  std::vector<std::vector<FusionEdge>> edges_;
  std::vector<uint32_t> visited_;
  uint32_t stamp_ = 0;
  /// The least first node of units that grew by later nodes when others needed them already.
  Graph::NodeId grown_from_ = Graph::none;
};

}  // namespace lazuli
