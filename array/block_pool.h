#pragma once

#include <cstddef>

namespace lazuli {

/// Small blocks of memory, aligned to 64 bytes, for objects made and dropped all the time: nodes, buffers,
/// and the data of small arrays. Each thread keeps some of each size at hand; the rest lie in slabs, one
/// size a slab, that all threads share. What a slab keeps free is not counted as cache memory until the
/// whole slab is.
class BlockPool {
 public:
  static constexpr size_t largest_block = 4096;

  /// A block of at least `size` bytes (at most `largest_block`); throws std::bad_alloc.
  static void* allocate(size_t size);
  /// Takes back a block of that size.
  static void free(void* block, size_t size) noexcept;

  /// Bytes in slabs that are free as a whole.
  static size_t cached_bytes() noexcept;
  /// Keeps no more than that in free slabs.
  static void set_cache_limit(size_t bytes);
  /// Gives this thread's blocks back to their slabs and free slabs to the system.
  static void clear_cache();
};

/// Makes new and delete of a class use the pool.
template <typename T>
struct Pooled {
  static void* operator new(size_t size) { return BlockPool::allocate(size); }
  static void operator delete(void* block, size_t size) noexcept { BlockPool::free(block, size); }
  static void* operator new(size_t, void* place) noexcept { return place; }
  static void operator delete(void*, void*) noexcept {}
};

}  // namespace lazuli
