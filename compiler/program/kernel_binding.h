#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli {

/// A kernel over given extents and strides, brought to its simplest form: dimensions of extent 1 dropped,
/// neighbours that every access walks as one merged, the strides' classes noted. Kernels that come out equal
/// share their code.
struct BoundKernel {
  kir::Kernel kernel;
  std::vector<int64_t> extents;
  std::vector<int64_t> strides;  ///< as in KernelArguments
};

/// What a bound kernel is to run over: all of its space, or blocks of rows and columns, for which the last
/// dimension (there is no reduction then) stays by itself.
enum class RunsOver : uint8_t { whole, blocks };

/// Binds a kernel to extents (one a dimension) and strides (per access: one a dimension, then one a dynamic
/// index).
BoundKernel bind_kernel(const kir::Kernel& kernel, std::span<const int64_t> extents,
                        std::span<const std::vector<int64_t>> strides, RunsOver over = RunsOver::whole);

/// A kernel that copies a tensor of the given rank: access 0 to access 1.
kir::Kernel copy_kernel(Dtype dtype, int rank);

/// A kernel that sums access 0 over the last dimension but one into access 1.
kir::Kernel sum_of_parts_kernel(Dtype from, Dtype to, int rank);

}  // namespace lazuli
