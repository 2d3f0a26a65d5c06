#include <lazuli/compiler/templates/scratch.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include <lazuli/compiler/last_level_cache.h>

namespace lazuli::templates {

namespace {

/// Buffers up to this size serve any smaller request.
constexpr size_t small_buffer = size_t{64} << 10;

/// Large buffers ask for huge pages: packed panels are read in an order that misses in the TLB otherwise.
std::pair<std::byte*, size_t> allocate(size_t bytes) {
  constexpr size_t page = 4096;
  constexpr size_t huge_page = size_t{2} << 20;
  const size_t unit = bytes >= huge_page / 2 ? huge_page : page;
  const size_t capacity = (bytes + unit - 1) / unit * unit;
  void* data = std::aligned_alloc(unit, capacity);
  if (data == nullptr) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  if (unit == huge_page) madvise(data, capacity, MADV_HUGEPAGE);  // only a wish
#endif
  return {static_cast<std::byte*>(data), capacity};
}

/// Buffers that nobody uses, most recently used last.
class Stock {
 public:
  static Stock& instance() {
    static Stock* stock = new Stock;  // never destroyed: threads may outlive static objects
    return *stock;
  }

  std::pair<std::byte*, size_t> take(size_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      // The latest buffer that fits and is not wastefully large: it is the likeliest to be in cache.
      for (size_t i = free_.size(); i-- > 0;) {
        const auto [data, capacity] = free_[i];
        if (capacity >= bytes && (capacity <= small_buffer || capacity / 8 <= bytes)) {
          free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(i));
          held_ -= capacity;
          return {data, capacity};
        }
      }
    }
    return allocate(bytes);
  }

  void give(std::byte* data, size_t capacity) {
    std::vector<std::byte*> dropped;
    {
      const std::lock_guard lock(mutex_);
      free_.emplace_back(data, capacity);
      held_ += capacity;
      while (held_ > scratch_stock_limit) {
        dropped.push_back(free_.front().first);
        held_ -= free_.front().second;
        free_.erase(free_.begin());
      }
    }
    for (std::byte* buffer : dropped) std::free(buffer);
  }

 private:
  std::mutex mutex_;
  std::vector<std::pair<std::byte*, size_t>> free_;
  size_t held_ = 0;
};

int64_t cache_size(int name, int64_t fallback) {
  const long size = sysconf(name);
  return size > 0 ? static_cast<int64_t>(size) : fallback;
}

}  // namespace

Scratch::Scratch(size_t bytes) {
  std::tie(data_, capacity_) = Stock::instance().take(std::max<size_t>(bytes, 64));
}

Scratch::~Scratch() {
  Stock::instance().give(data_, capacity_);
}

const CacheSizes& cache_sizes() {
  static const CacheSizes sizes = [] {
    CacheSizes found;
#if defined(_SC_LEVEL1_DCACHE_SIZE)
    found.l1 = cache_size(_SC_LEVEL1_DCACHE_SIZE, found.l1);
    found.l2 = cache_size(_SC_LEVEL2_CACHE_SIZE, found.l2);
#endif
    found.l3 = last_level_cache();
    return found;
  }();
  return sizes;
}

}  // namespace lazuli::templates
