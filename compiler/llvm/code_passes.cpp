#include <lazuli/compiler/llvm/code_passes.h>

#include <algorithm>

#include <llvm/ADT/StringRef.h>
#include <llvm/Pass.h>

namespace lazuli {
namespace {

constexpr const char* addresses_kept = "lazuli.addresses_kept";

constexpr llvm::StringLiteral unneeded[] = {
    // Calls, and what comes of them.
    "Merge contiguous icmps into a memcmp",
    "Expand memcmp() to load/stores",
    "Replace intrinsics with calls to vector library",
    "Partially inline calls to library functions",
    "X86 Optimize Call Frame",
    "X86 DynAlloca Expander",
    "Insert KCFI indirect call checks",
    // Exceptions, indirect jumps, thread-local variables, garbage collection.
    "Exception handling preparation",
    "Prepare callbr",
    "Expand indirectbr instructions",
    "TLS Variable Hoist",
    "Local Dynamic TLS Access Clean-up",
    "Lower Garbage Collection Instructions",
    "Shadow Stack GC Lowering",
    "Analyze Machine Code For Garbage Collection",
    "Fixup Statepoint Caller Saved",
    "StackMap Liveness Analysis",
    "Contiguously Lay Out Funclets",
    // Types and instructions that are not used.
    "Expand large div/rem",
    "Expand large fp convert",
    "Lower AMX intrinsics",
    "Lower AMX type for load/store",
    "Tile Register Pre-configure",
    "Tile Register Configure",
    "X86 Lower Tile Copy",
    "X86 insert wait instruction",
    "X86 Domain Reassignment Pass",
    // Hooks for instrumentation.
    "Instrument function entry/exit with calls to e.g. mcount() (post inlining)",
    "Insert fentry calls",
    "Insert XRay ops",
    "Implement the 'patchable-function' attribute",
    "Pseudo Probe Inserter",
    "Machine Sanitizer Binary Metadata",
    "Stack Frame Layout Analysis",
    "X86 Insert Cache Prefetches",
    "X86 Discriminate Memory Operands",
    // Guards against those who would misuse a program.
    "Safe Stack instrumentation pass",
    "Insert stack protectors",
    "X86 Windows Fixup Buffer Security Check",
    "X86 speculative load hardening",
    "X86 Load Value Injection (LVI) Load Hardening",
    "X86 Load Value Injection (LVI) Ret-Hardening",
    "X86 Speculative Execution Side Effect Suppression",
    "X86 Indirect Branch Tracking",
    "X86 Indirect Thunks",
    "X86 Return Thunks",
    // Tuning for processors of old.
    "X86 Atom pad short functions",
    "Register Allocation Pass Scoring",
};

// Of kernels whose addresses are simple, blocks share nothing that isn't the same value in LLVM IR already,
// and what little is done with scalars is not worth looking over.
constexpr llvm::StringLiteral for_addresses[] = {
    "Canonicalize Freeze Instructions in Loops",
    "Loop Strength Reduction",
    "Constant Hoisting",
    "Machine Common Subexpression Elimination",
    "Early If-Conversion",
    "Machine InstCombiner",
    "X86 cmov Conversion",
    "Merge disjoint stack slots",
};

}  // namespace

void keep_addresses(llvm::Module& module) {
  module.getOrInsertNamedMetadata(addresses_kept);
}

CodePasses::CodePasses(llvm::legacy::PassManager& passes, const llvm::Module& module)
    : passes_(passes), keeps_addresses_(module.getNamedMetadata(addresses_kept) != nullptr) {}

void CodePasses::add(llvm::Pass* pass) {
  const llvm::StringRef name = pass->getPassName();
  const auto is_name = [&](llvm::StringRef other) { return other == name; };
  if (std::any_of(std::begin(unneeded), std::end(unneeded), is_name) ||
      (keeps_addresses_ && std::any_of(std::begin(for_addresses), std::end(for_addresses), is_name))) {
    delete pass;  // the pass manager would have owned it
    return;
  }
  passes_.add(pass);
}

}  // namespace lazuli
