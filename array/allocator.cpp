#include <lazuli/array/allocator.h>

#include <sys/mman.h>

#include <stdexcept>
#include <string>

#include <lazuli/array/block_pool.h>
#include <lazuli/array/memory.h>
#include <lazuli/array/page_heap.h>
#include <lazuli/array/system_memory.h>

namespace lazuli {

Allocator& Allocator::instance() {
  static Allocator* const allocator = new Allocator;
  return *allocator;
}

Allocator::Allocator() {
  const size_t total = physical_memory();
  memory_limit_ = total / 100 * 95;
  cache_limit_ = total / 4;
  PageHeap::instance().set_cache_limit(total / 4);
  BlockPool::set_cache_limit(total / 4);
}

void Allocator::charge(size_t size) {
  const size_t limit = memory_limit_.load(std::memory_order_relaxed);
  // Looked at before it is added, so that a hopeless request does not disturb other threads' ones.
  const size_t before = active_.load(std::memory_order_relaxed);
  if (size > limit || before > limit - size) over_limit(size);
  const size_t now = active_.fetch_add(size, std::memory_order_relaxed) + size;
  if (now > limit) {  // another thread came in between
    discharge(size);
    over_limit(size);
  }
  size_t peak = peak_.load(std::memory_order_relaxed);
  while (now > peak && !peak_.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
  }
  if (now + PageHeap::instance().cached_bytes() > limit) make_room();
}

void Allocator::make_room() {
  const size_t limit = memory_limit();
  const size_t used = active();
  PageHeap::instance().trim(limit > used ? limit - used : 0);
}

void Allocator::over_limit(size_t size) const {
  throw std::runtime_error(
      "[malloc] Unable to allocate " + std::to_string(size) + " bytes: " + std::to_string(active()) +
      " bytes are in use and the memory limit is " + std::to_string(memory_limit()) + " bytes.");
}

void Allocator::refused(size_t size) const {
  throw std::runtime_error("[malloc] Unable to allocate " + std::to_string(size) + " bytes: the system has " +
                           std::to_string(available_memory()) + " available; " + std::to_string(active()) +
                           " bytes are in use.");
}

bool Allocator::has_memory_for(size_t size) const {
  const size_t available = available_memory();
  // What was taken before but never written to is not in memory yet; it will be.
  return size <= available && active() + PageHeap::instance().cached_bytes() <= available + resident_memory();
}

bool Allocator::wire(void* data, size_t size) {
  const size_t limit = wired_limit_.load(std::memory_order_relaxed);
  if (limit == 0) return false;
  if (wired_.fetch_add(size, std::memory_order_relaxed) + size <= limit &&
      mlock2(data, size, MLOCK_ONFAULT) == 0) {
    return true;
  }
  wired_.fetch_sub(size, std::memory_order_relaxed);
  return false;
}

void Allocator::unwire(void* data, size_t size) noexcept {
  munlock(data, size);
  wired_.fetch_sub(size, std::memory_order_relaxed);
}

size_t Allocator::set_wired_limit(size_t limit) {
  const size_t total = physical_memory();
  if (limit > total) {
    throw std::invalid_argument("[set_wired_limit] " + std::to_string(limit) +
                                " bytes are more than the memory of this machine, " + std::to_string(total));
  }
  return wired_limit_.exchange(limit);
}

size_t Allocator::cached() const {
  return PageHeap::instance().cached_bytes() + BlockPool::cached_bytes();
}

size_t Allocator::set_memory_limit(size_t limit) {
  const size_t old = memory_limit_.exchange(limit);
  if (active() + PageHeap::instance().cached_bytes() > limit) make_room();
  return old;
}

size_t Allocator::set_cache_limit(size_t limit) {
  const size_t old = cache_limit_.exchange(limit);
  PageHeap::instance().set_cache_limit(limit);
  BlockPool::set_cache_limit(limit);
  return old;
}

void Allocator::clear_cache() {
  PageHeap::instance().trim(0);
  BlockPool::clear_cache();
}

size_t get_active_memory() {
  return Allocator::instance().active();
}
size_t get_peak_memory() {
  return Allocator::instance().peak();
}
void reset_peak_memory() {
  Allocator::instance().reset_peak();
}
size_t get_cache_memory() {
  return Allocator::instance().cached();
}
size_t set_memory_limit(size_t limit) {
  return Allocator::instance().set_memory_limit(limit);
}
size_t get_memory_limit() {
  return Allocator::instance().memory_limit();
}
size_t set_cache_limit(size_t limit) {
  return Allocator::instance().set_cache_limit(limit);
}
size_t set_wired_limit(size_t limit) {
  return Allocator::instance().set_wired_limit(limit);
}
void clear_cache() {
  Allocator::instance().clear_cache();
}

}  // namespace lazuli
