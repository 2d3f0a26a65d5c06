#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include <lazuli/array/array.h>
#include <lazuli/array/io/reader_writer.h>

namespace lazuli::testing_files {

/// A folder that goes with the test.
class Folder {
 public:
  Folder() : path_(testing::TempDir() + "lazuli_io_" + std::to_string(getpid())) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  size_t file_count() const {
    const std::filesystem::directory_iterator files(path_);
    return static_cast<size_t>(std::distance(begin(files), end(files)));
  }

 private:
  std::string path_;
};

inline void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

/// The array's elements as bytes, row-major; for arrays stored that way.
inline std::string bytes_of(array a) {
  const std::byte* data = a.data<std::byte>();
  return std::string(reinterpret_cast<const char*>(data), a.nbytes());
}

/// What the call's std::runtime_error says; nothing where it throws none.
template <typename F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return {};
}

/// 2x3 elements of a dtype, all different where it can tell them apart.
inline array sample(Dtype dtype) {
  if (dtype == complex64) {
    return array({complex64_t(1, 2), complex64_t(3, -4), complex64_t(0, 0), complex64_t(5, 1),
                  complex64_t(6, 0), complex64_t(7, 7)},
                 Shape{2, 3});
  }
  return array({1, 0, 2, 3, 4, 5}, Shape{2, 3}, dtype);
}

/// Text as a source; what is asked beyond its end fails.
class TextReader final : public io::Reader {
 public:
  explicit TextReader(std::string text, size_t at = 0) : text_(std::move(text)), at_(at) {}
  bool is_open() const override { return true; }
  bool good() const override { return good_; }
  size_t tell() override { return at_; }
  void seek(int64_t off, std::ios_base::seekdir way) override {
    const size_t base = way == std::ios_base::beg ? 0 : way == std::ios_base::cur ? at_ : text_.size();
    at_ = static_cast<size_t>(static_cast<int64_t>(base) + off);
  }
  void read(char* data, size_t n) override {
    good_ = good_ && at_ <= text_.size() && n <= text_.size() - at_;
    if (!good_) return;
    std::memcpy(data, text_.data() + at_, n);
    at_ += n;
  }
  void read(char* data, size_t n, size_t offset) override {
    at_ = offset;
    read(data, n);
  }
  std::string label() const override { return "text"; }

 private:
  std::string text_;
  size_t at_;
  bool good_ = true;
};

/// Collects what is written, until it has `room` bytes.
class TextWriter final : public io::Writer {
 public:
  explicit TextWriter(size_t room = size_t{1} << 40) : room_(room) {}
  bool is_open() const override { return true; }
  bool good() const override { return text_.size() <= room_; }
  size_t tell() override { return text_.size(); }
  void seek(int64_t, std::ios_base::seekdir) override { throw std::logic_error("not asked for"); }
  void write(const char* data, size_t n) override { text_.append(data, n); }
  std::string label() const override { return "text"; }
  const std::string& text() const { return text_; }

 private:
  size_t room_;
  std::string text_;
};

}  // namespace lazuli::testing_files
