// Networks for vectors of `vector_bytes`. Included once for each instruction set; no standard library
// template may be instantiated from here, since the linker could keep the copy that needs more than the
// machine has.

/// Batcher's merge exchange for any length (D. E. Knuth, The Art of Computer Programming 3, 5.2.2, algorithm
/// M).
template <typename Key>
void merge_exchange(Key* data, int64_t length) {
  typedef Key Vector __attribute__((vector_size(vector_bytes)));
  constexpr int64_t lanes = vector_bytes / static_cast<int64_t>(sizeof(Key));
  int64_t top = 1;
  while (2 * top < length) top *= 2;
  for (int64_t p = top; p > 0; p /= 2) {
    int64_t r = 0;
    int64_t d = p;
    for (int64_t q = top;; q /= 2) {
      for (int64_t base = r; base < length - d; base += 2 * p) {
        const int64_t end = base + p < length - d ? base + p : length - d;
        for (int64_t i = base; i < end; ++i) {
          Vector x, y;
          __builtin_memcpy(&x, data + i * lanes, sizeof x);
          __builtin_memcpy(&y, data + (i + d) * lanes, sizeof y);
          const Vector low = x < y ? x : y;
          const Vector high = x < y ? y : x;
          __builtin_memcpy(data + i * lanes, &low, sizeof low);
          __builtin_memcpy(data + (i + d) * lanes, &high, sizeof high);
        }
      }
      if (q == p) break;
      d = q - p;
      r = p;
    }
  }
}

void sort_narrow(uint32_t* data, int64_t length) {
  merge_exchange(data, length);
}
void sort_wide(uint64_t* data, int64_t length) {
  merge_exchange(data, length);
}

constexpr SortNetworks networks_of_this_set{{vector_bytes / 4, sort_narrow}, {vector_bytes / 8, sort_wide}};
