#include <lazuli/array/io/file_writer.h>

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace lazuli {

namespace {

constexpr size_t waiting_capacity = size_t{1} << 20;

std::runtime_error failure(const char* what) {
  return std::runtime_error(std::string(what) + ": " + std::generic_category().message(errno));
}

}  // namespace

FileWriter::FileWriter(std::string path) : path_(std::move(path)) {
  static std::atomic<unsigned> counter{0};
  // Names already taken (by a process that died, say) are left alone.
  for (int attempt = 0; attempt < 100 && file_ < 0; ++attempt) {
    temporary_ = path_ + ".tmp-" + std::to_string(getpid()) + "-" + std::to_string(counter.fetch_add(1));
    file_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file_ < 0 && errno != EEXIST) break;
  }
  if (file_ < 0) throw failure("cannot create a file there");
  waiting_ = std::make_unique_for_overwrite<char[]>(waiting_capacity);
}

FileWriter::~FileWriter() {
  if (file_ < 0) return;
  close(file_);
  unlink(temporary_.c_str());
}

void FileWriter::write_through(const char* data, size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(file_, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) throw failure("cannot write the file");
    data += written;
    size -= static_cast<size_t>(written);
  }
}

void FileWriter::flush() {
  write_through(waiting_.get(), waiting_size_);
  waiting_size_ = 0;
}

void FileWriter::seek(int64_t, std::ios_base::seekdir) {
  throw std::logic_error("a file that is renamed when it is complete is written from front to back");
}

void FileWriter::write(const char* data, size_t n) {
  position_ += n;
  if (waiting_size_ + n > waiting_capacity) flush();
  if (n >= waiting_capacity) return write_through(data, n);
  if (n == 0) return;
  std::memcpy(waiting_.get() + waiting_size_, data, n);
  waiting_size_ += n;
}

void FileWriter::commit() {
  flush();
  const int file = std::exchange(file_, -1);
  if (close(file) != 0 || std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const std::runtime_error error = failure("cannot finish the file");
    unlink(temporary_.c_str());
    throw error;
  }
}

}  // namespace lazuli
