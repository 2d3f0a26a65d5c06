// Kernels of byte dot products in 64-byte vectors.

#if defined(__x86_64__)

#include <immintrin.h>

#include <lazuli/compiler/templates/portable_avx512.h>

namespace lazuli::templates {

namespace {

#define LAZULI_TEMPLATES_AVX2 0
#define LAZULI_TEMPLATES_AVX512 1
#define LAZULI_TEMPLATES_VNNI 1

#include <lazuli/compiler/templates/begin_avx512.inl>

#include <lazuli/compiler/templates/portable_vectors.inl>
//
#include <lazuli/compiler/templates/portable_attention_codes.inl>
//
#include <lazuli/compiler/templates/portable_code_bytes.inl>

#include <lazuli/compiler/templates/end_isa.inl>

}  // namespace

void use_avx512_vnni_kernels(Kernels& table) {
  table.code_bytes_dot = code_bytes_dot;
  table.code_bytes = code_bytes;
  table.score_codes = score_codes;
  table.code_weights = code_weights;
  table.sum_codes = sum_codes;
  table.scales_by_group = scales_by_group;
}

}  // namespace lazuli::templates

#endif
