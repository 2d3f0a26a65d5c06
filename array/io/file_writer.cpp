#include <lazuli/array/io/file_writer.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
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

/// How many inner dimensions form one run of neighbouring elements, and how long it is.
struct InnerRun {
  size_t first_dim;
  int64_t length;
};

InnerRun inner_run(const Shape& shape, const Strides& strides) {
  InnerRun run{shape.size(), 1};
  while (run.first_dim > 0) {
    const size_t dim = run.first_dim - 1;
    const int64_t extent = shape[dim].hint();
    if (extent != 1 && strides[dim] != run.length) break;
    run.length *= extent;
    run.first_dim = dim;
  }
  return run;
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
  waiting_ = std::make_unique_for_overwrite<std::byte[]>(waiting_capacity);
}

FileWriter::~FileWriter() {
  if (file_ < 0) return;
  close(file_);
  unlink(temporary_.c_str());
}

void FileWriter::write_through(const std::byte* data, size_t size) {
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

void FileWriter::write(std::span<const std::byte> bytes) {
  if (waiting_size_ + bytes.size() > waiting_capacity) flush();
  if (bytes.size() >= waiting_capacity) return write_through(bytes.data(), bytes.size());
  if (bytes.empty()) return;
  std::memcpy(waiting_.get() + waiting_size_, bytes.data(), bytes.size());
  waiting_size_ += bytes.size();
}

void FileWriter::write_elements(const array& a) {
  if (a.size() == 0) return;
  const Shape& shape = a.shape();
  const Strides& strides = a.strides();
  const int64_t item_size = static_cast<int64_t>(a.itemsize());
  const InnerRun run = inner_run(shape, strides);
  const size_t run_bytes = static_cast<size_t>(run.length * item_size);
  const std::byte* at = a.data<std::byte>();
  SmallVector<int64_t, 8> position(run.first_dim, 0);
  while (true) {
    write({at, run_bytes});
    // The next run: advance the innermost coordinate outside of it that has room.
    size_t dim = run.first_dim;
    for (; dim > 0; --dim) {
      const int64_t stride = strides[dim - 1] * item_size;
      at += stride;
      if (++position[dim - 1] < shape[dim - 1].hint()) break;
      at -= stride * position[dim - 1];
      position[dim - 1] = 0;
    }
    if (dim == 0) return;
  }
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
