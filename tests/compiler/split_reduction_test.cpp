// Reductions with few results, which are split over threads, against the same in the interpreter on one
// thread.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

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
      {transpose(rows), 0},               // the same elements, strided
      {numbers({50'021, 5}, dtype), 0},   // columns
      {numbers({20'003, 16}, dtype), 0},  // many rows of these as one
      {slice(numbers({20'003, 18}, dtype), {0, 1}, {20'003, 17}), 0},
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

TEST(SplitReduction, RowsOfFewColumnsAreTakenTogether) {
  const kir::Kernel kernel = kir::parse(R"(kernel reduce parallel
a0 input float32 any any
a1 input float32 zero zero
a2 output float32 zero any
block
  %0 = load.float32 a0
  %1 = load.float32 a1
  %2 = mul.float32 %0, %1
  %3 = reduce_sum.float32 %2
point_block
  store.float32 a2, %3)");
  const std::vector<int64_t> extents{100'000, 16};
  const auto split_of = [&](int64_t row, int64_t factor) {
    const std::vector<std::vector<int64_t>> strides{{row, 1}, {0, factor}, {0, 1}};
    return split_reduction(kernel, extents, strides, 2).value();
  };
  const SplitReduction together = split_of(16, 0);
  EXPECT_EQ(together.first.extents, (std::vector<int64_t>{16, 195, 512}));
  EXPECT_EQ(together.first.strides[0], (std::vector<int64_t>{195 * 512, 512, 1}));
  EXPECT_EQ(together.rest_offset, 16 * 195 * 32);
  EXPECT_EQ(together.rest.value().extents, (std::vector<int64_t>{1, 100'000 - 16 * 195 * 32, 16}));
  EXPECT_EQ(together.parts, 16 * 32 + 1);
  EXPECT_EQ(together.second.extents, (std::vector<int64_t>{16 * 32 + 1, 16}));
  // Rows with something between them, or a factor for each column.
  EXPECT_EQ(split_of(17, 0).first.extents.back(), 16);
  EXPECT_EQ(split_of(16, 1).first.extents.back(), 16);
}

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

/// Mean and variance by one kernel, others by one each.
std::vector<array> statistics(const array& x, const std::vector<int>& axes) {
  std::vector<array> results{mean(x, axes), var(x, axes)};
  eval(results);
  for (array other : {std(x, axes, false, 1), var(x * x, axes, true)}) {
    other.eval();
    results.push_back(other);
  }
  return results;
}

TEST(SplitVariance, AgreesWithDoublePrecision) {
  struct Case {
    Shape shape;
    std::vector<int> axes;
  };
  const std::vector<Case> cases{
      {{1024, 256}, {0}},      {{1025, 257}, {0}},      {{40'000, 7}, {0}},
      {{256, 1031}, {0}},      {{260, 5000}, {0}},      {{3, 700, 130}, {1}},
      {{9, 100, 300}, {0, 1}}, {{300, 9, 100}, {0, 1}}, {{257, 20, 60}, {0}},
  };
  for (const auto& [shape, axes] : cases) {
    for (const Dtype dtype : {float32, float16, bfloat16}) {
      SCOPED_TRACE(shape_to_string(shape) + std::string(dtype_name(dtype)));
      const array x = astype(random::normal(shape, float32, 3.0f, 0.5f, random::key(5)), dtype);
      const std::vector<array> exact = statistics(astype(x, float64), axes);
      for (const int threads : {1, 4}) {
        const test::ThreadsScope scope(threads);
        for (const array& input : {x, swapaxes(contiguous(swapaxes(x, 0, -1)), 0, -1)}) {
          const std::vector<array> found = statistics(input, axes);
          // Where elements that distances are taken from are outliers, some units are lost.
          const double tolerance = dtype == float32 ? 2e-5 : dtype == float16 ? 1e-3 : 2e-2;
          for (size_t i = 0; i < found.size(); ++i) {
            EXPECT_TRUE(allclose(astype(found[i], float64), exact[i], tolerance, 0.0).item<bool>()) << i;
          }
        }
      }
    }
  }
}

TEST(SplitVariance, LosesNothingFarFromZero) {
  // Squares of the elements themselves would leave no digit; the first row lies apart from all others.
  const array noise = random::normal({2000, 200}, float32, 0.0f, 1.0f, random::key(7));
  const array first = astype(equal(reshape(arange(2000), {2000, 1}), array(0)), float32);
  for (const float level : {0.0f, 1000.0f, -30'000.0f}) {
    array x = noise + array(level) + first * array(50.0f);
    x.eval();
    // One kernel each.
    array found = var(x, 0);
    found.eval();
    array exact = var(astype(x, float64), 0);
    exact.eval();
    // The mean itself is rounded, three times by 0.002 at most.
    EXPECT_TRUE(allclose(astype(found, float64), exact, 1e-5, 3.6e-5).item<bool>()) << level;
  }
  array same = noise * array(0.0f) + array(0.1f);
  same.eval();  // in memory, so that there are elements to go over in parts
  EXPECT_LT(max(var(same, 0)).item<float>(), 1e-15f);
}

TEST(SplitVariance, KeepsNanAndInfinity) {
  const array noise = random::normal({2000, 200}, float32, 0.0f, 1.0f, random::key(7));
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    for (const int place : {0, 70, 1999}) {
      const array here = equal(reshape(arange(2000), {2000, 1}), array(place));
      const array only = equal(arange(200), array(3));
      const array v = var(where(logical_and(here, only), array(bad), noise), 0);
      EXPECT_TRUE(array_equal(isnan(v), only).item<bool>()) << bad << " in row " << place;
    }
  }
}

TEST(SplitVariance, TakesSquaresAroundAnyCentre) {
  const kir::Kernel kernel = kir::parse(R"(kernel reduce parallel
a0 input float32 any any
a1 input float32 zero any
a2 output float32 zero any
point_block
block
  %0 = load.float32 a0
  %1 = reduce_sum.float32 %0
point_block
  %2 = load.float32 a1
  %3 = max.float32 %1, %2
block
  %4 = load.float32 a0
  %5 = sub.float32 %4, %3
  %6 = mul.float32 %5, %5
  %7 = reduce_sum.float32 %6
point_block
  store.float32 a2, %7
)");
  const std::vector<std::vector<int64_t>> strides{{600, 1}, {0, 1}, {0, 1}};
  const std::vector<int64_t> small{200, 600}, large{1000, 600};
  EXPECT_FALSE(split_variance(kernel, small, strides));
  const auto split = split_variance(kernel, large, strides);
  ASSERT_TRUE(split);
  ASSERT_TRUE(split->rest);
  for (const auto* half : {&split->first, &*split->rest, &split->second}) kir::verify(half->kernel);
  EXPECT_EQ(split->counts, (std::vector<int64_t>{256, 256, 256, 232}));
  // A mean that is used as the second pass's elements, or other elements there, is another thing.
  kir::Kernel other = kernel;
  other.instructions[4].op = kir::Opcode::load;
  other.instructions[4].imm = 1;
  other.accesses[1].strides[0] = kir::StrideClass::any;
  EXPECT_FALSE(split_variance(other, large, strides));
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
