#pragma once

#include <cstdint>
#include <string>

#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli {

/// The machine that code is generated for.
struct Target {
  std::string triple;
  std::string cpu;       ///< as LLVM names it
  std::string features;  ///< as LLVM writes them: "+avx2,-avx512f,..."
  std::string key;       ///< equal for targets whose code is the same; goes into the names of cached code

  int vector_bits = 128;      ///< of the widest vector register to use
  int vector_registers = 16;  ///< of that width
  bool avx512 = false;        ///< x86's 512-bit instructions (F, BW, VL and DQ)
  bool masks = false;         ///< lanes of any type are masked by mask registers (AVX-512 BW and VL)
  bool masked_words = false;  ///< loads and stores of 32- and 64-bit lanes can be masked (AVX)
  bool fma = false;
  bool half = false;  ///< conversions between float16 and float32
  bool vnni = false;  ///< 8-bit dot products of vector_bits
  bool bf16 = false;  ///< bfloat16 dot products of vector_bits

  /// How far ahead loops ask for what they read once, where the processor's own fetching falls behind as soon
  /// as there is arithmetic between two lines; 0 where it does not, and asking only takes places for misses.
  int64_t bytes_ahead = 0;

  /// Words at places of their own are read faster by one instruction for all lanes than lane by lane.
  bool gathers = false;

  int vector_bytes() const { return vector_bits / 8; }
  /// Tables of math functions fit into two registers of AVX-512, which permutes them by one instruction.
  kir::MathForm math_form() const { return avx512 ? kir::MathForm::tables : kir::MathForm::polynomials; }
};

/// The machine that code is made for: this one unless LAZULI_TARGET or `set_target` names another. Needs no
/// LLVM target to be initialised unless one does.
const Target& host_target();

/// Makes code for another machine than this one, which must be able to run it: `host`, `x86-64-v4`,
/// `x86-64-v3`, `x86-64-v2`, `x86-64`, or any CPU that LLVM knows, with features added or taken away as in
/// `x86-64-v4,-avx512bf16`. The interpreter and the kernels compiled ahead of time keep to it too.
/// LAZULI_TARGET does the same, but for a target that does not fit it warns and takes the host.
///
/// Throws std::invalid_argument if LLVM does not know the CPU or this machine lacks something that it has,
/// std::logic_error if code has been made already, since then it is too late.
void set_target(const std::string& name);

/// A CPU by LLVM's name, with a feature string added: for tests of code that this machine may not run. With
/// a triple, one of another architecture. Throws std::runtime_error where LLVM does not know it.
Target target_for(const std::string& cpu, const std::string& features = {}, const std::string& triple = {});

/// The sets of instructions that code compiled ahead of time comes in.
enum class InstructionSet : uint8_t { baseline, avx2, avx512 };

/// The widest of them that this machine has and `host_target()` allows.
InstructionSet instruction_set();

}  // namespace lazuli
