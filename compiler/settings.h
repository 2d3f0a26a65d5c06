#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace lazuli {

/// When kernels are compiled by LLVM.
enum class JitMode : uint8_t {
  off,    ///< never: everything runs in the interpreter
  sync,   ///< always before the first run
  async,  ///< large work before its first run, small work in the background (the default)
};

/// The stages of compilation that can be printed to stderr.
enum class Stage : uint8_t {
  graph = 1,      ///< the traced graph, before and after simplification
  groups = 2,     ///< what was fused with what
  kernel_ir = 4,  ///< kernels as built
  llvm_ir = 8,    ///< optimised LLVM IR
  assembly = 16,
};

/// Settings of the compiler, read once from the environment and changeable by the functions below:
/// LAZULI_JIT=off|sync|async, LAZULI_PRINT=graph,groups,kernel,llvm,asm (or `all`), LAZULI_NUM_THREADS=N,
/// LAZULI_CACHE_DIR=DIR (kernel cache on disk; empty turns it off; by default lazuli/kernels under
/// $XDG_CACHE_HOME or ~/.cache), LAZULI_TUNE=on|off (whether tile sizes are corrected by measurement).
JitMode jit_mode();
void set_jit_mode(JitMode mode);

bool prints(Stage stage);
/// Turns printing of one stage on or off.
void set_print(Stage stage, bool on);
/// Writes one stage's text, with a heading, to stderr in one piece.
void print_stage(Stage stage, const std::string& title, const std::string& text);

/// Threads that evaluate kernels, the caller's included. Zero sets the default: all cores.
int num_threads();
void set_num_threads(int threads);

/// Whether tile sizes are corrected by how long calls take (see TileTuner).
bool tile_tuning();
void set_tile_tuning(bool on);

/// Where compiled kernels are kept between processes; empty where they are not.
std::filesystem::path kernel_cache_directory();
void set_kernel_cache_directory(std::filesystem::path directory);

}  // namespace lazuli
