#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli {

namespace interpreter {
struct Plan;
}

/// A kernel made ready to run without compilation: its instructions are carried out one after another, each
/// by a precompiled loop over a block of elements that stays in L1.
class InterpretedKernel {
 public:
  /// Expands math itself, which leaves a kernel that is already expanded as it is.
  explicit InterpretedKernel(const kir::Kernel& kernel);
  ~InterpretedKernel();
  InterpretedKernel(const InterpretedKernel&) = delete;
  InterpretedKernel& operator=(const InterpretedKernel&) = delete;

  /// Like a `kir::KernelFunction`. May be called by several threads at the same time.
  void run(const kir::KernelArguments& arguments, std::byte* scratch, int64_t outer_begin, int64_t outer_end,
           int64_t inner_begin, int64_t inner_end) const;

 private:
  std::unique_ptr<const interpreter::Plan> plan_;
};

}  // namespace lazuli
