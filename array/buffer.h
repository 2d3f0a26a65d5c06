#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include <lazuli/array/block_pool.h>
#include <lazuli/array/ref.h>

namespace lazuli {

/// A piece of memory that arrays share. It comes from the allocator, from a mapped file or from the caller,
/// and goes back there when its last owner does.
class Buffer final : public RefCounted {
 public:
  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  /// Whether an operation may write into it when nobody else owns it: not so for mapped files and the
  /// caller's memory.
  bool is_donatable() const { return origin_ != Origin::external; }

  /// Memory from the caching allocator, aligned to 64 bytes (large blocks to huge pages where possible).
  /// Throws std::runtime_error where a limit or the system refuses.
  static Ref<Buffer> allocate(size_t size);
  /// Someone else's memory; `release` is called when the last owner goes.
  static Ref<Buffer> external(void* data, size_t size, std::function<void()> release);

 private:
  enum class Origin : unsigned char {
    inside,    ///< the data stands in the same block, behind this object
    pages,     ///< the data is a block of the page heap
    external,  ///< someone else's
  };
  Buffer(std::byte* data, size_t size, Origin origin) : origin_(origin), data_(data), size_(size) {}
  void destroy() const override;

  Origin origin_;
  bool is_wired_ = false;
  std::byte* data_;
  size_t size_;
  size_t block_size_ = 0;  // of the page heap's block
  std::unique_ptr<std::function<void()>> release_;
};

}  // namespace lazuli
