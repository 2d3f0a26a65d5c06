#pragma once

#include <optional>
#include <vector>

#include <lazuli/compiler/fusion/units.h>

namespace lazuli {

/// Decides whether units become one kernel: whether their iteration spaces fit.
class FusionJoiner {
 public:
  /// `threads` tells how many rows it takes to keep the machine busy.
  FusionJoiner(FusionUnits& units, int threads) : units_(units), threads_(threads) {}

  /// Takes a node that is alone in its unit into a group that makes what it needs; or says why not.
  const char* join(uint32_t producer, uint32_t unit, Graph::NodeId id);
  /// Merges a further group, which makes something that node `id` needs, into the group that `id` joined; or
  /// says why not.
  const char* join_producer(uint32_t current, uint32_t other, Graph::NodeId id);
  /// Takes a reduction that is alone in its unit into a group that reads the same, as sums of its columns;
  /// false where it is none, or that does not pay.
  bool join_reader(uint32_t reader, uint32_t unit, Graph::NodeId id);
  /// Whether one of the two needs sums that are known only when the other is done.
  bool needs_column_sums(uint32_t a, uint32_t b) const;
  /// Turns a group that does nothing but sum over other dimensions than those of `reduce` into one that
  /// goes over these, so that it can be one with another of that form; or gives false.
  bool turn_to_column_sums(uint32_t unit, const std::vector<bool>& reduce);
  /// Moves all of `other` into `current`, its dimensions mapped by `to`, if that covers the space; or says
  /// why not.
  const char* absorb(uint32_t current, uint32_t other, const std::vector<int>& to);

 private:
  const Graph& graph() const { return units_.graph(); }
  std::optional<std::vector<int>> place_in(const FusionGroup& group, uint32_t unit, Graph::NodeId id) const;
  bool rows_keep_busy(const FusionGroup& group) const;
  bool needs_reduced(const FusionGroup& group, uint32_t unit, Graph::NodeId id) const;
  bool reads_column_sums(uint32_t reader, uint32_t unit) const;
  bool can_be_column_sum(const FusionGroup& group, const std::vector<bool>& reduce, Graph::NodeId id) const;

  FusionUnits& units_;
  int threads_;
};

}  // namespace lazuli
