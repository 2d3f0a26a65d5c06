#pragma once

#include <cstdint>

/// Sorting networks over the lanes of vectors: many short rows at once, without a branch.
namespace lazuli::templates {

/// Rows lie side by side: element i of row r at `data[i * lanes + r]`.
template <typename Key>
struct SortNetwork {
  int64_t lanes = 0;
  void (*sort)(Key* data, int64_t length) = nullptr;
};

struct SortNetworks {
  SortNetwork<uint32_t> narrow;
  SortNetwork<uint64_t> wide;
};

/// Those for the widest vectors that may be used, and each of them.
const SortNetworks& sort_networks();
const SortNetworks& baseline_sort_networks();
const SortNetworks& avx2_sort_networks();
const SortNetworks& avx512_sort_networks();

}  // namespace lazuli::templates
