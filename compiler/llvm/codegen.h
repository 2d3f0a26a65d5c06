#pragma once

#include <cstdint>
#include <string>

#include <lazuli/compiler/kernel_ir/kernel.h>
#include <lazuli/compiler/llvm/target.h>

namespace llvm {
class Module;
}

namespace lazuli {

struct CodegenOptions {
  bool streaming = false;  ///< contiguous stores go past the caches; they must be aligned to vectors
  /// Where that is possible, whole lines of results that are not so aligned are put together and go past the
  /// caches.
  bool joined = false;
  std::string symbol = "kernel";
  std::string debug_directory;  ///< where it is given, code has the line numbers of a text written there...
  std::string name;             ///< ...which with its function has this name, by default the symbol
};

/// Emits a function with the signature of kir::KernelFunction that runs the kernel, whose math has been
/// expanded.
void generate_kernel(llvm::Module& module, const Target& target, const kir::Kernel& kernel,
                     const CodegenOptions& options = {});

/// The object file of such a function, for any target that LLVM knows.
std::string kernel_object(const Target& target, const kir::Kernel& kernel,
                          const CodegenOptions& options = {});

/// The same as text.
enum class CodeText : uint8_t { llvm_ir, assembly };
std::string kernel_text(const Target& target, const kir::Kernel& kernel, CodeText what,
                        const CodegenOptions& options = {});

}  // namespace lazuli
