#pragma once

#include <cstdint>

#include <lazuli/compiler/kernel_cache.h>
#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli {

/// Bytes of scratch that each thread needs to run the kernel with these extents. Where `pointers` and
/// `strides` are given (laid out as in KernelArguments), the entries of scratch accesses are filled in: the
/// offset of the row, and the strides of a dense row-major row over the reduce dimensions.
int64_t layout_scratch(const kir::Kernel& kernel, const int64_t* extents, std::byte** pointers = nullptr,
                       int64_t* strides = nullptr);

/// Runs the kernel over its whole iteration space on `num_threads()` threads; small work runs in the caller
/// alone. Returns when all is done. Nothing runs if a parallel extent is zero. `scratch_bytes` is what
/// `layout_scratch` said. Interprets or compiles as `jit_mode()` says.
void launch(CompiledKernel& kernel, const kir::KernelArguments& arguments, int64_t scratch_bytes = 0);

}  // namespace lazuli
