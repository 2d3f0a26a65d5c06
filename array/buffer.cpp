#include <lazuli/array/buffer.h>

#include <new>

#include <lazuli/array/allocator.h>
#include <lazuli/array/page_heap.h>

namespace lazuli {

namespace {

/// Data of a small buffer stands this far behind its start: both are one block, aligned to as much.
constexpr size_t header_size = 64;
constexpr size_t largest_inside = BlockPool::largest_block - header_size;

}  // namespace

Ref<Buffer> Buffer::allocate(size_t size) {
  static_assert(sizeof(Buffer) <= header_size);
  Allocator& allocator = Allocator::instance();
  allocator.charge(size);
  const bool is_inside = size <= largest_inside;
  try {
    std::byte* block =
        static_cast<std::byte*>(BlockPool::allocate(is_inside ? header_size + size : header_size));
    if (is_inside) {
      return Ref<Buffer>::adopt_new(new (block) Buffer(block + header_size, size, Origin::inside));
    }
    const PageHeap::Block pages = PageHeap::instance().allocate(size);
    if (pages.data == nullptr) {
      BlockPool::free(block, header_size);
      allocator.refused(size);
    }
    Buffer* buffer = new (block) Buffer(pages.data, size, Origin::pages);
    buffer->block_size_ = pages.size;
    buffer->is_wired_ = allocator.wire(pages.data, pages.size);
    return Ref<Buffer>::adopt_new(buffer);
  } catch (...) {
    allocator.discharge(size);
    throw;
  }
}

Ref<Buffer> Buffer::external(void* data, size_t size, std::function<void()> release) {
  auto stored = release ? std::make_unique<std::function<void()>>(std::move(release)) : nullptr;
  void* block = BlockPool::allocate(header_size);
  Buffer* buffer = new (block) Buffer(static_cast<std::byte*>(data), size, Origin::external);
  buffer->release_ = std::move(stored);
  return Ref<Buffer>::adopt_new(buffer);
}

void Buffer::destroy() const {
  const Origin origin = origin_;
  const size_t size = size_;
  const PageHeap::Block pages{data_, block_size_};
  if (release_) (*release_)();
  if (is_wired_) Allocator::instance().unwire(data_, block_size_);
  void* block = const_cast<Buffer*>(this);
  this->~Buffer();
  BlockPool::free(block, origin == Origin::inside ? header_size + size : header_size);
  if (origin == Origin::pages) PageHeap::instance().free(pages);
  if (origin != Origin::external) Allocator::instance().discharge(size);
}

}  // namespace lazuli
