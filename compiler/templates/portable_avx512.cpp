// The kernels of softmax, which stand between attention's products, of Fourier transforms, of products with
// codes and of depthwise convolutions in 64-byte vectors. The other portable kernels gain nothing by them,
// since generated ones take their place.

#if defined(__x86_64__)

#include <immintrin.h>

#include <lazuli/array/half.h>
#include <lazuli/compiler/templates/portable_avx512.h>

namespace lazuli::templates {

namespace {

#define LAZULI_TEMPLATES_AVX2 0
#define LAZULI_TEMPLATES_AVX512 1

#include <lazuli/compiler/templates/begin_avx512.inl>

#include <lazuli/compiler/templates/portable_vectors.inl>
//
#include <lazuli/compiler/templates/portable_code_dot.inl>
#include <lazuli/compiler/templates/portable_fft.inl>
#include <lazuli/compiler/templates/portable_fft_lanes.inl>
#include <lazuli/compiler/templates/portable_fft_real.inl>
#include <lazuli/compiler/templates/portable_row_products.inl>
#include <lazuli/compiler/templates/portable_softmax.inl>

#include <lazuli/compiler/templates/end_isa.inl>

}  // namespace

void use_avx512_kernels(Kernels& table) {
  table.max_of = max_of;
  table.exp_sum = exp_sum;
  table.exp_sum_bfloat16 = exp_sum_bfloat16;
  table.soft_cap = soft_cap;
  table.scale = scale;
  table.fft_stage = fft_stage;
  table.fft_from_rows = fft_from_rows;
  table.fft_to_rows = fft_to_rows;
  table.fft_from_columns = fft_from_columns;
  table.fft_to_columns = fft_to_columns;
  table.fft_turn = fft_turn;
  table.fft_put_together = fft_put_together;
  table.fft_take_apart = fft_take_apart;
  table.fft_largest_product = 16;
  table.code_dot = code_dot;
  table.sum_tap_products = sum_tap_products;
  table.add_tap_products = add_tap_products;
}

}  // namespace lazuli::templates

#endif
