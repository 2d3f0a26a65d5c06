#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace lazuli {

/// A hash of 128 bits, the same in every process.
std::pair<uint64_t, uint64_t> hash_bytes(std::string_view bytes);

/// What lies in the cache on disk.
struct DiskCacheInfo {
  std::filesystem::path directory;  ///< empty where nothing is kept
  uint64_t entries = 0;
  uint64_t bytes = 0;  ///< of all files, those that processes are writing included
  uint64_t limit = 0;  ///< the most bytes kept, give or take a sixteenth
};

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

  /// The most bytes kept; beyond, the entries used longest ago go. 256 MB, or what LAZULI_CACHE_LIMIT says: a
  /// number of bytes, or of units with K, M or G behind it.
  void set_limit(uint64_t bytes);

  /// Looks through the directory.
  DiskCacheInfo info() const;
  /// Removes all entries, and what processes that died left half written; how many files those were. Other
  /// processes compile what they still need anew.
  uint64_t clear();

  uint64_t damaged() const { return damaged_.load(std::memory_order_relaxed); }
  uint64_t evicted() const { return evicted_.load(std::memory_order_relaxed); }
  void reset_counters();

 private:
  static uint64_t limit_from_environment();
  void evict_if_needed(uint64_t written);

  std::atomic<uint64_t> limit_{limit_from_environment()};
  std::atomic<uint64_t> damaged_{0};
  std::atomic<uint64_t> evicted_{0};
  std::mutex mutex_;
  uint64_t unchecked_bytes_ = 0;  // written since the directory was last measured
  bool measured_ = false;
};

}  // namespace lazuli
