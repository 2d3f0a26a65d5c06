#pragma once

#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include <lazuli/compiler/kernel_cache.h>
#include <lazuli/compiler/operations.h>
#include <lazuli/compiler/program/memory_plan.h>
#include <lazuli/compiler/program/program.h>

namespace lazuli {

/// Where a value lies: a place in a storage, with the strides to walk it.
struct Location {
  int storage = -1;
  int64_t offset = 0;  ///< in bytes
  Shape shape;         ///< numbers
  Strides strides;     ///< in elements
};

/// A piece of memory that a program uses.
struct Storage {
  enum class Kind : uint8_t { input, constant, temporary, output };
  Kind kind = Kind::temporary;
  int index = 0;  ///< which input or constant
  int64_t bytes = 0;
  int first = 0, last = 0;  ///< steps between which it is needed
  int donor = -1;           ///< the input whose memory it may take over when that is donated
};

/// A kernel ready to launch, but for the addresses of storages.
struct KernelRun {
  struct Pointer {
    int storage;     ///< -1: `offset` is the address of an extent, or a scratch row's offset
    int64_t offset;  ///< in bytes
  };
  std::shared_ptr<CompiledKernel> kernel;
  std::vector<int64_t> extents;
  std::vector<int64_t> strides;
  std::vector<Pointer> pointers;
  int64_t scratch_bytes = 0;
  int64_t summed_parts = 0;      ///< of a kernel with rows of sums: of how many parts each has its own
  int only_unless_donated = -1;  ///< a copy that is not needed if this storage took over its donor's memory
};

/// A kernel that makes a host operation's operand as it is needed, or takes its result block by block.
struct FusedRun {
  KernelRun kernel;
  size_t block_access = 0;
  TensorView tensor;  ///< the operand or result; without memory
};

/// A host operation ready to run, but for the addresses of storages.
struct HostRun {
  const HostOperation* operation = nullptr;
  std::vector<std::pair<int, TensorView>> inputs;  ///< storage; `data` holds the offset until it runs
  std::vector<std::pair<int, TensorView>> outputs;
  std::optional<FusedRun> prologue;  ///< then the first operand is not among the inputs
  std::optional<FusedRun> epilogue;  ///< then there are no outputs
};

/// A program for given extents and input layouts: memory planned, kernels chosen.
class Binding {
 public:
  Binding(const Program& program, std::span<const ProgramInput> inputs, std::span<const int64_t> symbols);
  std::vector<ProgramOutput> run(std::span<ProgramInput> inputs) const;
  /// Bytes that a run takes for temporaries and results.
  int64_t memory() const;

 private:
  friend class Binder;
  class Memory;
  using Run = std::variant<KernelRun, HostRun>;
  std::vector<Storage> storages_;
  std::vector<Ref<Buffer>> constants_;
  std::vector<Run> runs_;
  std::vector<Location> outputs_;
  std::vector<std::unique_ptr<int64_t>> extents_;  // what kernels read as extents
  std::vector<std::vector<int64_t>> counts_;       // and as the elements of a reduction's parts
  std::vector<MemoryPiece>
      pieces_;                // of temporaries and results, by the first step; steps are places in runs_
  std::vector<int> by_last_;  // the same, by the last
};

}  // namespace lazuli
