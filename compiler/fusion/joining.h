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
  /// Moves all of `other` into `current`, its dimensions mapped by `to`, if that covers the space; or says
  /// why not.
  const char* absorb(uint32_t current, uint32_t other, const std::vector<int>& to);

 private:
  const Graph& graph() const { return units_.graph(); }
  std::optional<std::vector<int>> place_in(const FusionGroup& group, uint32_t unit, Graph::NodeId id) const;
  bool rows_keep_busy(const FusionGroup& group) const;
  bool needs_reduced(const FusionGroup& group, uint32_t unit, Graph::NodeId id) const;

  FusionUnits& units_;
  int threads_;
};

}  // namespace lazuli
