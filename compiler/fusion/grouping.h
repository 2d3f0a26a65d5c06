#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include <lazuli/compiler/fusion/edges.h>
#include <lazuli/compiler/fusion/prepare.h>
#include <lazuli/graph/graph.h>

namespace lazuli {

/// Nodes that become one kernel. They share an iteration space: every member's value is computed at the
/// points of some of its dimensions.
struct FusionGroup {
  std::vector<Graph::NodeId> members;  ///< in topological order; elementwise operations and reductions
  std::vector<Dim> space;              ///< extents
  std::vector<bool> reduce;            ///< which dimensions are reduced over
  /// For each member's value, the dimension of the space along which each of its dimensions lies; -1 for
  /// dimensions of extent 1.
  std::unordered_map<Graph::ValueId, std::vector<int>> place;
  /// The same for the operand of each reduction, by the reduction's value.
  std::unordered_map<Graph::ValueId, std::vector<int>> operand_place;
  std::vector<Graph::ValueId> outputs;  ///< members' values that are stored
  /// Members that sum over all dimensions but the reduced ones: each thread adds its rows up as it makes
  /// them. What the sums are is known when all rows are done, so that no member reads it.
  std::vector<Graph::ValueId> column_sums;

  bool has_reduce() const;
  bool is_column_sum(Graph::ValueId value) const;
  /// Whether a member's value varies along the reduced dimensions.
  bool is_full(Graph::ValueId value) const;
};

/// A thing that runs as a whole.
struct FusionUnit {
  enum class Kind : uint8_t {
    group,    ///< a kernel
    host,     ///< a host operation; its group, if any, is done to its result block by block
    reshape,  ///< another view of memory, or a copy where strides don't allow one
    begin,    ///< makes the memory of a concatenate or update ready for its parts
  };
  Kind kind = Kind::group;
  Graph::NodeId node = Graph::none;  ///< of a unit that is no group
  FusionGroup group;
  FusionGroup prologue;               ///< of a host operation: makes rows of `made` as they are needed
  Graph::ValueId made = Graph::none;  ///< the operation's first operand, or what that is a reshape of

  bool has_prologue() const { return made != Graph::none; }
  bool has_epilogue() const { return kind == Kind::host && !group.members.empty(); }
};

/// A node that could have joined the group that makes something it needs, and didn't.
struct FusionRefusal {
  Graph::NodeId node = Graph::none;
  Graph::ValueId needed = Graph::none;
  const char* reason = "";
};

/// A partition of a prepared graph into units, in an order in which they can run.
struct FusionPlan {
  PreparedGraph prepared;
  std::vector<bool> recomputed;  ///< for each value: never stored, computed where it is needed
  std::vector<FusionUnit> units;
  std::vector<FusionRefusal> refusals;

  std::string to_text() const;
  std::string to_text(const FusionUnit& unit) const;
  std::string to_text(const FusionGroup& group) const;
};

/// Decides what is computed together. `threads` tells how many rows it takes to keep the machine busy.
/// Without `fuse` every operation is a kernel of its own.
FusionPlan plan_fusion(PreparedGraph prepared, int threads, bool fuse = true);

}  // namespace lazuli
