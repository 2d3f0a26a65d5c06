#pragma once

// Private to code generation: this header shows LLVM's types.

#include <memory>
#include <string>
#include <vector>

#include <llvm/IR/DIBuilder.h>
#include <llvm/IR/Function.h>
#include <llvm/IR/IRBuilder.h>

#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli {

/// A kernel's text as a source file, and the debug information that ties machine code to its lines.
class KernelSource {
 public:
  /// Writes the kernel's text to NAME.kir in `directory`, and gives the function a line table that refers to
  /// it.
  KernelSource(llvm::Function& function, const kir::Kernel& kernel, const std::string& directory,
               const std::string& name);

  /// What is emitted from now on belongs to this instruction; to the kernel's first line for `no_value`.
  void at(llvm::IRBuilder<>& ir, kir::ValueId instruction) const;
  /// To be called when the function is complete.
  void finish();

 private:
  llvm::DIBuilder builder_;
  llvm::DISubprogram* subprogram_ = nullptr;
  std::vector<unsigned> lines_;  // of each instruction
};

}  // namespace lazuli
