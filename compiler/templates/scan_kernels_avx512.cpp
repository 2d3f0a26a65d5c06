// Loops of cumulative operations for x86-64 with AVX-512. Only what stands between the push and the pop may
// use its instructions; `scan_kernels` asks the CPU first.

#include <lazuli/compiler/templates/scan_kernels.h>

#if defined(__x86_64__)

#include <immintrin.h>

namespace lazuli::templates {

namespace {

constexpr int vector_bytes = 64;

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl")
#endif

template <typename T, typename V>
inline void stream_vector(T* to, V v) {
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), reinterpret_cast<__m512i>(v));
}

#include <lazuli/compiler/templates/scan_kernels.inl>

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

}  // namespace

const ScanKernels& avx512_scan_kernels() {
  static constexpr ScanKernels kernels{table_of<float>(), table_of<double>(), table_of<int32_t>(),
                                       table_of<int64_t>()};
  return kernels;
}

}  // namespace lazuli::templates

#endif
