// The portable kernels for x86-64 with AVX2, FMA and F16C, in 32-byte vectors.

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#include <lazuli/array/half.h>
#include <lazuli/compiler/llvm/target.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/portable_avx512.h>
#include <lazuli/compiler/templates/quantized_layout.h>

namespace lazuli::templates {

namespace {

constexpr int tile_rows = 6;
#define LAZULI_TEMPLATES_AVX2 1
#define LAZULI_TEMPLATES_AVX512 0

#include <lazuli/compiler/templates/begin_avx2.inl>

#include <lazuli/compiler/templates/portable_vectors.inl>
//
#include <lazuli/compiler/templates/portable_gemm.inl>
//
#include <lazuli/compiler/templates/portable_fft.inl>
#include <lazuli/compiler/templates/portable_fft_lanes.inl>
#include <lazuli/compiler/templates/portable_fft_real.inl>
#include <lazuli/compiler/templates/portable_float_codes.inl>
#include <lazuli/compiler/templates/portable_quantized.inl>
#include <lazuli/compiler/templates/portable_row_products.inl>
#include <lazuli/compiler/templates/portable_softmax.inl>

#include <lazuli/compiler/templates/end_isa.inl>

#include <lazuli/compiler/templates/portable_table.inl>

}  // namespace

namespace {

/// What the target says of F16C is said for LLVM: the CPU is asked once more.
bool has_f16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

}  // namespace

const Kernels& portable_kernels() {
  static const bool has_avx2 = instruction_set() >= InstructionSet::avx2 && has_f16c();
  if (!has_avx2) return baseline_kernels();
  static const Kernels table = [] {
    Kernels made = make_table("avx2");
    if (instruction_set() >= InstructionSet::avx512) {
      use_avx512_kernels(made);
      if (host_target().vnni) use_avx512_vnni_kernels(made);
    }
    return made;
  }();
  return table;
}

}  // namespace lazuli::templates

#endif
