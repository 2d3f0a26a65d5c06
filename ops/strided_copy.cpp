#include <lazuli/ops/strided_copy.h>

#include <algorithm>
#include <cstring>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/thread_pool.h>

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

TensorView as_row_major(const TensorView& tensor, std::vector<std::byte>& storage) {
  const Strides dense = row_major_strides(tensor.shape);
  bool is_dense = true;
  for (size_t d = 0; d < dense.size(); ++d) {
    is_dense = is_dense && (tensor.shape[d].hint() <= 1 || tensor.strides[d] == dense[d]);
  }
  if (is_dense) return tensor;
  TensorView copy = tensor;
  copy.strides = dense;
  const int64_t size = static_cast<int64_t>(tensor.dtype.size());
  storage.resize(static_cast<size_t>(element_count(tensor.shape) * size));
  copy.data = storage.data();
  const int64_t rows = tensor.shape[0].hint();
  const int64_t parts = std::min<int64_t>(rows, num_threads());
  parallel_for(parts, [&](int64_t part) {
    for (int64_t row = rows * part / parts; row < rows * (part + 1) / parts; ++row) {
      copy_rows(tensor, 1, tensor.data + row * tensor.strides[0] * size,
                storage.data() + row * dense[0] * size);
    }
  });
  return copy;
}

}  // namespace lazuli
