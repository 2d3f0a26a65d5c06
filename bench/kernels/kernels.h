#pragma once

#include "../table.h"

/// The rows of `lazuli bench kernels`, a function for each kind of work.
namespace lazuli::bench {

void bench_elementwise(Table& table);
void bench_reductions(Table& table);
void bench_rows(Table& table);      ///< softmax and norms
void bench_movement(Table& table);  ///< transposes, gathers, concatenation
void bench_indexing(Table& table);  ///< gathers and scatters by index arrays, einsum
void bench_random(Table& table);
void bench_sorting(Table& table);
void bench_cumulative(Table& table);
void bench_convolution(Table& table);
void bench_linalg(Table& table);  ///< factorizations
void bench_fft(Table& table);
void bench_matmul(Table& table);
void bench_quantized_matmul(Table& table);
void bench_fused_products(Table& table);  ///< bias, activation, gate, residual, conversion, norm
void bench_attention(Table& table);
void bench_memory(Table& table);    ///< what programs take at most
void bench_overhead(Table& table);  ///< small work, dispatch, compile time

}  // namespace lazuli::bench
