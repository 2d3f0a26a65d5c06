#include <lazuli/array/page_heap.h>

#include <sys/mman.h>

#include <bit>
#include <cstdint>
#include <new>

#include <lazuli/array/allocator.h>
#include <lazuli/array/sanitizer.h>

namespace lazuli {

namespace {

constexpr size_t page_size = 4096;
constexpr size_t huge_page_size = size_t{2} << 20;
/// Blocks larger than this have a mapping of their own.
constexpr size_t largest_in_region = size_t{2} << 20;
constexpr size_t region_size = size_t{64} << 20;
/// From here on looking whether the system has the memory costs little beside filling it.
constexpr size_t least_checked = size_t{32} << 20;

struct SizeClass {
  size_t index;
  size_t block_size;
};

/// Up to 8 pages a class for each number; then eight in each doubling, so that at most an eighth is unused.
constexpr SizeClass class_of(size_t size) {
  const size_t pages = (size + page_size - 1) / page_size;
  if (pages <= 8) return {pages - 1, pages * page_size};
  const size_t last = pages - 1;
  const int exponent = std::bit_width(last) - 1;
  const size_t step = (last >> (exponent - 3)) & 7;
  return {8 + static_cast<size_t>(exponent - 3) * 8 + step, ((9 + step) << (exponent - 3)) * page_size};
}
static_assert(class_of(8 * page_size + 1).index == 8 &&
              class_of(8 * page_size + 1).block_size == 9 * page_size);
static_assert(class_of(16 * page_size).index == 15 && class_of(16 * page_size).block_size == 16 * page_size);

}  // namespace

PageHeap& PageHeap::instance() {
  // Never destroyed: arrays with static storage outlive everything else.
  static PageHeap* const heap = new PageHeap;
  return *heap;
}

PageHeap::Block PageHeap::allocate(size_t size) {
  // No machine has so much; it would overflow the arithmetic of classes.
  if (size > (size_t{1} << 47)) return {};
  const auto [index, block_size] = class_of(size);
  const std::lock_guard lock(mutex_);
  Block block = take_kept(index, block_size);
  if (block.data == nullptr) block = fresh(index, block_size);
  if (block.data == nullptr) {
    // The system may refuse because of what is kept here.
    trim_locked(0);
    block = fresh(index, block_size);
  }
  if (block.data != nullptr) {
    unpoison(block.data, size);
    poison(block.data + size, block.size - size);
  }
  return block;
}

PageHeap::Block PageHeap::take_kept(size_t index, size_t block_size) {
  // A block up to half as large again will do.
  for (size_t i = index; i < class_count && i <= index + 4; ++i) {
    Kept* kept = kept_[i];
    if (kept == nullptr) continue;
    if (kept->size > block_size + block_size / 2) break;
    const Block block{reinterpret_cast<std::byte*>(kept), kept->size};
    forget(kept);
    return block;
  }
  return {};
}

PageHeap::Block PageHeap::fresh(size_t index, size_t block_size) {
  if (block_size > largest_in_region) {
    // The system gives out more addresses than it has memory, and ends processes when they use them.
    if (block_size >= least_checked && !Allocator::instance().has_memory_for(block_size)) return {};
    return {map(block_size), block_size};
  }
  if (std::vector<std::byte*>& addresses = returned_[index]; !addresses.empty()) {
    std::byte* data = addresses.back();
    addresses.pop_back();
    return {data, block_size};
  }
  if (region_left_ < block_size) {
    // What is left of the old region is address space only.
    void* memory = mmap(nullptr, region_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return {};
    region_ = static_cast<std::byte*>(memory);
    region_left_ = region_size;
  }
  std::byte* data = region_;
  region_ += block_size;
  region_left_ -= block_size;
  return {data, block_size};
}

std::byte* PageHeap::map(size_t size) {
  const size_t mapped = size + huge_page_size;
  void* memory =
      mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  std::byte* const start = static_cast<std::byte*>(memory);
  const uintptr_t address = reinterpret_cast<uintptr_t>(start);
  const size_t before = (huge_page_size - address % huge_page_size) % huge_page_size;
  const size_t after = mapped - before - size;
  if (before > 0) munmap(start, before);
  if (after > 0) munmap(start + before + size, after);
  madvise(start + before, size, MADV_HUGEPAGE);
  return start + before;
}

void PageHeap::free(Block block) {
  unpoison(block.data, block.size);
  const std::lock_guard lock(mutex_);
  Kept* kept = new (block.data) Kept;
  kept->size = block.size;
  kept->index = class_of(block.size).index;
  kept->previous = nullptr;
  kept->next = kept_[kept->index];
  if (kept->next != nullptr) kept->next->previous = kept;
  kept_[kept->index] = kept;
  kept->newer = nullptr;
  kept->older = newest_;
  (newest_ != nullptr ? newest_->newer : oldest_) = kept;
  newest_ = kept;
  poison(block.data + sizeof(Kept), block.size - sizeof(Kept));
  cached_.fetch_add(block.size, std::memory_order_relaxed);
  trim_locked(limit_);
}

void PageHeap::forget(Kept* kept) {
  (kept->previous != nullptr ? kept->previous->next : kept_[kept->index]) = kept->next;
  if (kept->next != nullptr) kept->next->previous = kept->previous;
  (kept->newer != nullptr ? kept->newer->older : newest_) = kept->older;
  (kept->older != nullptr ? kept->older->newer : oldest_) = kept->newer;
  cached_.fetch_sub(kept->size, std::memory_order_relaxed);
}

void PageHeap::trim_locked(size_t keep) {
  while (oldest_ != nullptr && cached_.load(std::memory_order_relaxed) > keep) {
    Kept* kept = oldest_;
    const size_t size = kept->size;
    const size_t index = kept->index;
    forget(kept);
    std::byte* data = reinterpret_cast<std::byte*>(kept);
    unpoison(data, size);
    if (size > largest_in_region) {
      munmap(data, size);
    } else {
      madvise(data, size, MADV_DONTNEED);
      returned_[index].push_back(data);
    }
  }
}

void PageHeap::trim(size_t keep) {
  const std::lock_guard lock(mutex_);
  trim_locked(keep);
}

void PageHeap::set_cache_limit(size_t bytes) {
  const std::lock_guard lock(mutex_);
  limit_ = bytes;
  trim_locked(limit_);
}

}  // namespace lazuli
