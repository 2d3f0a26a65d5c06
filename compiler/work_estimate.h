#pragma once

#include <cstdint>
#include <span>

#include <lazuli/compiler/kernel_ir/kernel.h>
#include <lazuli/compiler/operations.h>

namespace lazuli {

/// What a piece of work takes at least.
struct WorkEstimate {
  double bytes = 0;       ///< each tensor read or written once
  double operations = 0;  ///< arithmetic; a multiply-add counts as two
};

/// A kernel over these extents, whose math has been expanded. Tensors count as far as the iteration space
/// reaches them; reads at dynamic indices count once for each point.
WorkEstimate estimate_work(const kir::Kernel& expanded, std::span<const int64_t> extents);

/// What a kernel adds to the host operation that it makes an operand for, or whose result it takes: `block`
/// is its access to that tensor, which is never stored.
WorkEstimate estimate_fused_work(const kir::Kernel& expanded, std::span<const int64_t> extents, size_t block,
                                 const TensorView& tensor);

/// A host operation on these tensors.
WorkEstimate estimate_work(const HostOperation& operation, std::span<const TensorView> inputs,
                           std::span<const TensorView> outputs);

}  // namespace lazuli
