#include <lazuli/ops/strided_copy.h>

#include <cstring>

namespace lazuli {

namespace {

std::byte* copy_rows(const TensorView& tensor, size_t dim, const std::byte* from, std::byte* to) {
  const auto size = static_cast<size_t>(tensor.dtype.size());
  if (dim == tensor.shape.size()) {
    std::memcpy(to, from, size);
    return to + size;
  }
  const int64_t step = tensor.strides[dim] * static_cast<int64_t>(size);
  for (int32_t i = 0; i < tensor.shape[dim].hint(); ++i) to = copy_rows(tensor, dim + 1, from + i * step, to);
  return to;
}

}  // namespace

TensorView with_unit_stride(const TensorView& tensor, std::vector<std::byte>& storage) {
  if (tensor.shape.empty() || tensor.strides.back() == 1 || tensor.shape.back().hint() <= 1) return tensor;
  storage.resize(static_cast<size_t>(element_count(tensor.shape)) * tensor.dtype.size());
  copy_rows(tensor, 0, tensor.data, storage.data());
  TensorView copy = tensor;
  copy.data = storage.data();
  copy.strides = row_major_strides(tensor.shape);
  return copy;
}

}  // namespace lazuli
