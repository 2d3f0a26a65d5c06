#pragma once

// Private to code generation: this header shows LLVM's types.

#include <memory>
#include <string>

#include <llvm/ADT/SmallVector.h>
#include <llvm/IR/Module.h>
#include <llvm/Target/TargetMachine.h>

#include <lazuli/compiler/llvm/target.h>

namespace lazuli {

/// Makes LLVM ready for this machine's targets; does so once.
void initialize_llvm();

/// Sets triple and data layout, optimises, and emits an object file.
class MachineCompiler {
 public:
  explicit MachineCompiler(const Target& target);
  ~MachineCompiler();

  /// Sets the module's triple and data layout.
  void prepare(llvm::Module& module) const;
  /// Runs the passes that are worth their time on IR that is vectorised already.
  void optimize(llvm::Module& module) const;
  /// The object file. Throws std::runtime_error where LLVM cannot make one.
  llvm::SmallVector<char, 0> emit_object(llvm::Module& module) const;
  /// The same as assembly text.
  std::string emit_assembly(llvm::Module& module) const;

  llvm::TargetMachine& machine() const { return *machine_; }

 private:
  std::unique_ptr<llvm::TargetMachine> machine_;
};

}  // namespace lazuli
