#include <lazuli/array/io/tensor_data.h>

#include <algorithm>
#include <cstring>

namespace lazuli {

namespace {

/// Size of the numbers that elements consist of: a complex number is two.
size_t number_size(Dtype dtype) {
  return dtype == complex64 ? 4 : dtype.size();
}

bool has_odd_booleans(const std::byte* data, size_t size) {
  return std::any_of(data, data + size, [](std::byte b) { return b > std::byte{1}; });
}

}  // namespace

std::optional<uint64_t> tensor_bytes(std::span<const uint64_t> extents, Dtype dtype) {
  uint64_t bytes = dtype.size();
  bool is_empty = false;
  bool overflow = false;
  for (const uint64_t extent : extents) {
    is_empty = is_empty || extent == 0;
    overflow = overflow || __builtin_mul_overflow(bytes, extent, &bytes) || bytes > uint64_t{1} << 62;
  }
  if (is_empty) return 0;
  if (overflow) return std::nullopt;
  return bytes;
}

array TensorData::to_array() const {
  Strides strides = row_major_strides(shape);
  if (is_column_major) {
    const Strides reversed = row_major_strides(Shape(shape.rbegin(), shape.rend()));
    strides = Strides(reversed.rbegin(), reversed.rend());
  }
  const size_t bytes = static_cast<size_t>(element_count(shape)) * dtype.size();
  const std::byte* data = file->data() + offset;
  const size_t width = number_size(dtype);
  const bool swaps = is_swapped && width > 1;
  const bool odd_booleans = dtype == bool_ && has_odd_booleans(data, bytes);
  if (bytes > 0 && reinterpret_cast<uintptr_t>(data) % width == 0 && !swaps && !odd_booleans) {
    return array(Node::of_data(file, static_cast<int64_t>(offset), shape, std::move(strides), dtype));
  }
  Ref<Buffer> copy = Buffer::allocate(bytes);
  if (bytes > 0) std::memcpy(copy->data(), data, bytes);
  if (swaps) {
    for (size_t i = 0; i < bytes; i += width) std::reverse(copy->data() + i, copy->data() + i + width);
  }
  if (odd_booleans) {
    std::transform(copy->data(), copy->data() + bytes, copy->data(),
                   [](std::byte b) { return b == std::byte{0} ? b : std::byte{1}; });
  }
  return array(Node::of_data(std::move(copy), 0, shape, std::move(strides), dtype));
}

}  // namespace lazuli
