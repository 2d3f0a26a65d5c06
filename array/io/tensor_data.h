#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <lazuli/array/array.h>

namespace lazuli {

/// Bytes of a tensor with these extents; nothing where that exceeds what a file can hold.
std::optional<uint64_t> tensor_bytes(std::span<const uint64_t> extents, Dtype dtype);

/// An array over part of a file's memory, which must hold the whole of it: without a copy, unless its
/// elements are not aligned, are in the other byte order, or are booleans other than 0 and 1.
struct TensorData {
  Ref<Buffer> file;
  size_t offset = 0;
  Shape shape;
  Dtype dtype = float32;
  bool is_column_major = false;
  bool is_swapped = false;  ///< in the other byte order

  array to_array() const;
};

}  // namespace lazuli
