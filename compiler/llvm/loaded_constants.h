#pragma once

// Private to code generation: this header shows LLVM's types.

#include <llvm/IR/Module.h>

namespace lazuli {

/// Says that `load_constants` is worth its while for the module.
void mark_for_loaded_constants(llvm::Module& module);

/// In modules that are marked: vectors of constants that fill 512 bits become loads from memory, a number
/// that is spread over the lanes, at the head of the function. To instruction selection a constant of 16
/// lanes is 16 operands, which it looks at again with each instruction that has them: a sixth of the time of
/// a compilation. The register allocator loads what it cannot keep again, as it does with constants. (Of the
/// 16 registers of AVX2 it lets go of others then, and code is a little slower: those stay as they are.)
///
/// To be run last, since what is loaded is folded no more.
void load_constants(llvm::Module& module);

}  // namespace lazuli
