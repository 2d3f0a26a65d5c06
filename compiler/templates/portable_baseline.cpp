// The portable kernels in 16-byte vectors, which every target has (SSE2, NEON).

#include <lazuli/array/half.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/quantized_layout.h>

namespace lazuli::templates {

namespace {

constexpr int64_t vector_bytes = 16;
constexpr int tile_rows = 3;
#define LAZULI_TEMPLATES_AVX2 0
#define LAZULI_TEMPLATES_AVX512 0

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
#include <lazuli/compiler/templates/portable_table.inl>

}  // namespace

const Kernels& baseline_kernels() {
  static const Kernels table = make_table("baseline");
  return table;
}

#if !defined(__x86_64__)
const Kernels& portable_kernels() {
  return baseline_kernels();
}
#endif

}  // namespace lazuli::templates
