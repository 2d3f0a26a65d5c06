#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include <lazuli/compiler/program/binding.h>
#include <lazuli/compiler/program/kernel_binding.h>
#include <lazuli/compiler/program/split_reduction.h>

namespace lazuli {

/// Builds a Binding: walks the steps once to place values, once to see how long memory is needed, and once
/// to write down what runs.
class Binder {
 public:
  Binder(Binding& binding, const Program& program, std::span<const ProgramInput> inputs,
         std::span<const int64_t> symbols);
  void run();

 private:
  int64_t concrete(Dim dim) const {
    if (!dim.is_symbolic()) return dim.hint();
    return dims_[dim.symbol() - graph_.dim_base];
  }
  Shape concrete(const Shape& shape) const;
  int64_t item_size(Graph::ValueId value) const { return graph_.spec(value).dtype.size(); }
  int add_storage(Storage::Kind kind, int index, int64_t bytes);
  int find(int storage) const {
    while (merged_[static_cast<size_t>(storage)] >= 0) storage = merged_[static_cast<size_t>(storage)];
    return storage;
  }
  Location fresh(Graph::ValueId value);
  void place_sources(std::span<const ProgramInput> inputs);
  /// Where a value lies; views are worked out on the way.
  const Location& locate(Graph::ValueId value);
  void place_step(int s);
  bool is_copy(int s) const { return std::find(copies_.begin(), copies_.end(), s) != copies_.end(); }
  Storage& storage_of(Graph::ValueId value) {
    return binding_.storages_[static_cast<size_t>(find(locate(value).storage))];
  }
  void find_lifetimes();
  /// Lets a step write into an operand's memory where nobody reads that afterwards.
  void take_over_memory(int s);
  void update_in_place(const ProgramStep& step, int s);
  void compute_in_place(const ProgramStep& step, int s);
  /// Whether a kernel's result, access `to`, can be written over an operand, access `from`.
  bool can_lie_over(const LoweredKernel& lowered, size_t to, size_t from, int s);
  void resolve_merged();
  void write_step(int s);
  /// `begins` has the first run of each step, and the number of runs.
  void plan_memory(const std::vector<int>& begins);
  KernelRun make_kernel(const kir::Kernel& kernel, std::span<const int64_t> extents,
                        std::span<const std::vector<int64_t>> strides,
                        std::vector<KernelRun::Pointer> pointers, RunsOver over);
  void add_kernel(const kir::Kernel& kernel, std::span<const int64_t> extents,
                  std::span<const std::vector<int64_t>> strides, std::vector<KernelRun::Pointer> pointers,
                  int only_unless_donated);
  /// Where a kernel's accesses lie, and how they are walked.
  struct Operands {
    std::vector<int64_t> extents;
    std::vector<std::vector<int64_t>> strides;
    std::vector<KernelRun::Pointer> pointers;
  };
  Operands place_operands(const LoweredKernel& lowered);
  void write_kernel(const LoweredKernel& lowered);
  /// A kernel with rows of sums, and those that add the parts' rows up.
  void write_kernel_with_sums(const LoweredKernel& lowered, Operands placed);
  /// Memory for what is needed between the runs of the step that is being written.
  int add_step_storage(int64_t bytes);
  void add_split_reduction(const SplitReduction& split, std::span<const std::vector<int64_t>> strides,
                           std::span<const KernelRun::Pointer> pointers);
  void write_copy(const Location& from, const Location& to, Dtype dtype, int only_unless_donated);
  TensorView view_of(const Location& location, Dtype dtype) const;
  /// Writes down the runs of a host operation with a prologue and an epilogue, if it has these.
  void write_host(const ProgramStep& step);
  /// Fills a hole with a kernel, and says what the operation is told instead of where `tensor` lies.
  FusedRun make_fused(const LoweredKernel& lowered, Operands placed, KernelOperand::Kind block,
                      Graph::ValueId tensor);
  /// Whether a step's prologue is run when rows are needed, and not as a kernel before it.
  bool makes_rows_when_needed(const ProgramStep& step, const Operands& placed) const;
  /// Runs a step's prologue before it, into memory of the step's own.
  void write_prologue_before(const ProgramStep& step);

  Binding& binding_;
  const Program& program_;
  const Graph& graph_;
  std::vector<int64_t> dims_;
  std::vector<Location> locations_;
  std::vector<int> merged_;    // for each storage, the one it was merged into, or -1
  std::vector<int> copies_;    // reshape steps that copy
  std::vector<int> in_place_;  // update steps that write over their operand
  int step_ = 0;               // the one that is being written
};

/// Whether elements lie in row-major order without gaps.
bool is_row_major(const Location& location);

}  // namespace lazuli
