#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <vector>

namespace lazuli {

/// Blocks of whole pages for the data of arrays. A block that is freed keeps its memory and is used again:
/// fresh pages cost several times what writing to them does. What is kept is bounded by a limit; past it
/// the blocks unused for longest go back to the system.
class PageHeap {
 public:
  struct Block {
    std::byte* data = nullptr;
    size_t size = 0;
  };

  static PageHeap& instance();

  /// A block of at least `size` bytes; one without data where the system refuses.
  Block allocate(size_t size);
  void free(Block block);

  size_t cached_bytes() const { return cached_.load(std::memory_order_relaxed); }
  void set_cache_limit(size_t bytes);
  /// Returns blocks to the system until at most that many bytes are kept.
  void trim(size_t keep);

 private:
  static constexpr size_t class_count = 320;
  /// Stands in a block that is kept.
  struct Kept {
    Kept* next;  // of its class, most recently freed first
    Kept* previous;
    Kept* newer;  // of all
    Kept* older;
    size_t size;
    size_t index;
  };

  PageHeap() = default;
  Block take_kept(size_t index, size_t block_size);
  Block fresh(size_t index, size_t block_size);
  void forget(Kept* kept);
  void trim_locked(size_t keep);
  static std::byte* map(size_t size);

  std::mutex mutex_;
  std::array<Kept*, class_count> kept_{};
  Kept* newest_ = nullptr;
  Kept* oldest_ = nullptr;
  // Blocks up to a size are cut from large regions; of those returned to the system the addresses are used
  // again.
  std::array<std::vector<std::byte*>, class_count> returned_;
  std::byte* region_ = nullptr;
  size_t region_left_ = 0;
  size_t limit_ = ~size_t{0};
  std::atomic<size_t> cached_{0};
};

}  // namespace lazuli
