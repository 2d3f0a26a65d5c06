// Sorting networks for x86-64 with AVX-512.

#include <lazuli/compiler/templates/sort_network.h>

#if defined(__x86_64__)

namespace lazuli::templates {

namespace {

#include <lazuli/compiler/templates/begin_avx512.inl>

#include <lazuli/compiler/templates/sort_network.inl>

#include <lazuli/compiler/templates/end_isa.inl>

}  // namespace

const SortNetworks& avx512_sort_networks() {
  return networks_of_this_set;
}

}  // namespace lazuli::templates

#endif
