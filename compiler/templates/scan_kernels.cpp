#include <lazuli/compiler/templates/scan_kernels.h>

#include <lazuli/array/half.h>
#include <lazuli/compiler/llvm/target.h>

namespace lazuli::templates {

namespace {

constexpr int64_t vector_bytes = 16;

#define LAZULI_TEMPLATES_AVX2 0
#define LAZULI_TEMPLATES_AVX512 0
#define LAZULI_TEMPLATES_AVX512_SHORT 0

#include <lazuli/compiler/templates/portable_vectors.inl>
//
#include <lazuli/compiler/templates/scan_kernels.inl>

}  // namespace

const ScanKernels& baseline_scan_kernels() {
  return kernels_of_this_set;
}

const ScanKernels& scan_kernels() {
#if defined(__x86_64__)
  switch (instruction_set()) {
    case InstructionSet::avx512:
      return avx512_scan_kernels();
    case InstructionSet::avx2:
      return avx2_scan_kernels();
    case InstructionSet::baseline:
      break;
  }
#endif
  return baseline_scan_kernels();
}

}  // namespace lazuli::templates
