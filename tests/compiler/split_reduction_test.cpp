// Reductions with few results, which are split over threads, against the same in the interpreter on one
// thread.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include <lazuli/compiler/program/split_reduction.h>
#include <lazuli/lazuli.h>

#include "support/settings_scope.h"

namespace lazuli {
namespace {

constexpr int count = 300'007;

array numbers(const Shape& shape, Dtype dtype) {
  const array raw = random::randint(-9, 10, shape, int32, random::key(3));
  return issubdtype(dtype, floating) ? astype(raw, dtype) / array(4.0f, dtype) : astype(raw, dtype);
}

std::vector<array> reductions(const array& x, int axis) {
  std::vector<array> results{sum(x, axis), max(x, axis),    min(x, axis),   any(x, axis),
                             all(x, axis), argmax(x, axis), argmin(x, axis)};
  if (issubdtype(x.dtype(), floating)) {
    results.push_back(mean(x, axis));
    results.push_back(logsumexp(x, axis));
    results.push_back(sum(x * x + array(1.0f, x.dtype()), axis) * array(0.5f, x.dtype()));
  }
  return results;
}

class SplitReductions : public testing::TestWithParam<Dtype> {};

TEST_P(SplitReductions, AgreeWithOneThread) {
  const Dtype dtype = GetParam();
  const array flat = numbers({count}, dtype);
  const array rows = numbers({3, 100'003}, dtype);
  const std::vector<std::pair<array, int>> cases{
      {flat, 0},
      {rows, 1},
      {transpose(rows), 0},                               // the same elements, strided
      {numbers({50'021, 5}, dtype), 0},                   // columns
      {slice(flat, {count - 1}, {-count - 1}, {-1}), 0},  // backwards
      {slice(flat, {1}, {count}, {3}), 0},
      {broadcast_to(numbers({1, 4}, dtype), {70'001, 4}), 0},
  };
  for (size_t c = 0; c < cases.size(); ++c) {
    SCOPED_TRACE(c);
    const auto& [x, axis] = cases[c];
    std::vector<array> split, whole;
    {
      const test::ThreadsScope threads(4);
      split = reductions(x, axis);
      eval(split);
    }
    {
      const test::ThreadsScope threads(1);
      whole = reductions(x, axis);
      eval(whole);
    }
    for (size_t i = 0; i < split.size(); ++i) {
      SCOPED_TRACE(i);
      const array a = astype(split[i], float64), b = astype(whole[i], float64);
      const double tolerance = dtype == float16 ? 2e-3 : dtype == bfloat16 ? 2e-2 : 2e-5;
      EXPECT_TRUE(allclose(a, b, tolerance, 1e-3, /*equal_nan=*/true).item<bool>());
    }
  }
}

TEST(SplitReduction, KeepsNan) {
  const test::ThreadsScope threads(4);
  for (const Dtype dtype : {float32, float64, float16, bfloat16}) {
    for (const int place : {0, 1, count / 2, count - 1}) {
      const array x =
          where(equal(arange(count), array(place)), array(std::nanf(""), dtype), numbers({count}, dtype));
      EXPECT_TRUE(isnan(max(x)).item<bool>());
      EXPECT_TRUE(isnan(min(x)).item<bool>());
      EXPECT_TRUE(isnan(sum(x)).item<bool>());
      EXPECT_EQ(argmax(x).item<uint32_t>(), place);
      EXPECT_EQ(argmin(x).item<uint32_t>(), place);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, SplitReductions,
                         testing::Values(float32, float64, float16, bfloat16, int32, int8, uint64));

TEST(SplitReduction, SumsOfManyAreAccurate) {
  const test::ThreadsScope threads(4);
  const array x = full({1'000'003}, 0.1f);
  eval(x);
  EXPECT_NEAR(sum(x).item<float>(), 1'000'003 * static_cast<double>(0.1f),
              1);  // one after the other: 958 off
}

TEST(SplitReduction, FindsTheFirstOfEqualPositions) {
  const test::ThreadsScope threads(4);
  const float infinity = std::numeric_limits<float>::infinity();
  for (const int size : {65'536, 65'537, 100'003, 1 << 20}) {
    EXPECT_EQ(argmax(full({size}, 7)).item<uint32_t>(), 0u);
    EXPECT_EQ(argmin(full({size}, -infinity)).item<uint32_t>(), 0u);
    EXPECT_EQ(argmax(full({size}, -infinity)).item<uint32_t>(), 0u);
    for (const int place : {1, size / 3, size - 2}) {
      const array x = astype(greater_equal(arange(size), array(place)), int32);  // 0, ..., 0, 1, ..., 1
      EXPECT_EQ(argmax(x).item<uint32_t>(), place) << size;
      EXPECT_EQ(argmin(negative(x)).item<uint32_t>(), place) << size;
    }
  }
}

TEST(SplitReduction, LeavesSmallWorkAlone) {
  kir::Kernel kernel = kir::parse(R"(kernel reduce
a0 input float32 any
a1 output float32 zero
point_block
block
  %0 = load.float32 a0
  %1 = reduce_sum.float32 %0
point_block
  store.float32 a1, %1
)");
  const std::vector<std::vector<int64_t>> strides{{1}, {0}};
  const std::vector<int64_t> small{1000}, large{1'000'000};
  EXPECT_FALSE(split_reduction(kernel, small, strides, 2));
  EXPECT_FALSE(split_reduction(kernel, large, strides, 1));
  const auto split = split_reduction(kernel, large, strides, 2);
  ASSERT_TRUE(split);
  kir::verify(split->first.kernel);
  kir::verify(split->second.kernel);
  EXPECT_EQ(split->partial_dtypes, std::vector<Dtype>{float32});
}

}  // namespace
}  // namespace lazuli
