#include <lazuli/array/io/mapped_file.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace lazuli {

namespace {

std::runtime_error failure(const char* what) {
  return std::runtime_error(std::string(what) + ": " + std::generic_category().message(errno));
}

/// Closes a descriptor at the end; a mapping outlives it.
struct Descriptor {
  int number = -1;
  explicit Descriptor(int opened) : number(opened) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number >= 0) close(number);
  }
};

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  // Non-blocking, so that a named pipe does not wait for a writer.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.number < 0) throw failure("cannot open the file");
  struct stat status {};
  if (fstat(file.number, &status) != 0) throw failure("cannot inspect the file");
  if (!S_ISREG(status.st_mode)) throw std::runtime_error("not a regular file");
  const size_t size = static_cast<size_t>(status.st_size);
  if (size == 0) {
    buffer_ = Buffer::external(nullptr, 0, nullptr);
    return;
  }
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (data == MAP_FAILED) throw failure("cannot map the file");
  try {
    buffer_ = Buffer::external(data, size, [data, size] { munmap(data, size); });
  } catch (...) {
    munmap(data, size);
    throw;
  }
}

}  // namespace lazuli
