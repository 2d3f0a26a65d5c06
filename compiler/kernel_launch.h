#pragma once

#include <cstdint>

#include <lazuli/compiler/holes.h>
#include <lazuli/compiler/kernel_cache.h>
#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli {

/// Bytes of scratch that each thread needs to run the kernel with these extents. Where `pointers` and
/// `strides` are given (laid out as in KernelArguments), the entries of scratch accesses are filled in: the
/// offset of the row, and the strides of a dense row-major row over the reduce dimensions; those of rows of
/// sums, too.
int64_t layout_scratch(const kir::Kernel& kernel, const int64_t* extents, std::byte** pointers = nullptr,
                       int64_t* strides = nullptr);

/// Runs the kernel over its whole iteration space on `num_threads()` threads; small work runs in the caller
/// alone. Returns when all is done. Nothing runs if a parallel extent is zero. `scratch_bytes` is what
/// `layout_scratch` said. Interprets or compiles as `jit_mode()` says. A kernel with rows of sums runs in
/// `summed_parts` parts, as many as there are rows one after the other where its pointers lead; the parts are
/// the same whatever the threads.
void launch(CompiledKernel& kernel, const kir::KernelArguments& arguments, int64_t scratch_bytes = 0,
            int64_t summed_parts = 0);

/// A kernel bound to run in the holes of templates: for blocks that it reads, or rows that it makes. Chooses
/// once what runs it.
class BlockLauncher {
 public:
  /// `arguments` and all they point to must outlive it. `block_access` is the input that blocks are, or the
  /// output that rows are; `scratch_bytes` is what `layout_scratch` said.
  BlockLauncher(CompiledKernel& kernel, const kir::KernelArguments& arguments, size_t block_access,
                int64_t scratch_bytes = 0);
  /// Runs it for the points of a block, in the calling thread; may be called from several at once.
  void operator()(const ResultBlock& block) const;
  /// The same for rows.
  void operator()(const OperandRows& rows) const;

 private:
  /// Runs it for rows [row, row_end) and columns [column, column_end) of an array whose first element would
  /// be at `data`.
  void run(std::byte* data, int64_t row_stride, int64_t row, int64_t row_end, int64_t column,
           int64_t column_end) const;

  CompiledKernel& kernel_;
  const kir::KernelArguments& arguments_;
  size_t block_access_;
  int64_t scratch_bytes_;
  int64_t columns_;
  kir::KernelFunction function_ = nullptr;
};

}  // namespace lazuli
