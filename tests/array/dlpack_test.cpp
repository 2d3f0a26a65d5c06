#include <dlpack/dlpack.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include <lazuli/array/interop/dlpack.h>

#include "io_files.h"

using namespace lazuli;
using namespace lazuli::testing_files;

namespace {

/// A tensor over someone else's memory that counts how often it is deleted.
struct Foreign {
  std::vector<int32_t> numbers{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  std::vector<int64_t> shape{2, 3};
  std::vector<int64_t> strides{1, 2};
  int deleted = 0;
  DLManagedTensor tensor{};

  Foreign() {
    tensor.dl_tensor = {numbers.data(), {kDLCPU, 0},    2, {kDLInt, 32, 1}, shape.data(),
                        strides.data(), sizeof(int32_t)};
    tensor.manager_ctx = this;
    tensor.deleter = [](DLManagedTensor* self) { ++static_cast<Foreign*>(self->manager_ctx)->deleted; };
  }
};

TEST(DLPack, EveryDtypeGoesThereAndBack) {
  for (int i = 0; i < dtype_count; ++i) {
    const array a = sample(dtype_from_value(static_cast<Dtype::Val>(i)));
    DLManagedTensor* tensor = to_dlpack(a);
    EXPECT_EQ(tensor->dl_tensor.data, static_cast<const void*>(a.data<std::byte>()));
    EXPECT_EQ(tensor->dl_tensor.dtype.bits, a.itemsize() * 8);
    const array b = from_dlpack(tensor);
    EXPECT_EQ(b.dtype(), a.dtype());
    EXPECT_EQ(b.shape(), a.shape());
    EXPECT_EQ(b.data<std::byte>(), a.data<std::byte>());
  }
}

TEST(DLPack, MemoryIsKept) {
  DLManagedTensor* tensor = nullptr;
  {
    const array a({1, 2, 3});
    tensor = to_dlpack(a);
  }
  const array b = from_dlpack(tensor);
  EXPECT_EQ(b.data<int>()[2], 3);
  EXPECT_FALSE(b.node()->outputs[0].buffer->is_donatable());
}

TEST(DLPack, StridesAndOffsets) {
  Foreign foreign;
  {
    const array a = from_dlpack(&foreign.tensor);
    EXPECT_EQ(a.data<int>(), foreign.numbers.data() + 1);
    EXPECT_EQ(a.strides(), (Strides{1, 2}));
    const array copy = a;
    EXPECT_EQ(foreign.deleted, 0);
  }
  EXPECT_EQ(foreign.deleted, 1);
  foreign.strides = {-3, 1};
  foreign.tensor.dl_tensor.byte_offset = 3 * sizeof(int32_t);
  {
    const array a = from_dlpack(&foreign.tensor);
    EXPECT_EQ(a.data<int>()[a.strides()[0] + 2], 2);
    EXPECT_EQ(a.node()->outputs[0].buffer->size(), 6 * sizeof(int32_t));
  }
  EXPECT_EQ(foreign.deleted, 2);
  foreign.tensor.dl_tensor.strides = nullptr;
  EXPECT_EQ(from_dlpack(&foreign.tensor).strides(), (Strides{3, 1}));
}

TEST(DLPack, UnalignedAndEmptyDataAreCopied) {
  Foreign foreign;
  foreign.tensor.dl_tensor.byte_offset = 1;
  const array a = from_dlpack(&foreign.tensor);
  EXPECT_EQ(foreign.deleted, 1);
  int expected;
  std::memcpy(&expected, reinterpret_cast<const char*>(foreign.numbers.data()) + 1 + 4 * 3, 4);
  EXPECT_EQ(a.data<int>()[a.strides()[0] * 1 + a.strides()[1] * 1], expected);
  foreign.shape = {2, 0};
  foreign.tensor.dl_tensor.data = nullptr;
  EXPECT_EQ(from_dlpack(&foreign.tensor).shape(), (Shape{2, 0}));
  EXPECT_EQ(foreign.deleted, 2);
  DLManagedTensor* empty = to_dlpack(array(std::vector<float>().begin(), Shape{0}));
  EXPECT_EQ(empty->dl_tensor.shape[0], 0);
  empty->deleter(empty);
}

TEST(DLPack, WhatIsRefusedStaysTheCallers) {
  const auto expect_refused = [](auto change) {
    Foreign foreign;
    change(foreign);
    EXPECT_THROW(from_dlpack(&foreign.tensor), std::invalid_argument);
    EXPECT_EQ(foreign.deleted, 0);
  };
  expect_refused([](Foreign& f) { f.tensor.dl_tensor.device.device_type = kDLCUDA; });
  expect_refused([](Foreign& f) { f.tensor.dl_tensor.dtype.lanes = 4; });
  expect_refused([](Foreign& f) { f.tensor.dl_tensor.dtype.bits = 24; });
  expect_refused([](Foreign& f) { f.tensor.dl_tensor.dtype.code = kDLOpaqueHandle; });
  expect_refused([](Foreign& f) { f.shape[0] = int64_t{1} << 31; });
  expect_refused([](Foreign& f) { f.shape[0] = -1; });
  expect_refused([](Foreign& f) { f.strides[1] = int64_t{1} << 62; });
}

}  // namespace
