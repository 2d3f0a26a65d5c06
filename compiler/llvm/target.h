#pragma once

#include <string>

namespace lazuli {

/// The machine that code is generated for.
struct Target {
  std::string triple;
  std::string cpu;       ///< as LLVM names it
  std::string features;  ///< as LLVM writes them: "+avx2,-avx512f,..."
  std::string key;       ///< equal for targets whose code is the same; goes into the names of cached code

  int vector_bits = 128;      ///< of the widest vector register to use
  int vector_registers = 16;  ///< of that width
  bool masks = false;         ///< lanes of any type are masked by mask registers (AVX-512 BW and VL)
  bool masked_words = false;  ///< loads and stores of 32- and 64-bit lanes can be masked (AVX)
  bool fma = false;
  bool half = false;  ///< conversions between float16 and float32
  bool vnni = false;  ///< 8-bit dot products of vector_bits
  bool bf16 = false;  ///< bfloat16 dot products of vector_bits

  int vector_bytes() const { return vector_bits / 8; }
};

/// This machine, or what LAZULI_TARGET_CPU and LAZULI_TARGET_FEATURES say in its place (features are then
/// those of that CPU, changed by the string given). Needs no LLVM target to be initialised unless overridden.
const Target& host_target();

/// A CPU by LLVM's name, with a feature string added: for tests of code that this machine may not run.
Target target_for(const std::string& cpu, const std::string& features = {});

}  // namespace lazuli
