#include <lazuli/array/io/reader_writer.h>

#include <cstring>
#include <memory>
#include <stdexcept>

namespace lazuli::io {

namespace {

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

/// Hands short runs on in pieces worth a call.
class Gatherer {
 public:
  explicit Gatherer(Writer& writer) : writer_(writer) {}
  void write(const std::byte* data, size_t size) {
    if (size >= capacity) {
      flush();
      write_checked(writer_, data, size);
      return;
    }
    if (size_ + size > capacity) flush();
    if (!waiting_) waiting_ = std::make_unique_for_overwrite<std::byte[]>(capacity);
    std::memcpy(waiting_.get() + size_, data, size);
    size_ += size;
  }
  void flush() {
    if (size_ > 0) write_checked(writer_, waiting_.get(), size_);
    size_ = 0;
  }

 private:
  static constexpr size_t capacity = size_t{1} << 16;
  Writer& writer_;
  std::unique_ptr<std::byte[]> waiting_;
  size_t size_ = 0;
};

}  // namespace

size_t bytes_left(Reader& reader) {
  if (!reader.is_open()) throw std::runtime_error("the reader is not open");
  const size_t position = reader.tell();
  reader.seek(0, std::ios_base::end);
  const size_t end = reader.tell();
  reader.seek(static_cast<int64_t>(position), std::ios_base::beg);
  if (!reader.good()) throw std::runtime_error("the reader cannot tell its size");
  if (end < position) throw std::runtime_error("the reader stands behind its end");
  return end - position;
}

Ref<Buffer> read_buffer(Reader& reader, size_t size) {
  Ref<Buffer> buffer = Buffer::allocate(size);
  if (size > 0) reader.read(reinterpret_cast<char*>(buffer->data()), size);
  if (!reader.good()) throw std::runtime_error("the reader has failed");
  return buffer;
}

void write_checked(Writer& writer, const void* data, size_t size) {
  if (size > 0) writer.write(static_cast<const char*>(data), size);
  if (!writer.good()) throw std::runtime_error("the writer has failed");
}

void write_elements(Writer& writer, const array& a) {
  if (a.size() == 0) return;
  const Shape& shape = a.shape();
  const Strides& strides = a.strides();
  const int64_t item_size = static_cast<int64_t>(a.itemsize());
  const InnerRun run = inner_run(shape, strides);
  const size_t run_bytes = static_cast<size_t>(run.length * item_size);
  const std::byte* at = a.data<std::byte>();
  SmallVector<int64_t, 8> position(run.first_dim, 0);
  Gatherer gatherer(writer);
  while (true) {
    gatherer.write(at, run_bytes);
    // The next run: advance the innermost coordinate outside of it that has room.
    size_t dim = run.first_dim;
    for (; dim > 0; --dim) {
      const int64_t stride = strides[dim - 1] * item_size;
      at += stride;
      if (++position[dim - 1] < shape[dim - 1].hint()) break;
      at -= stride * position[dim - 1];
      position[dim - 1] = 0;
    }
    if (dim == 0) return gatherer.flush();
  }
}

}  // namespace lazuli::io
