#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <lazuli/compiler/llvm/jit.h>

/// Machine code that a debugger can step through: it is made with line numbers of its kernel's text.
namespace lazuli {

/// The folder that LAZULI_DEBUG_KERNELS names, in which the text of every kernel is written out as NAME.kir;
/// empty unless it is set. Where it is, code is compiled anew in every process, with debug information, and
/// announced to GDB, which shows the kernel's name in backtraces and steps through its text.
const std::string& debug_directory();

/// Announces loaded code to debuggers that are or will be attached, and takes that back when the code goes.
/// `section_offsets` says for each of the object's sections where in the image it lies, -1 for none.
std::shared_ptr<const JitCode> announce_to_debugger(std::shared_ptr<const JitCode> code,
                                                    const std::byte* base, std::string_view object,
                                                    const std::vector<int64_t>& section_offsets);

}  // namespace lazuli
