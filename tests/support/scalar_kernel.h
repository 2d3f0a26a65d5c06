#pragma once

#include <cstddef>
#include <cstdint>

#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli::testing {

/// What a kernel means, one point and one instruction at a time: the plainest and slowest way to run it.
/// Math is expanded first. Sums of floats are taken in double.
void run_scalar(const kir::Kernel& kernel, const kir::KernelArguments& arguments, std::byte* scratch,
                int64_t outer_begin, int64_t outer_end, int64_t inner_begin, int64_t inner_end);

}  // namespace lazuli::testing
