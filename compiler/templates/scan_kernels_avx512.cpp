// Loops of cumulative operations for x86-64 with AVX-512.

#include <lazuli/compiler/templates/scan_kernels.h>

#if defined(__x86_64__)

#include <immintrin.h>

namespace lazuli::templates {

namespace {

#include <lazuli/compiler/templates/begin_avx512.inl>

template <typename T, typename V>
inline void stream_vector(T* to, V v) {
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), reinterpret_cast<__m512i>(v));
}

#include <lazuli/compiler/templates/scan_kernels.inl>

#include <lazuli/compiler/templates/end_isa.inl>

}  // namespace

const ScanKernels& avx512_scan_kernels() {
  return kernels_of_this_set;
}

}  // namespace lazuli::templates

#endif
