#include <lazuli/array/interop/strided_copy.h>

#include <cstring>

namespace lazuli {

array copied_elements(const std::byte* first, const Shape& shape, const Strides& strides, Dtype dtype) {
  const int64_t count = element_count(shape);
  const int64_t item_size = dtype.size();
  Ref<Buffer> buffer = Buffer::allocate(static_cast<size_t>(count * item_size));
  std::byte* out = buffer->data();
  SmallVector<int64_t, 8> position(shape.size(), 0);
  const std::byte* at = first;
  for (int64_t i = 0; i < count; ++i, out += item_size) {
    std::memcpy(out, at, static_cast<size_t>(item_size));
    for (size_t d = shape.size(); d-- > 0;) {
      at += strides[d] * item_size;
      if (++position[d] < shape[d].hint()) break;
      at -= strides[d] * item_size * position[d];
      position[d] = 0;
    }
  }
  return array(Node::of_data(std::move(buffer), 0, shape, row_major_strides(shape), dtype));
}

}  // namespace lazuli
