#include <lazuli/compiler/interpreter/steps.h>

namespace lazuli::interpreter {
namespace {

const StepTable& choose() {
#if defined(__x86_64__)
  // What the files are compiled with, see cmake/LazuliInterpreter.cmake. (Whatever has AVX2 and FMA has F16C
  // and BMI, which not every compiler lets one ask for.)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq");
  if (avx512) return step_table_avx512();
  if (avx2) return step_table_avx2();
#endif
  return step_table_baseline();
}

}  // namespace

const StepTable& step_table() {
  static const StepTable& table = choose();
  return table;
}

}  // namespace lazuli::interpreter
