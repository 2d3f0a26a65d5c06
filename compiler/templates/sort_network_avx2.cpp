// Sorting networks for x86-64 with AVX2.

#include <lazuli/compiler/templates/sort_network.h>

#if defined(__x86_64__)

namespace lazuli::templates {

namespace {

#include <lazuli/compiler/templates/begin_avx2.inl>

#include <lazuli/compiler/templates/sort_network.inl>

#include <lazuli/compiler/templates/end_isa.inl>

}  // namespace

const SortNetworks& avx2_sort_networks() {
  return networks_of_this_set;
}

}  // namespace lazuli::templates

#endif
