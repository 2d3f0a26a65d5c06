// Conversions between dtypes, views of bytes, creation of arrays.

#include <bit>
#include <cstring>

#include "helpers.h"

namespace lazuli::test {
namespace {

const std::vector<Dtype> all_dtypes{bool_, uint8, uint16,  uint32,  uint64,  int8,     int16,
                                    int32, int64, float16, float32, float64, bfloat16, complex64};

TEST(Convert, SmallNumbersSurviveBetweenAllDtypes) {
  for (Dtype from : all_dtypes) {
    for (Dtype to : all_dtypes) {
      const array x = make({0, 1, 3, 100}, {4}, from);
      const bool through_bool = from == bool_ || to == bool_;
      expect_array(real(astype(x, to)), {4}, to == complex64 ? float32 : to,
                   through_bool ? std::vector<double>{0, 1, 1, 1} : std::vector<double>{0, 1, 3, 100}, 0,
                   std::string(dtype_name(from)) + " to " + std::string(dtype_name(to)));
    }
  }
}

TEST(Convert, FloatToIntegerTruncatesAndSaturates) {
  const array x = make({1.9, -1.9, 300, -300, not_a_number, infinity, 3e10}, {7});
  expect_array(astype(x, int8), {7}, int8, {1, -1, 127, -128, 0, 127, 127});
  expect_array(astype(x, uint8), {7}, uint8, {1, 0, 255, 0, 0, 255, 255});
  expect_array(astype(x, int32), {7}, int32, {1, -1, 300, -300, 0, 2147483647, 2147483647});
  expect_array(astype(x, bool_), {7}, bool_, {1, 1, 1, 1, 1, 1, 1});
  expect_array(astype(make({0.25, -0.0}, {2}), bool_), {2}, bool_, {1, 0});
}

TEST(Convert, IntegersWrap) {
  const array x = make({300, -1, 65536}, {3}, int32);
  expect_array(astype(x, uint8), {3}, uint8, {44, 255, 0});
  expect_array(astype(x, int8), {3}, int8, {44, -1, 0});
  expect_array(astype(x, uint32), {3}, uint32, {300, 4294967295.0, 65536});
}

TEST(Convert, HalfPrecisionRoundsEvenWhereItIsFused) {
  // 1 + 2^-12 rounds to 1 in float16, so that the difference is 0 if the conversion rounds.
  const array x = make({1 + std::ldexp(1.0, -12), 1 + std::ldexp(3.0, -11)}, {2});
  expect_array(astype(astype(x, float16), float32) - array(1.0f), {2}, float32, {0, std::ldexp(1.0, -9)});
  expect_array(astype(astype(x, bfloat16), float32) - array(1.0f), {2}, float32, {0, 0});
  expect_array(astype(make({65520, 65519}, {2}), float16), {2}, float16, {infinity, 65504});
}

TEST(Convert, ComplexToRealTakesTheRealPart) {
  const array z(complex64_t{2.5f, -1});
  expect_array(astype(z, float32), {}, float32, {2.5});
  expect_array(astype(z, int16), {}, int16, {2});
  expect_array(astype(array(complex64_t{0, -1}), bool_), {}, bool_, {1});
  expect_array(imag(astype(array(2.0f), complex64)), {}, float32, {0});
}

TEST(Convert, ViewsKeepBits) {
  const array x = make({1, -2.5}, {2});
  expect_array(view(x, uint32), {2}, uint32,
               {static_cast<double>(std::bit_cast<uint32_t>(1.0f)),
                static_cast<double>(std::bit_cast<uint32_t>(-2.5f))});
  expect_array(view(view(x, int32), float32), {2}, float32, {1, -2.5});
  expect_array(view(make({1}, {1}, float16), uint16), {1}, uint16, {0x3c00});
  expect_array(view(make({0x4000}, {1}, uint16), bfloat16), {1}, bfloat16, {2});
  // Other sizes change the last extent.
  expect_array(view(make({1, 2, 3, 4}, {2, 2}, uint16), uint32), {2, 1}, uint32,
               {1 + 2 * 65536, 3 + 4 * 65536});
  expect_array(view(make({0x04030201}, {1, 1}, uint32), uint8), {1, 4}, uint8, {1, 2, 3, 4});
  expect_array(view(transpose(make({1, 2, 3, 4}, {2, 2}, uint16)), uint32), {2, 1}, uint32,
               {1 + 3 * 65536, 2 + 4 * 65536});
  expect_array(imag(view(make({1, 2}, {2}), complex64)), {1}, float32, {2});
  expect_error([] { view(zeros({3}, uint16), uint32); }, "[view]");
  expect_error([] { view(array(1.0f), float64); }, "[view]");
}

TEST(Convert, CopiesAreContiguous) {
  for (const bool by_copy : {false, true}) {
    array a = transpose(counting({3, 5}));
    a = by_copy ? copy(a) : contiguous(a);
    a.eval();
    EXPECT_EQ(a.strides(0), 3);
    EXPECT_EQ(a.strides(1), 1);
    EXPECT_EQ(a.data<float>()[1], 5);
  }
  expect_array(stop_gradient(counting({3})), {3}, float32, {0, 1, 2});
}

TEST(Creation, ZerosOnesFull) {
  for (Dtype dtype : all_dtypes) {
    const Dtype read = dtype == complex64 ? float32 : dtype;
    expect_array(real(zeros({2, 3}, dtype)), {2, 3}, read, std::vector<double>(6, 0));
    expect_array(real(ones({5}, dtype)), {5}, read, std::vector<double>(5, 1));
    expect_array(real(full({1, 2}, 1, dtype)), {1, 2}, read, {1, 1});
    expect_array(real(zeros_like(ones({2}, dtype))), {2}, read, {0, 0});
    expect_array(real(ones_like(zeros({2}, dtype))), {2}, read, {1, 1});
  }
  expect_array(zeros({0, 3}), {0, 3}, float32, {});
  expect_array(full({}, 2.5f), {}, float32, {2.5});
  expect_array(full({2, 2}, make({1, 2}, {2}, int32)), {2, 2}, int32, {1, 2, 1, 2});
  expect_array(full({2}, array(2.7f), int32), {2}, int32, {2, 2});
  expect_array(full_like(zeros({2}, int8), 3.9f), {2}, int8, {3, 3});
  array filled = full({4}, array(1.0f));
  filled.eval();
  EXPECT_EQ(filled.strides(0), 1);
  expect_error([] { full({2}, zeros({3})); }, "[full]");
  expect_error([] { zeros({-1}); }, "[zeros]");
}

TEST(Creation, Arange) {
  expect_array(arange(5), {5}, int32, {0, 1, 2, 3, 4});
  expect_array(arange(2, 9, 3), {3}, int32, {2, 5, 8});
  expect_array(arange(5, 0, -2), {3}, int32, {5, 3, 1});
  expect_array(arange(3, 3), {0}, int32, {});
  expect_array(arange(5, 2), {0}, int32, {});
  expect_array(arange(0.0, 1.0, 0.25), {4}, float32, {0, 0.25, 0.5, 0.75});
  expect_array(arange(0.5, 3.0), {3}, float32, {0.5, 1.5, 2.5});
  expect_array(arange(3.0, float16), {3}, float16, {0, 1, 2});
  expect_array(arange(1.0, 4.0, uint8), {3}, uint8, {1, 2, 3});
  expect_array(arange(-3.0, 0.0, int64), {3}, int64, {-3, -2, -1});
  expect_array(arange(1.0, 5.0, infinity), {1}, float32, {1});
  expect_array(arange(Dim(3), int64), {3}, int64, {0, 1, 2});
  expect_array(arange(Dim(7), Dim(1), Dim(-2), int32), {3}, int32, {7, 5, 3});
  expect_error([] { arange(0.0, not_a_number, 1.0); }, "[arange]");
  expect_error([] { arange(0.0, infinity, 1.0); }, "[arange]");
  expect_error([] { arange(0.0, 1e10, 1.0); }, "[arange]");
  expect_error([] { arange(0.0, 1.0, 0.0); }, "[arange]");
  expect_error([] { arange(2.0, bool_); }, "[arange]");
}

TEST(Creation, Linspace) {
  expect_array(linspace(0, 1, 5), {5}, float32, {0, 0.25, 0.5, 0.75, 1});
  expect_array(linspace(0, 1, 4, false), {4}, float32, {0, 0.25, 0.5, 0.75});
  expect_array(linspace(-2, 2, 3, int32), {3}, int32, {-2, 0, 2});
  expect_array(linspace(3, 9, 1), {1}, float32, {3});
  expect_array(linspace(3, 9, 0), {0}, float32, {});
  const array fine = linspace(0.1, 0.7, 1000);
  EXPECT_EQ(doubles(fine).front(), static_cast<double>(0.1f));
  EXPECT_EQ(doubles(fine).back(), static_cast<double>(0.7f));
  EXPECT_EQ(linspace(0, 1).shape(0), 50);
  expect_error([] { linspace(0, 1, -1); }, "[linspace]");
}

TEST(Creation, Matrices) {
  expect_array(eye(2), {2, 2}, float32, {1, 0, 0, 1});
  expect_array(eye(2, 3, 1, int32), {2, 3}, int32, {0, 1, 0, 0, 0, 1});
  expect_array(eye(3, 2, -1), {3, 2}, float32, {0, 0, 1, 0, 0, 1});
  expect_array(identity(2, bool_), {2, 2}, bool_, {1, 0, 0, 1});
  expect_array(tri(2, 3, 0, float32), {2, 3}, float32, {1, 0, 0, 1, 1, 0});
  expect_array(tri(2, 3, 1, int8), {2, 3}, int8, {1, 1, 0, 1, 1, 1});
  const array x = counting({2, 3}) + array(1.0f);
  expect_array(tril(x), {2, 3}, float32, {1, 0, 0, 4, 5, 0});
  expect_array(tril(x, -1), {2, 3}, float32, {0, 0, 0, 4, 0, 0});
  expect_array(triu(x), {2, 3}, float32, {1, 2, 3, 0, 5, 6});
  expect_array(triu(x, 1), {2, 3}, float32, {0, 2, 3, 0, 0, 6});
  expect_array(triu(stack({x, x})), {2, 2, 3}, float32, {1, 2, 3, 0, 5, 6, 1, 2, 3, 0, 5, 6});
  expect_error([] { tril(zeros({3})); }, "[tril]");
}

}  // namespace
}  // namespace lazuli::test
