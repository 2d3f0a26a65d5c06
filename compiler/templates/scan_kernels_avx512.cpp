// Loops of cumulative operations for x86-64 with AVX-512, in 32-byte vectors: most of the work is shuffling,
// which takes one step less, and a processor whose units are this wide takes two turns for 64 bytes. What is
// gained is that one instruction shuffles two vectors.

#include <lazuli/compiler/templates/scan_kernels.h>

#if defined(__x86_64__)

#include <immintrin.h>

#include <lazuli/array/half.h>

namespace lazuli::templates {

namespace {

#define LAZULI_TEMPLATES_AVX2 1
#define LAZULI_TEMPLATES_AVX512 0
#define LAZULI_TEMPLATES_AVX512_SHORT 1

#include <lazuli/compiler/templates/begin_avx512.inl>

#include <lazuli/compiler/templates/portable_vectors.inl>
//
#include <lazuli/compiler/templates/scan_kernels.inl>

#include <lazuli/compiler/templates/end_isa.inl>

}  // namespace

const ScanKernels& avx512_scan_kernels() {
  return kernels_of_this_set;
}

}  // namespace lazuli::templates

#endif
