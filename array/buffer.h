#pragma once

#include <cstddef>
#include <functional>

#include <lazuli/array/ref.h>

namespace lazuli {

/// A piece of memory that arrays share. It comes from the allocator, from a mapped file or from the caller,
/// and goes back there when its last owner does.
class Buffer : public RefCounted {
 public:
  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  /// Whether an operation may write into it when nobody else owns it: not so for mapped files and the
  /// caller's memory.
  bool is_donatable() const { return donatable_; }

  /// Memory from the caching allocator, aligned to 64 bytes (large blocks to huge pages where possible).
  /// Throws std::runtime_error where a limit or the system refuses.
  static Ref<Buffer> allocate(size_t size);
  /// Someone else's memory; `release` is called when the last owner goes.
  static Ref<Buffer> external(void* data, size_t size, std::function<void()> release);

 private:
  friend class Allocator;
  Buffer(std::byte* data, size_t size, bool donatable) : data_(data), size_(size), donatable_(donatable) {}
  void destroy() const override;

  std::byte* data_;
  size_t size_;
  size_t capacity_ = 0;  // of the allocator's block; 0 for external memory
  bool donatable_;
  std::function<void()> release_;
};

}  // namespace lazuli
