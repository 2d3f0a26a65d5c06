#pragma once

#include <cstddef>
#include <span>
#include <string>

#include <lazuli/array/buffer.h>

namespace lazuli {

/// A file's content as read-only memory, read from disk as it is touched. Others that keep the buffer keep
/// the mapping. The file must not shrink meanwhile: touching what is gone ends the process.
class MappedFile {
 public:
  /// Maps the whole file; throws std::runtime_error saying why it cannot (without a prefix).
  explicit MappedFile(const std::string& path);

  std::span<const std::byte> bytes() const { return {buffer_->data(), buffer_->size()}; }
  size_t size() const { return buffer_->size(); }
  const Ref<Buffer>& buffer() const { return buffer_; }

 private:
  Ref<Buffer> buffer_;
};

}  // namespace lazuli
