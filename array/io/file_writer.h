#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include <lazuli/array/io/reader_writer.h>

namespace lazuli {

/// Writes a file under a temporary name in the same folder; `commit` gives it its own. Without that nothing
/// is left behind. Throws std::runtime_error saying what failed (without a prefix).
class FileWriter final : public io::Writer {
 public:
  explicit FileWriter(std::string path);
  ~FileWriter() override;
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  bool is_open() const override { return file_ >= 0; }
  bool good() const override { return true; }
  size_t tell() override { return position_; }
  /// Throws: files are written from front to back.
  void seek(int64_t off, std::ios_base::seekdir way = std::ios_base::beg) override;
  void write(const char* data, size_t n) override;
  void write(std::string_view text) { write(text.data(), text.size()); }
  std::string label() const override { return path_; }
  void commit();

 private:
  void write_through(const char* data, size_t size);
  void flush();

  std::string path_;
  std::string temporary_;
  int file_ = -1;
  size_t position_ = 0;
  std::unique_ptr<char[]> waiting_;
  size_t waiting_size_ = 0;
};

}  // namespace lazuli
