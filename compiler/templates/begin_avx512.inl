// What follows, as far as end_isa.inl, may use AVX-512 (F, BW, VL and DQ) and FMA. Nothing else in the file
// may: whoever calls it asks the CPU first.

constexpr int64_t vector_bytes = 64;

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,fma")
#endif
