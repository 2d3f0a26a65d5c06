#pragma once

#include <cstddef>
#include <cstdint>
#include <ios>
#include <string>

#include <lazuli/array/array.h>

/// Where files are read from and written to besides paths: anything that has these operations.
namespace lazuli::io {

/// A source of bytes at a position. Derive from it to load arrays from elsewhere than a file.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual bool is_open() const = 0;
  /// Whether all that was asked so far succeeded.
  virtual bool good() const = 0;
  /// The position, in bytes from the start.
  virtual size_t tell() = 0;
  virtual void seek(int64_t off, std::ios_base::seekdir way = std::ios_base::beg) = 0;
  /// Reads `n` bytes at the position and moves it behind them.
  virtual void read(char* data, size_t n) = 0;
  /// Reads `n` bytes at `offset` from the start; where the position is afterwards is left open.
  virtual void read(char* data, size_t n, size_t offset) = 0;
  /// What messages call it.
  virtual std::string label() const = 0;
};

/// A destination of bytes.
class Writer {
 public:
  virtual ~Writer() = default;
  virtual bool is_open() const = 0;
  /// Whether all that was asked so far succeeded.
  virtual bool good() const = 0;
  /// The position, in bytes from the start.
  virtual size_t tell() = 0;
  virtual void seek(int64_t off, std::ios_base::seekdir way = std::ios_base::beg) = 0;
  virtual void write(const char* data, size_t n) = 0;
  /// What messages call it.
  virtual std::string label() const = 0;
};

/// How many bytes there are from the position to the end. Throws std::runtime_error, without a prefix, where
/// the reader is not open or fails, as all of these do.
size_t bytes_left(Reader& reader);
/// Reads `size` bytes, which `bytes_left` has shown to be there, into memory of their own.
Ref<Buffer> read_buffer(Reader& reader, size_t size);

/// Writes the elements of a computed array in row-major order.
void write_elements(Writer& writer, const array& a);
/// Writes bytes, and throws std::runtime_error, without a prefix, where the writer has failed.
void write_checked(Writer& writer, const void* data, size_t size);

}  // namespace lazuli::io
