// Windows, Hadamard transforms, 8-bit floating point numbers, and what is known of dtypes.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include <lazuli/array/dtype_info.h>

#include "helpers.h"

namespace lazuli::test {
namespace {

TEST(Windows, ClosedForms) {
  for (const int points : {2, 3, 8, 51}) {
    std::vector<double> hann, hamm, triangle, black;
    for (int n = 0; n < points; ++n) {
      const double x = 2 * std::numbers::pi * n / (points - 1);
      hann.push_back(0.5 - 0.5 * std::cos(x));
      hamm.push_back(0.54 - 0.46 * std::cos(x));
      triangle.push_back(1 - std::abs(2.0 * n / (points - 1) - 1));
      black.push_back(0.42 - 0.5 * std::cos(x) + 0.08 * std::cos(2 * x));
    }
    expect_array(hanning(points), {points}, float32, hann, 1e-6);
    expect_array(hamming(points), {points}, float32, hamm, 1e-6);
    expect_array(bartlett(points), {points}, float32, triangle, 1e-6);
    expect_array(blackman(points), {points}, float32, black, 1e-6);
  }
  for (const auto window : {hanning, hamming, bartlett, blackman}) {
    expect_array(window(1, {}), {1}, float32, {1});
    expect_array(window(0, {}), {0}, float32, {});
    expect_array(window(-3, {}), {0}, float32, {});
  }
}

TEST(Hadamard, MatricesAreOrthogonal) {
  for (const int n : {1, 2, 8, 64, 128, 512, 12, 24, 20, 160, 28, 56}) {
    const array matrix = hadamard_transform(eye(n), 1.0f);
    for (const double entry : doubles(matrix)) ASSERT_EQ(std::abs(entry), 1) << n;
    expect_array(matmul(matrix, transpose(matrix)), {n, n}, float32, doubles(eye(n) * static_cast<float>(n)),
                 1e-5);
  }
}

TEST(Hadamard, ClosedForm) {
  // Sylvester's, by the parity of what row and column have in common.
  for (const int n : {4, 64, 256}) {
    const array x = make_numbers({3, n});
    const std::vector<double> elements = doubles(x);
    std::vector<double> expected;
    for (int row = 0; row < 3; ++row) {
      for (int i = 0; i < n; ++i) {
        double sum = 0;
        for (int j = 0; j < n; ++j) {
          const bool odd = __builtin_parity(static_cast<unsigned>(i & j)) != 0;
          sum += (odd ? -1 : 1) * elements[static_cast<size_t>(row * n + j)];
        }
        expected.push_back(sum / std::sqrt(n));
      }
    }
    expect_array(hadamard_transform(x), {3, n}, float32, expected, 1e-4);
  }
  const array x = make({1, 2, 3, 4}, {4}, int32);
  expect_array(hadamard_transform(x, 0.5f), {4}, float32, {5, -1, -2, 0});
  expect_array(hadamard_transform(astype(x, bfloat16), 1.0f), {4}, bfloat16, {10, -2, -4, 0});
  expect_array(hadamard_transform(array(3.0f)), {}, float32, {3});
  expect_array(hadamard_transform(zeros({0, 8})), {0, 8}, float32, {});
}

TEST(Hadamard, Errors) {
  expect_error([] { hadamard_transform(zeros({3})); }, "[hadamard_transform]");
  expect_error([] { hadamard_transform(zeros({2, 36})); }, "[hadamard_transform]");
  expect_error([] { hadamard_transform(zeros({0})); }, "[hadamard_transform]");
  expect_error([] { hadamard_transform(zeros({4}, complex64)); }, "[hadamard_transform]");
}

double value_of_fp8(int code) {
  const int exponent = code >> 3 & 15;
  const int fraction = code & 7;
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8 + fraction, exponent - 10);
  if ((code & 127) == 127) return not_a_number;
  return (code & 128) != 0 ? -magnitude : magnitude;
}

TEST(Fp8, EveryCode) {
  std::vector<double> codes, expected;
  for (int code = 0; code < 256; ++code) {
    codes.push_back(code);
    expected.push_back(value_of_fp8(code));
  }
  const array all = make(codes, {256}, uint8);
  for (const Dtype dtype : {float32, float16, bfloat16, float64}) {
    const array values = from_fp8(all, dtype);
    expect_array(values, {256}, dtype, expected);
    const std::vector<double> back = doubles(to_fp8(values));
    for (size_t code = 0; code < 256; ++code) {
      // The sign of NaN may get lost.
      ASSERT_EQ(static_cast<int>(back[code]) & ((code & 127) == 127 ? 127 : 255),
                static_cast<int>(code) & ((code & 127) == 127 ? 127 : 255));
    }
  }
  EXPECT_TRUE(std::signbit(from_fp8(make({128}, {1}, uint8), float32).item<float>()));
}

TEST(Fp8, RoundsToNearest) {
  std::vector<double> numbers;
  for (int i = -5000; i <= 5000; ++i) numbers.push_back(static_cast<float>(i * 0.1003));
  for (int i = -200; i <= 200; ++i) numbers.push_back(i * std::ldexp(1.0, -12));
  const int count = static_cast<int>(numbers.size());
  const std::vector<double> found = doubles(from_fp8(to_fp8(make(numbers, {count})), float32));
  for (size_t i = 0; i < numbers.size(); ++i) {
    double nearest = 0;
    int nearest_code = 0;
    for (int code = 0; code < 256; ++code) {
      if ((code & 127) == 127) continue;
      const double value = value_of_fp8(code);
      const double gain = std::abs(nearest - numbers[i]) - std::abs(value - numbers[i]);
      if (gain > 0 || (gain == 0 && (code & 1) == 0 && (nearest_code & 1) == 1)) {
        nearest = value;
        nearest_code = code;
      }
    }
    ASSERT_EQ(found[i], nearest) << numbers[i];
  }
  expect_array(from_fp8(to_fp8(make({infinity, -infinity, 1e9, 470, not_a_number}, {5})), float32), {5},
               float32, {448, -448, 448, 448, not_a_number});
  expect_error([] { to_fp8(zeros({2}, int32)); }, "[to_fp8]");
  expect_error([] { from_fp8(zeros({2}, uint16), float32); }, "[from_fp8]");
  expect_error([] { from_fp8(zeros({2}, uint8), int32); }, "[from_fp8]");
}

TEST(DtypeInfo, Limits) {
  const finfo single(float32);
  using Single = std::numeric_limits<float>;
  EXPECT_EQ(single.max, static_cast<double>(Single::max()));
  EXPECT_EQ(single.min, static_cast<double>(Single::lowest()));
  EXPECT_EQ(single.eps, static_cast<double>(Single::epsilon()));
  EXPECT_EQ(single.smallest_normal, static_cast<double>(Single::min()));
  EXPECT_EQ(finfo(float64).max, std::numeric_limits<double>::max());
  EXPECT_EQ(finfo(float64).eps, std::numeric_limits<double>::epsilon());
  EXPECT_EQ(finfo(float16).max, 65504);
  EXPECT_EQ(finfo(float16).smallest_normal, std::ldexp(1.0, -14));
  EXPECT_EQ(finfo(bfloat16).eps, 0.0078125);
  EXPECT_EQ(finfo(complex64).dtype, float32);
  EXPECT_EQ(iinfo(int8).min, -128);
  EXPECT_EQ(iinfo(uint64).max, std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(iinfo(int64).min, std::numeric_limits<int64_t>::min());
  expect_error([] { finfo info(int32); }, "[finfo]");
  expect_error([] { iinfo info(float32); }, "[iinfo]");
}

TEST(DtypeInfo, ResultTypes) {
  EXPECT_EQ(result_type(array(1), array(2.0f)), float32);
  EXPECT_EQ(result_type(zeros({1}, int8), zeros({1}, uint8), zeros({1}, float16)), float16);
  EXPECT_EQ(result_type({}), bool_);
  EXPECT_EQ(result_type({zeros({1}, int8), zeros({1}, uint8)}), int16);
}

}  // namespace
}  // namespace lazuli::test
