#pragma once

#include <atomic>
#include <cstddef>

namespace lazuli {

/// Keeps the books of buffers' memory: what is in use, the most there was, and the limits. The memory comes
/// from BlockPool and PageHeap.
class Allocator {
 public:
  static Allocator& instance();

  /// Counts `size` bytes as in use; throws std::runtime_error where that passes the limit.
  void charge(size_t size);
  void discharge(size_t size) noexcept { active_.fetch_sub(size, std::memory_order_relaxed); }
  /// Throws std::runtime_error saying that the system does not have `size` bytes.
  [[noreturn]] void refused(size_t size) const;

  /// Whether the system has memory for a block of `size` bytes, which is charged already.
  bool has_memory_for(size_t size) const;

  /// Keeps a block in memory, where the limit and the system allow it; says whether.
  bool wire(void* data, size_t size);
  void unwire(void* data, size_t size) noexcept;

  size_t active() const { return active_.load(std::memory_order_relaxed); }
  size_t peak() const { return peak_.load(std::memory_order_relaxed); }
  void reset_peak() { peak_.store(active(), std::memory_order_relaxed); }
  size_t cached() const;

  size_t memory_limit() const { return memory_limit_.load(std::memory_order_relaxed); }
  size_t set_memory_limit(size_t limit);
  size_t set_cache_limit(size_t limit);
  size_t set_wired_limit(size_t limit);
  void clear_cache();

 private:
  Allocator();
  [[noreturn]] void over_limit(size_t size) const;
  void make_room();

  std::atomic<size_t> active_{0};
  std::atomic<size_t> peak_{0};
  std::atomic<size_t> memory_limit_;
  std::atomic<size_t> cache_limit_;
  std::atomic<size_t> wired_{0};
  std::atomic<size_t> wired_limit_{0};
};

}  // namespace lazuli
