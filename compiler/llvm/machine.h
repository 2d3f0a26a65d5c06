#pragma once

// Private to code generation: this header shows LLVM's types.

#include <memory>
#include <stdexcept>
#include <string>

#include <llvm/ADT/SmallVector.h>
#include <llvm/IR/Module.h>
#include <llvm/Target/TargetMachine.h>

#include <lazuli/compiler/llvm/target.h>

namespace lazuli {

/// Makes LLVM ready for the targets that Lazuli makes code for; does so once.
void initialize_llvm();

/// LLVM gave up in the middle of its work. What it was working on is in no state to be destroyed.
class FatalLlvmError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// While one lives, LLVM's fatal errors in this thread are thrown as FatalLlvmError. Otherwise they end the
/// process, as LLVM has it.
class CatchFatalErrors {
 public:
  CatchFatalErrors();
  ~CatchFatalErrors();
  CatchFatalErrors(const CatchFatalErrors&) = delete;
  CatchFatalErrors& operator=(const CatchFatalErrors&) = delete;

 private:
  bool before_;
};

/// Sets triple and data layout, optimises, and emits an object file.
class MachineCompiler {
 public:
  explicit MachineCompiler(const Target& target);
  ~MachineCompiler();

  /// Sets the module's triple and data layout.
  void prepare(llvm::Module& module) const;
  /// Runs the passes that are worth their time on IR that is vectorised already.
  void optimize(llvm::Module& module) const;
  /// The object file. Throws std::runtime_error where LLVM cannot make one, FatalLlvmError where it breaks
  /// down.
  llvm::SmallVector<char, 0> emit_object(llvm::Module& module) const;
  /// The same as assembly text.
  std::string emit_assembly(llvm::Module& module) const;

  llvm::TargetMachine& machine() const { return *machine_; }

 private:
  std::unique_ptr<llvm::TargetMachine> machine_;
};

}  // namespace lazuli
