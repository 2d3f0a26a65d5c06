// What follows, as far as end_isa.inl, may use AVX-512 (F, BW, VL and DQ; VNNI, where LAZULI_TEMPLATES_VNNI is
// 1), FMA and F16C. Nothing else in the file may: whoever calls it asks the CPU first.

#if LAZULI_TEMPLATES_AVX512_SHORT
constexpr int64_t vector_bytes = 32;
#else
constexpr int64_t vector_bytes = 64;
#endif

#if LAZULI_TEMPLATES_VNNI && defined(__clang__)
#pragma clang attribute push(                                                           \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma,f16c"))), \
    apply_to = function)
#elif LAZULI_TEMPLATES_VNNI
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma,f16c")
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma,f16c"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,fma,f16c")
#endif
