#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace lazuli {

/// A hash of 128 bits, the same in every process.
std::pair<uint64_t, uint64_t> hash_bytes(std::string_view bytes);

/// Byte strings kept in files of `kernel_cache_directory()` by key. Any number of threads and processes may
/// use a directory at once: entries appear whole, by renaming, and are checked when read. Nothing here fails:
/// an entry that cannot be read is missing, one that cannot be written is not kept.
class DiskCache {
 public:
  /// What is kept for the key. A damaged entry is removed.
  std::optional<std::string> read(const std::string& key);
  /// Keeps `value`; whether that worked.
  bool write(const std::string& key, std::string_view value);
  void remove(const std::string& key);

  /// The most bytes kept; beyond, the entries used longest ago go.
  void set_limit(uint64_t bytes);

  uint64_t damaged() const { return damaged_.load(std::memory_order_relaxed); }
  uint64_t evicted() const { return evicted_.load(std::memory_order_relaxed); }
  void reset_counters();

 private:
  void evict_if_needed(uint64_t written);

  std::atomic<uint64_t> limit_{uint64_t{256} << 20};
  std::atomic<uint64_t> damaged_{0};
  std::atomic<uint64_t> evicted_{0};
  std::mutex mutex_;
  uint64_t unchecked_bytes_ = 0;  // written since the directory was last measured
  bool measured_ = false;
};

}  // namespace lazuli
