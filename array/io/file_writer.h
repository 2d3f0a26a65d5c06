#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <lazuli/array/array.h>

namespace lazuli {

/// Writes a file under a temporary name in the same folder; `commit` gives it its own. Without that nothing
/// is left behind. Throws std::runtime_error saying what failed (without a prefix).
class FileWriter {
 public:
  explicit FileWriter(std::string path);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void write(std::string_view text) { write({reinterpret_cast<const std::byte*>(text.data()), text.size()}); }
  void write(std::span<const std::byte> bytes);
  /// The elements of a computed array in row-major order.
  void write_elements(const array& a);
  void commit();

 private:
  void write_through(const std::byte* data, size_t size);
  void flush();

  std::string path_;
  std::string temporary_;
  int file_ = -1;
  std::unique_ptr<std::byte[]> waiting_;
  size_t waiting_size_ = 0;
};

}  // namespace lazuli
