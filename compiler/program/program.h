#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/compiler/fusion/emitter.h>
#include <lazuli/compiler/fusion/grouping.h>
#include <lazuli/graph/graph.h>

namespace lazuli {

class Binding;

/// A tensor that comes into a program: where it lies, and whether the program may write over it.
struct ProgramInput {
  Ref<Buffer> buffer;
  int64_t offset = 0;  ///< in bytes
  Shape shape;
  Strides strides;
  bool donated = false;       ///< the program holds the only reference to the buffer
  bool written_over = false;  ///< set by a run that used the donated memory
};

/// A tensor that a program made: a place in a buffer.
struct ProgramOutput {
  Ref<Buffer> buffer;
  int64_t offset = 0;
  Shape shape;
  Strides strides;
};

/// One step of a program, before shapes are known.
struct ProgramStep {
  FusionUnit::Kind kind = FusionUnit::Kind::group;
  Graph::NodeId node = Graph::none;    ///< of host, reshape and begin steps
  LoweredKernel kernel;                ///< of groups, and of epilogues of host steps
  LoweredKernel prologue;              ///< of a host step that has one
  Graph::ValueId made = Graph::none;   ///< what a host step's prologue makes rows of
  bool has_epilogue = false;           ///< of a host step
  std::vector<Graph::NodeId> members;  ///< what the kernels compute
  std::vector<Graph::ValueId> reads;   ///< values whose memory it reads, views looked through
  std::vector<Graph::ValueId> writes;  ///< values whose memory it makes or writes

  bool has_prologue() const { return made != Graph::none; }
};

/// What a graph is compiled to: steps over memory that is planned when the extents are known. A program is
/// bound to each set of input layouts it meets (the last few are kept), then run. Thread-safe.
class Program {
 public:
  /// Plans the graph. `scope` is the one that the graph was traced in, still open; null if it has no symbols.
  /// Without `fuse` every operation is a kernel of its own.
  static std::shared_ptr<Program> create(const Graph& graph, const std::string& title,
                                         DimScope* scope = nullptr, bool fuse = true);
  ~Program();

  /// Runs on inputs whose extents give the symbols these values; blocks until done. Donated inputs may be
  /// written over.
  std::vector<ProgramOutput> run(std::span<ProgramInput> inputs, std::span<const int64_t> symbols = {});

  const Graph& graph() const { return plan_.prepared.graph; }
  const FusionPlan& plan() const { return plan_; }
  const std::vector<ProgramStep>& steps() const { return steps_; }
  /// How many kernels it has.
  size_t kernel_count() const;
  /// The most bytes that a run on such inputs takes for temporaries and results, none of them donated.
  int64_t memory(std::span<const ProgramInput> inputs, std::span<const int64_t> symbols = {});

 private:
  Program() = default;
  void order_steps();
  std::shared_ptr<Binding> bind(std::span<const ProgramInput> inputs, std::span<const int64_t> symbols);

  FusionPlan plan_;
  std::vector<ProgramStep> steps_;
  std::mutex mutex_;
  std::vector<std::pair<std::vector<int64_t>, std::shared_ptr<Binding>>> bindings_;  // most recent first
};

}  // namespace lazuli
