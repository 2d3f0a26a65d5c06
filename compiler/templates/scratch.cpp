#include <lazuli/compiler/templates/scratch.h>

#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace lazuli::templates {

namespace {

constexpr std::align_val_t alignment{64};

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
        if (capacity >= bytes && capacity / 8 <= bytes) {
          free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(i));
          held_ -= capacity;
          return {data, capacity};
        }
      }
    }
    const size_t capacity = (bytes + 4095) / 4096 * 4096;
    return {static_cast<std::byte*>(::operator new(capacity, alignment)), capacity};
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
    for (std::byte* buffer : dropped) ::operator delete(buffer, alignment);
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
    found.l3 = cache_size(_SC_LEVEL3_CACHE_SIZE, found.l3);
#endif
    return found;
  }();
  return sizes;
}

}  // namespace lazuli::templates
