#include <lazuli/compiler/templates/sort_network.h>

#include <lazuli/compiler/llvm/target.h>

namespace lazuli::templates {

namespace {

constexpr int64_t vector_bytes = 16;

#include <lazuli/compiler/templates/sort_network.inl>

}  // namespace

const SortNetworks& baseline_sort_networks() {
  return networks_of_this_set;
}

const SortNetworks& sort_networks() {
#if defined(__x86_64__)
  switch (instruction_set()) {
    case InstructionSet::avx512:
      return avx512_sort_networks();
    case InstructionSet::avx2:
      return avx2_sort_networks();
    case InstructionSet::baseline:
      break;
  }
#endif
  return baseline_sort_networks();
}

}  // namespace lazuli::templates
