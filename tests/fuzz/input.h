#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include <lazuli/array/io/reader_writer.h>

/// What the fuzz targets share. A target may throw std::runtime_error, as readers do for broken files; any
/// other exception is a finding.
namespace lazuli::fuzz {

/// The input as a reader.
class InputReader final : public io::Reader {
 public:
  explicit InputReader(std::span<const uint8_t> input) : input_(input) {}
  bool is_open() const override { return true; }
  bool good() const override { return good_; }
  size_t tell() override { return at_; }
  void seek(int64_t off, std::ios_base::seekdir way) override {
    const size_t base = way == std::ios_base::beg ? 0 : way == std::ios_base::cur ? at_ : input_.size();
    at_ = base + static_cast<size_t>(off);
  }
  void read(char* data, size_t n) override {
    good_ = good_ && at_ <= input_.size() && n <= input_.size() - at_;
    if (!good_) return;
    if (n > 0) std::memcpy(data, input_.data() + at_, n);
    at_ += n;
  }
  void read(char* data, size_t n, size_t offset) override {
    at_ = offset;
    read(data, n);
  }
  std::string label() const override { return "input"; }

 private:
  std::span<const uint8_t> input_;
  size_t at_ = 0;
  bool good_ = true;
};

inline std::shared_ptr<io::Reader> reader_of(const uint8_t* data, size_t size) {
  return std::make_shared<InputReader>(std::span(data, size));
}

inline Ref<Buffer> buffer_of(const uint8_t* data, size_t size) {
  Ref<Buffer> buffer = Buffer::allocate(size);
  if (size > 0) std::memcpy(buffer->data(), data, size);
  return buffer;
}

/// Reads every element, so that one that is not there is found.
inline void touch(const array& a) {
  class Nowhere final : public io::Writer {
   public:
    bool is_open() const override { return true; }
    bool good() const override { return true; }
    size_t tell() override { return 0; }
    void seek(int64_t, std::ios_base::seekdir) override {}
    void write(const char* data, size_t n) override {
      for (size_t i = 0; i < n; ++i) sum_ = sum_ + static_cast<unsigned char>(data[i]);
    }
    std::string label() const override { return "nowhere"; }

   private:
    volatile unsigned sum_ = 0;
  };
  Nowhere nowhere;
  io::write_elements(nowhere, a);
}

/// Calls the target; broken files are no finding.
template <typename F>
int run(F&& target) {
  try {
    target();
  } catch (const std::runtime_error&) {
  }
  return 0;
}

}  // namespace lazuli::fuzz
