#include <lazuli/array/interop/dlpack.h>

#include <dlpack/dlpack.h>

#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <lazuli/array/interop/strided_copy.h>

namespace lazuli {

namespace {

/// In the header from version 0.8 on.
constexpr uint8_t boolean_code = 6;

/// A tensor, and what it points to.
struct Exported {
  DLManagedTensor tensor;
  array kept;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
};

uint8_t code_of(Dtype dtype) {
  if (dtype == bool_) return boolean_code;
  if (dtype == bfloat16) return kDLBfloat;
  if (dtype == complex64) return kDLComplex;
  if (issubdtype(dtype, floating)) return kDLFloat;
  return issubdtype(dtype, unsignedinteger) ? kDLUInt : kDLInt;
}

std::optional<Dtype> dtype_of_tensor(const DLDataType& type) {
  for (int i = 0; i < dtype_count; ++i) {
    const Dtype dtype = dtype_from_value(static_cast<Dtype::Val>(i));
    if (code_of(dtype) == type.code && dtype.size() * 8 == type.bits) return dtype;
  }
  return std::nullopt;
}

[[noreturn]] void fail(const std::string& what) {
  throw std::invalid_argument("[from_dlpack] " + what);
}

/// The bytes, from the first element, that elements take: from `low` (not positive) to `high`.
struct Reach {
  int64_t low = 0;
  int64_t high = 0;
};

Reach reach_of(const Shape& shape, const Strides& strides, int64_t item_size) {
  Reach reach;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d].hint() == 0) return {};
    int64_t distance;
    int64_t& side = strides[d] < 0 ? reach.low : reach.high;
    if (__builtin_mul_overflow(strides[d], int64_t{shape[d].hint()} - 1, &distance) ||
        __builtin_mul_overflow(distance, item_size, &distance) ||
        __builtin_add_overflow(side, distance, &side)) {
      fail("its strides exceed 63 bits");
    }
  }
  reach.high += item_size;
  return reach;
}

}  // namespace

DLManagedTensor* to_dlpack(const array& a) {
  array kept = a;
  kept.eval();
  auto exported = std::make_unique<Exported>(Exported{{}, kept, {}, {}});
  for (const Dim extent : a.shape()) exported->shape.push_back(extent.hint());
  exported->strides.assign(a.strides().begin(), a.strides().end());
  DLTensor& tensor = exported->tensor.dl_tensor;
  tensor.data = a.size() == 0 ? nullptr : exported->kept.data<void>();
  tensor.device = {kDLCPU, 0};
  tensor.ndim = static_cast<int>(a.ndim());
  tensor.dtype = {code_of(a.dtype()), static_cast<uint8_t>(a.itemsize() * 8), 1};
  tensor.shape = exported->shape.data();
  tensor.strides = exported->strides.data();
  tensor.byte_offset = 0;
  exported->tensor.manager_ctx = exported.get();
  exported->tensor.deleter = [](DLManagedTensor* self) { delete static_cast<Exported*>(self->manager_ctx); };
  return &exported.release()->tensor;
}

array from_dlpack(DLManagedTensor* managed) {
  const DLTensor& tensor = managed->dl_tensor;
  const DLDeviceType device = tensor.device.device_type;
  if (device != kDLCPU && device != kDLCUDAHost && device != kDLROCMHost && device != kDLCUDAManaged) {
    fail("its memory belongs to device type " + std::to_string(static_cast<int>(device)) +
         ", not to the host");
  }
  const std::optional<Dtype> dtype = tensor.dtype.lanes == 1 ? dtype_of_tensor(tensor.dtype) : std::nullopt;
  if (!dtype) {
    fail("there is no dtype for type code " + std::to_string(tensor.dtype.code) + " of " +
         std::to_string(tensor.dtype.bits) + " bits in " + std::to_string(tensor.dtype.lanes) + " lanes");
  }
  if (tensor.ndim < 0) fail("its number of dimensions is negative");
  Shape shape;
  for (int d = 0; d < tensor.ndim; ++d) {
    const int64_t extent = tensor.shape[d];
    if (extent < 0 || extent > std::numeric_limits<int32_t>::max()) {
      fail("it cannot have an extent of " + std::to_string(extent));
    }
    shape.push_back(Dim(extent));
  }
  const int64_t count = element_count(shape);
  Strides strides = row_major_strides(shape);
  if (tensor.strides != nullptr) strides = Strides(tensor.strides, tensor.strides + tensor.ndim);
  const auto item_size = static_cast<int64_t>(dtype->size());
  const Reach reach = reach_of(shape, strides, item_size);
  std::byte* first = static_cast<std::byte*>(tensor.data) + tensor.byte_offset;
  const auto release = [managed] {
    if (managed->deleter != nullptr) managed->deleter(managed);
  };
  const size_t alignment = *dtype == complex64 ? alignof(complex64_t) : dtype->size();
  if (count > 0 && reinterpret_cast<uintptr_t>(first) % alignment == 0) {
    Ref<Buffer> buffer =
        Buffer::external(first + reach.low, static_cast<size_t>(reach.high - reach.low), release);
    return array(Node::of_data(std::move(buffer), -reach.low, shape, std::move(strides), *dtype));
  }
  array copy = copied_elements(first, shape, strides, *dtype);
  release();
  return copy;
}

}  // namespace lazuli
