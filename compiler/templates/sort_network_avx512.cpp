// Sorting networks for x86-64 with AVX-512. Only what stands between the push and the pop may use its
// instructions; `sort_networks` asks the CPU first.

#include <lazuli/compiler/templates/sort_network.h>

#if defined(__x86_64__)

namespace lazuli::templates {

namespace {

constexpr int64_t vector_bytes = 64;

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl")
#endif

#include <lazuli/compiler/templates/sort_network.inl>

void sort_narrow(uint32_t* data, int64_t length) {
  merge_exchange(data, length);
}
void sort_wide(uint64_t* data, int64_t length) {
  merge_exchange(data, length);
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

}  // namespace

const SortNetworks& avx512_sort_networks() {
  static constexpr SortNetworks networks{{vector_bytes / 4, sort_narrow}, {vector_bytes / 8, sort_wide}};
  return networks;
}

}  // namespace lazuli::templates

#endif
