#include <lazuli/array/block_pool.h>

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include <lazuli/array/sanitizer.h>

namespace lazuli {

namespace {

constexpr size_t alignment = 64;
constexpr size_t slab_size = size_t{64} << 10;
constexpr size_t region_size = size_t{64} << 20;
// Up to 512 bytes a class every 64; then four in each doubling.
constexpr size_t class_count = 20;

struct SizeClass {
  size_t index;
  size_t block_size;
};

constexpr SizeClass class_of(size_t size) {
  if (size <= 512) {
    const size_t units = std::max<size_t>((size + alignment - 1) / alignment, 1);
    return {units - 1, units * alignment};
  }
  const size_t last = size - 1;
  const int exponent = std::bit_width(last) - 1;
  const size_t step = (last >> (exponent - 2)) & 3;
  return {8 + static_cast<size_t>(exponent - 9) * 4 + step, (5 + step) << (exponent - 2)};
}
static_assert(class_of(BlockPool::largest_block).index == class_count - 1);
static_assert(class_of(513).block_size == 640 && class_of(4096).block_size == 4096);

struct FreeBlock {
  FreeBlock* next;
};

/// Stands at the start of each slab, which is aligned to its size.
struct Slab {
  Slab* next = nullptr;
  Slab* previous = nullptr;
  FreeBlock* free = nullptr;
  uint32_t free_count = 0;  // in the list
  uint32_t carved = 0;      // blocks handed out at least once
  uint32_t capacity = 0;
  uint32_t block_size = 0;

  bool is_unused() const { return free_count == carved; }
  bool has_room() const { return free_count > 0 || carved < capacity; }
};
static_assert(sizeof(Slab) <= alignment);

Slab* slab_of(void* block) {
  return reinterpret_cast<Slab*>(reinterpret_cast<uintptr_t>(block) & ~(slab_size - 1));
}

/// Where slabs come from. Address space is taken in regions and never given back; memory is.
class SlabSource {
 public:
  void* take() {
    const std::lock_guard lock(mutex_);
    if (!resident_.empty()) {
      void* slab = resident_.back();
      resident_.pop_back();
      cached_.fetch_sub(slab_size, std::memory_order_relaxed);
      return slab;
    }
    if (!returned_.empty()) {
      void* slab = returned_.back();
      returned_.pop_back();
      return slab;
    }
    if (left_ == 0) add_region();
    --left_;
    return std::exchange(next_, next_ + slab_size);
  }

  void give(void* slab) {
    const std::lock_guard lock(mutex_);
    resident_.push_back(slab);
    cached_.fetch_add(slab_size, std::memory_order_relaxed);
    trim(limit_);
  }

  void set_limit(size_t bytes) {
    const std::lock_guard lock(mutex_);
    limit_ = std::min(bytes, most_cached);
    trim(limit_);
  }

  void clear() {
    const std::lock_guard lock(mutex_);
    trim(0);
  }

