// The softmax kernels in 64-byte vectors: short loops over scores, which stand between attention's products.
// The other portable kernels gain nothing by them, since generated ones take their place.

#if defined(__x86_64__)

#include <immintrin.h>

#include <lazuli/array/half.h>
#include <lazuli/compiler/templates/portable_avx512.h>

namespace lazuli::templates {

namespace {

constexpr int64_t vector_bytes = 64;
#define LAZULI_TEMPLATES_AVX2 0
#define LAZULI_TEMPLATES_AVX512 1

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,fma")
#endif

#include <lazuli/compiler/templates/portable_vectors.inl>
//
#include <lazuli/compiler/templates/portable_softmax.inl>

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

}  // namespace

void use_avx512_softmax(Kernels& table) {
  table.max_of = max_of;
  table.exp_sum = exp_sum;
  table.soft_cap = soft_cap;
  table.scale = scale;
}

}  // namespace lazuli::templates

#endif
