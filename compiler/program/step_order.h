#pragma once

#include <cstdint>
#include <vector>

#include <lazuli/compiler/program/program.h>

namespace lazuli {

/// What the steps of a program need of each other, and the memory that stands between them. Extents that are
/// symbols count as long as they were when they were traced.
class StepMemory {
 public:
  StepMemory(const FusionPlan& plan, const std::vector<ProgramStep>& steps);

  /// The most bytes of temporaries and results at a time, if steps run in this order.
  int64_t peak(const std::vector<int>& order) const;
  /// No order has a lower peak: each step has what it reads and makes in memory.
  int64_t lower_bound() const;
  /// The order with the lowest peak of all, for at most `most_steps`: takes time and memory that grow with
  /// 2^steps.
  std::vector<int> best_order() const;
  static constexpr size_t most_steps = 18;
  size_t step_count() const { return count_; }

  /// An order in which every step comes after those that it needs, chosen among a few for its peak. It is the
  /// one that the steps have unless that takes noticeably more memory.
  std::vector<int> good_order() const;

 private:
  struct Simulation;
  std::vector<int> given_order() const;
  std::vector<int> greedy_order(bool by_peak) const;
  std::vector<int> moved_together(std::vector<int> order) const;

  size_t count_;
  std::vector<std::vector<int>> needs_;  // of each step: steps that run before
  std::vector<std::vector<int>> needed_by_;
  std::vector<std::vector<int>> touches_;  // of each step: storages it makes, reads or writes
  std::vector<int64_t> bytes_;             // of each storage; 0 for memory that is there anyway
  std::vector<int> touch_count_;           // of each storage
  std::vector<bool> is_result_;            // of each storage: stays until the end
  std::vector<int> updated_;               // of each step: the storage it may write its result over, or -1
};

}  // namespace lazuli
