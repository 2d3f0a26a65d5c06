#pragma once

// Private to code generation: this header shows LLVM's types.

#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Module.h>

namespace lazuli {

/// Says that the module's loops step through memory as they should, so that loop strength reduction, one of
/// the longest passes, would find nothing to do.
void keep_addresses(llvm::Module& module);

/// What a target asks for to make code, without the passes whose work kernels never have: these neither call
/// nor throw, have no stack to guard and nobody to spy on them.
class CodePasses final : public llvm::legacy::PassManagerBase {
 public:
  CodePasses(llvm::legacy::PassManager& passes, const llvm::Module& module);
  void add(llvm::Pass* pass) override;

 private:
  llvm::legacy::PassManager& passes_;
  bool keeps_addresses_;
};

}  // namespace lazuli
