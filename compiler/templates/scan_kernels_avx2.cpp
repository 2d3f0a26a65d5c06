// Loops of cumulative operations for x86-64 with AVX2.

#include <lazuli/compiler/templates/scan_kernels.h>

#if defined(__x86_64__)

#include <immintrin.h>

namespace lazuli::templates {

namespace {

#include <lazuli/compiler/templates/begin_avx2.inl>

template <typename T, typename V>
inline void stream_vector(T* to, V v) {
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(v));
}

#include <lazuli/compiler/templates/scan_kernels.inl>

#include <lazuli/compiler/templates/end_isa.inl>

}  // namespace

const ScanKernels& avx2_scan_kernels() {
  return kernels_of_this_set;
}

}  // namespace lazuli::templates

#endif
