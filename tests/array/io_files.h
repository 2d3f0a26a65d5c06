#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <lazuli/array/array.h>

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

}  // namespace lazuli::testing_files
