// What follows, as far as end_isa.inl, may use AVX2, FMA and F16C. Nothing else in the file may: whoever calls
// it asks the CPU first.

constexpr int64_t vector_bytes = 32;

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif
