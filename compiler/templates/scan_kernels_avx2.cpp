// Loops of cumulative operations for x86-64 with AVX2.

#include <lazuli/compiler/templates/scan_kernels.h>

#if defined(__x86_64__)

#include <immintrin.h>

#include <lazuli/array/half.h>

namespace lazuli::templates {

namespace {

#define LAZULI_TEMPLATES_AVX2 1
#define LAZULI_TEMPLATES_AVX512 0
#define LAZULI_TEMPLATES_AVX512_SHORT 0

#include <lazuli/compiler/templates/begin_avx2.inl>

#include <lazuli/compiler/templates/portable_vectors.inl>
//
#include <lazuli/compiler/templates/scan_kernels.inl>

#include <lazuli/compiler/templates/end_isa.inl>

}  // namespace

const ScanKernels& avx2_scan_kernels() {
  return kernels_of_this_set;
}

}  // namespace lazuli::templates

#endif
