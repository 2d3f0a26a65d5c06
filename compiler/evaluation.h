#pragma once

#include <exception>
#include <memory>
#include <span>
#include <vector>

#include <lazuli/compiler/program/program.h>
#include <lazuli/graph/trace.h>

namespace lazuli {

/// A graph that is computed by one program. The nodes whose values are kept are `scheduled` from the
/// beginning, so that other threads wait for them; in the end they are computed, or what they were before.
class Evaluation {
 public:
  /// Schedules the nodes of a graph, which has some to compute. `owned` are the arrays that were asked for,
  /// unless the caller keeps them until it is done. With `keeps_graph` nodes do not let go of their inputs.
  /// The caller holds `graph_mutex`.
  Evaluation(PendingNodes pending, std::vector<array> owned, bool keeps_graph);
  Evaluation(const Evaluation&) = delete;
  Evaluation& operator=(const Evaluation&) = delete;
  /// Where it has not been run, those who wait get an error.
  ~Evaluation();

  /// Waits for what others compute that it needs, as `run` does first; throws what went wrong there.
  void wait_for_inputs();
  /// Computes the nodes; throws what keeps it from that, to those who wait for them too.
  void run();
  /// Whether somebody waited for what failed, and got the error.
  bool has_told() const { return has_told_; }

 private:
  struct Cached;
  static std::shared_ptr<const Cached> program_of(const PendingNodes& pending);
  std::vector<ProgramInput> program_inputs() const;
  void complete(const Cached& program, std::vector<ProgramOutput> results);
  /// Says what kept it from running. What can be tried again becomes lazy again; not so if `is_lost`.
  void fail(const std::exception_ptr& error, bool is_lost);
  Node& node(uint32_t entry) const { return *pending_.entries[entry].node; }

  PendingNodes pending_;
  std::vector<array> owned_;
  std::vector<Ref<Pending>> awaited_;
  bool keeps_graph_;
  bool is_done_ = false;
  bool has_told_ = false;
};

}  // namespace lazuli
