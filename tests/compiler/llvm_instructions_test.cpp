#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include <lazuli/array/half.h>
#include <lazuli/compiler/kernel_ir/instruction_table.h>
#include <lazuli/compiler/kernel_ir/scalar.h>

#include "support/compiled_kernel.h"

// What compiled instructions give, against their scalar definitions.

namespace lazuli {
namespace {

using testing::Compiled;
using testing::same;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

template <typename T>
std::vector<T> special_values() {
  std::vector<T> values = {
      T(0), T(1), T(2), T(3), T(7), std::numeric_limits<T>::max(), std::numeric_limits<T>::lowest()};
  if constexpr (std::is_floating_point_v<T>) {
    for (T v : {T(-0.0),
                T(-1),
                T(0.5),
                T(-0.5),
                T(1.5),
                T(2.5),
                T(-2.5),
                T(127.5),
                T(128),
                T(255.5),
                T(-129),
                T(32767.5),
                T(65536),
                T(-32769),
                T(2147483648.0),
                T(-2147483904.0),
                T(4294967296.0),
                T(1e10),
                T(9223372036854775808.0),
                T(-9223372036854775808.0),
                T(18446744073709551616.0),
                T(-1e20),
                T(65504),
                T(65519.9),
                T(65520),
                T(6e-8),
                T(1e-7),
                T(3e-5),
                T(1.00048828125),
                T(1.0014648)}) {
      values.push_back(v);
    }
    values.push_back(std::numeric_limits<T>::infinity());
    values.push_back(-std::numeric_limits<T>::infinity());
    values.push_back(std::numeric_limits<T>::quiet_NaN());
    values.push_back(std::numeric_limits<T>::denorm_min());
    values.push_back(std::numeric_limits<T>::min());
  } else if constexpr (!std::is_same_v<T, bool>) {
    for (int v : {-1, -2, 5, 8, 15, 16, 31, 32, 63, 64, 100}) values.push_back(static_cast<T>(v));
    values.push_back(static_cast<T>(std::numeric_limits<T>::lowest() + 1));
    values.push_back(static_cast<T>(std::numeric_limits<T>::max() / 2 + 1));
  } else {
    values = {false, true};
  }
  return values;
}

/// All types in which instructions compute.
const std::vector<Dtype> compute_types = {bool_, uint8, uint16, uint32,  uint64, int8,
                                          int16, int32, int64,  float32, float64};

template <typename T>
std::unique_ptr<T[]> to_array(const std::vector<T>& values) {
  auto copy = std::make_unique<T[]>(values.size());
  std::copy(values.begin(), values.end(), copy.get());
  return copy;
}

/// Kernels of one operation on one type, run on all pairs of special values.
template <typename Operation, typename T>
void check_operation(bool binary) {
  const kir::OpcodeRow& row = kir::row_of(Operation::opcode);
  const std::string type(dtype_name(kir::scalar::compute_dtype<T>()));
  const bool to_bool = row.result == kir::ResultRule::boolean;
  const std::string result = to_bool ? "bool" : type;
  std::string text = "kernel parallel\na0 input " + type + " unit\na1 input " + type + " unit\na2 output " +
                     result + " unit\nblock\n  %0 = load." + type + " a0\n  %1 = load." + type +
                     " a1\n  %2 = " + std::string(row.name) + "." + result + (binary ? " %0, %1" : " %0") +
                     "\n  store." + result + " a2, %2";
  const Compiled kernel(text);
  std::vector<T> left, right;
  for (T a : special_values<T>()) {
    for (T b : special_values<T>()) {
      left.push_back(a);
      right.push_back(b);
    }
  }
  using R = decltype([] {
    if constexpr (requires { Operation::template apply<T>(T{}, T{}); })
      return Operation::template apply<T>(T{}, T{});
    else
      return Operation::template apply<T>(T{});
  }());
  const auto n = static_cast<int64_t>(left.size());
  const auto a = to_array(left), b = to_array(right);
  const auto out = std::make_unique<R[]>(left.size());
  kernel.run({n}, {{a.get(), {1}}, {b.get(), {1}}, {out.get(), {1}}});
  for (int64_t i = 0; i < n; ++i) {
    R wanted;
    if constexpr (requires { Operation::template apply<T>(T{}, T{}); }) {
      wanted = Operation::template apply<T>(a[i], b[i]);
    } else {
      wanted = Operation::template apply<T>(a[i]);
    }
    ASSERT_TRUE(same(out[i], wanted)) << row.name << " " << type << " of " << +a[i] << ", " << +b[i]
                                      << " gives " << +out[i] << " instead of " << +wanted;
  }
}

template <typename Operation>
void check_operation_on_all_types(bool binary) {
  for (Dtype t : compute_types) {
    kir::dispatch_compute_type(t, [&]<typename T>(std::type_identity<T>) {
      if constexpr (kir::scalar::defined_for<Operation, T>) check_operation<Operation, T>(binary);
    });
  }
}

TEST(LlvmInstructions, Unary) {
  std::apply([](auto... operation) { (check_operation_on_all_types<decltype(operation)>(false), ...); },
             kir::scalar::UnaryOperations());
}

TEST(LlvmInstructions, Binary) {
  std::apply([](auto... operation) { (check_operation_on_all_types<decltype(operation)>(true), ...); },
             kir::scalar::BinaryOperations());
}

TEST(LlvmInstructions, Casts) {
  for (Dtype from : compute_types) {
    kir::dispatch_compute_type(from, [&]<typename From>(std::type_identity<From>) {
      const auto in = to_array(special_values<From>());
      const auto n = static_cast<int64_t>(special_values<From>().size());
      for (Dtype to : compute_types) {
        kir::dispatch_compute_type(to, [&]<typename To>(std::type_identity<To>) {
          const std::string f(dtype_name(from)), t(dtype_name(to));
          const Compiled kernel("kernel parallel\na0 input " + f + " unit\na1 output " + t +
                                " unit\nblock\n  %0 = load." + f + " a0\n  %1 = cast." + t + " %0\n  store." +
                                t + " a1, %1");
          const auto out = std::make_unique<To[]>(static_cast<size_t>(n));
          kernel.run({n}, {{in.get(), {1}}, {out.get(), {1}}});
          for (int64_t i = 0; i < n; ++i) {
            const To wanted = kir::scalar::convert<To>(in[i]);
            ASSERT_TRUE(same(out[i], wanted))
                << f << " to " << t << " of " << +in[i] << " gives " << +out[i] << " instead of " << +wanted;
          }
        });
      }
    });
  }
}

TEST(LlvmInstructions, HalfPrecisionInMemoryAndRounded) {
  const std::vector<float> in = special_values<float>();
  const auto n = static_cast<int64_t>(in.size());
  for (const Dtype dtype : {float16, bfloat16}) {
    const std::string name(dtype_name(dtype));
    const Compiled kernel(
        "kernel parallel\na0 input float32 unit\na1 output " + name +
        " unit\na2 output float32 unit\nblock\n  %0 = load.float32 a0\n  store.float32 a1, %0\n" +
        "  %2 = round_to.float32 " + name + ", %0\n  store.float32 a2, %2");
    const Compiled widen(
        "kernel parallel\na0 input " + name +
        " unit\na1 output float32 unit\nblock\n  %0 = load.float32 a0\n  store.float32 a1, %0");
    std::vector<uint16_t> bits(in.size());
    std::vector<float> rounded(in.size()), back(in.size());
    kernel.run({n}, {{in.data(), {1}}, {bits.data(), {1}}, {rounded.data(), {1}}});
    widen.run({n}, {{bits.data(), {1}}, {back.data(), {1}}});
    for (size_t i = 0; i < in.size(); ++i) {
      const float wanted = kir::scalar::round_to(in[i], dtype);
      ASSERT_TRUE(same(rounded[i], wanted))
          << in[i] << " as " << name << ": " << rounded[i] << ", not " << wanted;
      ASSERT_TRUE(same(back[i], wanted)) << in[i] << " as " << name << ": " << back[i] << ", not " << wanted;
    }
  }
}

TEST(LlvmInstructions, EveryHalfWidens) {
  std::vector<uint16_t> bits(65536);
  std::iota(bits.begin(), bits.end(), uint16_t{0});
  const Compiled widen(R"(kernel parallel
a0 input float16 unit
a1 output float32 unit
block
  %0 = load.float32 a0
  store.float32 a1, %0)");
  std::vector<float> out(bits.size());
  widen.run({65536}, {{bits.data(), {1}}, {out.data(), {1}}});
  for (size_t i = 0; i < bits.size(); ++i) {
    ASSERT_TRUE(same(out[i], half_detail::float16_bits_to_float(bits[i]))) << i;
  }
}

TEST(LlvmInstructions, SelectAndBitcast) {
  const Compiled kernel(R"(kernel parallel
a0 input float32 unit
a1 input float32 unit
a2 output int32 unit
block
  %0 = load.float32 a0
  %1 = load.float32 a1
  %2 = lt.bool %0, %1
  %3 = le.bool %1, %1
  %4 = bit_and.bool %2, %3
  %5 = select.float32 %4, %0, %1
  %6 = bitcast.int32 %5
  store.int32 a2, %6)");
  const std::vector<float> a = {1, 2, nan, 3, -1, 0, 5, 6, 7, inf, -inf};
  const std::vector<float> b = {2, 1, 0, nan, -2, 0, 6, 5, nan, 1, 1};
  std::vector<int32_t> out(a.size());
  kernel.run({static_cast<int64_t>(a.size())}, {{a.data(), {1}}, {b.data(), {1}}, {out.data(), {1}}});
  for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(out[i], std::bit_cast<int32_t>(a[i] < b[i] ? a[i] : b[i]));
}

}  // namespace
}  // namespace lazuli
