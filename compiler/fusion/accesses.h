#pragma once

#include <vector>

#include <lazuli/compiler/fusion/coordinates.h>
#include <lazuli/compiler/fusion/emitter.h>
#include <lazuli/compiler/kernel_ir/builder.h>
#include <lazuli/graph/graph.h>

namespace lazuli {

/// The accesses of a kernel that is being made, one for each place in memory at which it reads or writes.
class KernelAccesses {
 public:
  /// `block` is what an epilogue is done to, `made` what a prologue makes.
  KernelAccesses(const Graph& graph, LoweredKernel& lowered, Graph::ValueId block, Graph::ValueId made)
      : graph_(graph), lowered_(lowered), block_(block), made_(made) {}

  /// A new access to an operand.
  uint32_t add(KernelOperand operand, kir::Access::Kind kind, Dtype dtype, uint8_t dynamic_indices = 0);
  /// The access to a value at coordinates; appends the dynamic indices that it takes.
  uint32_t to(Graph::ValueId value, const Coordinates& at, kir::Access::Kind kind,
              std::vector<kir::Value>& dynamic);
  /// The access to a number that is an extent.
  uint32_t to_extent(Dim dim);
  /// A row of the thread's scratch memory.
  uint32_t add_scratch(Dtype dtype);
  /// A row of sums of the values at each point; coordinates say where the whole sum is to lie.
  uint32_t add_sums(Graph::ValueId value, const Coordinates& at);

 private:
  const Graph& graph_;
  LoweredKernel& lowered_;
  const Graph::ValueId block_;
  const Graph::ValueId made_;
};

}  // namespace lazuli