  size_t cached() const { return cached_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t most_cached = size_t{64} << 20;

  void add_region() {
    void* const memory = mmap(nullptr, region_size + slab_size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    const uintptr_t start = (reinterpret_cast<uintptr_t>(memory) + slab_size - 1) & ~(slab_size - 1);
    next_ = reinterpret_cast<std::byte*>(start);
    left_ = region_size / slab_size;
  }

  void trim(size_t keep) {
    while (resident_.size() * slab_size > keep) {
      void* slab = resident_.back();
      resident_.pop_back();
      madvise(slab, slab_size, MADV_DONTNEED);
      returned_.push_back(slab);
      cached_.fetch_sub(slab_size, std::memory_order_relaxed);
    }
  }

  std::mutex mutex_;
  std::vector<void*> resident_;  // free, with memory behind them
  std::vector<void*> returned_;  // free, without
  std::byte* next_ = nullptr;
  size_t left_ = 0;
  size_t limit_ = most_cached;
  std::atomic<size_t> cached_{0};
};

/// The slabs of one size of block.
class CentralList {
 public:
  /// Takes up to `wanted` blocks, at least one, chained; says how many in `taken`.
  FreeBlock* take(SlabSource& source, size_t block_size, size_t wanted, size_t* taken) {
    const std::lock_guard lock(mutex_);
    FreeBlock* chain = nullptr;
    size_t count = 0;
    while (count < wanted) {
      Slab* slab = with_room_;
      if (slab == nullptr) {
        if (count > 0) break;
        slab = new (source.take()) Slab;
        slab->block_size = static_cast<uint32_t>(block_size);
        slab->capacity = static_cast<uint32_t>((slab_size - alignment) / block_size);
        link(slab);
      }
      for (; count < wanted && slab->has_room(); ++count) {
        FreeBlock* block = take_from(*slab);
        block->next = chain;
        chain = block;
      }
      if (!slab->has_room()) unlink(slab);
    }
    *taken = count;
    return chain;
  }

  void give(SlabSource& source, FreeBlock* chain) {
    const std::lock_guard lock(mutex_);
    while (chain != nullptr) {
      FreeBlock* block = std::exchange(chain, chain->next);
      Slab* slab = slab_of(block);
      if (!slab->has_room()) link(slab);
      block->next = slab->free;
      slab->free = block;
      ++slab->free_count;
      // The last slab stays, so that one block coming and going costs no slab.
      if (slab->is_unused() && (slab->next != nullptr || slab->previous != nullptr)) {
        unlink(slab);
        source.give(slab);
      }
    }
  }

  void release_unused(SlabSource& source) {
    const std::lock_guard lock(mutex_);
    for (Slab* slab = with_room_; slab != nullptr;) {
      Slab* next = slab->next;
      if (slab->is_unused()) {
        unlink(slab);
        source.give(slab);
      }
      slab = next;
    }
  }

 private:
  static FreeBlock* take_from(Slab& slab) {
    if (slab.free != nullptr) {
      --slab.free_count;
      return std::exchange(slab.free, slab.free->next);
    }
    std::byte* first = reinterpret_cast<std::byte*>(&slab) + alignment;
    return new (first + size_t{slab.carved++} * slab.block_size) FreeBlock;
  }

  void link(Slab* slab) {
    slab->previous = nullptr;
    slab->next = with_room_;
    if (with_room_ != nullptr) with_room_->previous = slab;
    with_room_ = slab;
  }

  void unlink(Slab* slab) {
    if (slab->previous != nullptr) {
      slab->previous->next = slab->next;
    } else {
      with_room_ = slab->next;
    }
    if (slab->next != nullptr) slab->next->previous = slab->previous;
    slab->next = slab->previous = nullptr;
  }

  std::mutex mutex_;
  Slab* with_room_ = nullptr;
};

struct Central {
  SlabSource source;
  std::array<CentralList, class_count> lists;
};

/// Never destroyed: arrays with static storage outlive everything else.
Central& central() {
  static Central* const instance = new Central;
  return *instance;
}

constexpr size_t most_kept(size_t block_size) {
  return std::clamp<size_t>((size_t{32} << 10) / block_size, 8, 128);
}

/// What a thread keeps at hand. Trivial, so that it can be used before and after everything else.
struct ThreadCache {
  std::array<FreeBlock*, class_count> blocks;
  std::array<uint32_t, class_count> counts;
  bool is_registered;
  bool is_closed;
};

[[gnu::tls_model("initial-exec")]] constinit thread_local ThreadCache thread_cache{};

void flush(ThreadCache& cache, size_t index, size_t keep) {
  FreeBlock* chain = nullptr;
  while (cache.counts[index] > keep) {
    FreeBlock* block = cache.blocks[index];
    cache.blocks[index] = block->next;
    block->next = chain;
    chain = block;
    --cache.counts[index];
  }
  central().lists[index].give(central().source, chain);
}

void flush_all(ThreadCache& cache) {
  for (size_t i = 0; i < class_count; ++i) flush(cache, i, 0);
}

/// Empties the thread's cache when it ends.
struct ThreadEnd {
  ~ThreadEnd() {
    thread_cache.is_closed = true;
    flush_all(thread_cache);
  }
};

void register_thread() {
  thread_local ThreadEnd end;
  (void)end;
  thread_cache.is_registered = true;
}

[[gnu::noinline]] void* refill(SizeClass size_class) {
  if (!thread_cache.is_registered) register_thread();
  const size_t wanted = thread_cache.is_closed ? 1 : most_kept(size_class.block_size) / 2;
  size_t taken = 0;
  FreeBlock* chain =
      central().lists[size_class.index].take(central().source, size_class.block_size, wanted, &taken);
  thread_cache.blocks[size_class.index] = chain->next;
  thread_cache.counts[size_class.index] = static_cast<uint32_t>(taken - 1);
  return chain;
}

}  // namespace

void* BlockPool::allocate(size_t size) {
  // The sanitizer's own allocator finds misuse and leaks.
  if constexpr (address_sanitizer) return ::operator new(size, std::align_val_t(alignment));
  const SizeClass size_class = class_of(size);
  FreeBlock* block = thread_cache.blocks[size_class.index];
  if (block == nullptr) return refill(size_class);
  thread_cache.blocks[size_class.index] = block->next;
  --thread_cache.counts[size_class.index];
  return block;
}

void BlockPool::free(void* memory, size_t size) noexcept {
  if constexpr (address_sanitizer) {
    ::operator delete(memory, std::align_val_t(alignment));
    return;
  }
  const SizeClass size_class = class_of(size);
  FreeBlock* block = new (memory) FreeBlock;
  block->next = thread_cache.blocks[size_class.index];
  thread_cache.blocks[size_class.index] = block;
  const size_t kept = ++thread_cache.counts[size_class.index];
  if (thread_cache.is_closed) {
    flush(thread_cache, size_class.index, 0);
  } else if (const size_t most = most_kept(size_class.block_size); kept > most) {
    if (!thread_cache.is_registered) register_thread();
    flush(thread_cache, size_class.index, most / 2);
  }
}

size_t BlockPool::cached_bytes() noexcept {
  return central().source.cached();
}

void BlockPool::set_cache_limit(size_t bytes) {
  central().source.set_limit(bytes);
}

void BlockPool::clear_cache() {
  flush_all(thread_cache);
  for (CentralList& list : central().lists) list.release_unused(central().source);
  central().source.clear();
}

}  // namespace lazuli
