// Scatters that accumulate, against a loop.

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "helpers.h"

namespace lazuli::test {
namespace {

using Combine = double (*)(double, double);
using Scatter = array (*)(const array&, const std::vector<array>&, const array&, const std::vector<int>&,
                          StreamOrDevice);

struct Mode {
  std::string name;
  Scatter scatter;
  Combine combine;
};

const std::vector<Mode> modes{
    {"add", scatter_add, [](double a, double b) { return a + b; }},
    {"prod", scatter_prod, [](double a, double b) { return a * b; }},
    {"max", scatter_max, [](double a, double b) { return std::max(a, b); }},
    {"min", scatter_min, [](double a, double b) { return std::min(a, b); }},
};

/// Rows of a matrix, combined one after the other.
std::vector<double> rows_combined(std::vector<double> base, int columns, const std::vector<int>& rows,
                                  const std::vector<double>& updates, Combine combine) {
  for (size_t i = 0; i < rows.size(); ++i) {
    for (int j = 0; j < columns; ++j) {
      double& place = base[static_cast<size_t>(rows[i] * columns + j)];
      place = combine(place, updates[i * static_cast<size_t>(columns) + static_cast<size_t>(j)]);
    }
  }
  return base;
}

TEST(Scatter, EveryDtypeAndMode) {
  const std::vector<int> rows{2, 0, 2, 1, 2};
  const std::vector<double> base{1, 2, 3, 1, 2, 0};
  const std::vector<double> updates{1, 2, 2, 1, 3, 1, 0, 2, 1, 3};
  for (const Mode& mode : modes) {
    for (Dtype dtype : {uint8, uint16, uint32, uint64, int8, int16, int32, int64, float16, bfloat16, float32,
                        float64, complex64}) {
      const array found = mode.scatter(make(base, {3, 2}, dtype), {array({2, 0, -1, 1, 9}, int32)},
                                       make(updates, {5, 1, 2}, dtype), {0}, {});
      expect_array(real(found), {3, 2}, dtype == complex64 ? float32 : dtype,
                   rows_combined(base, 2, rows, updates, mode.combine), 0, mode.name);
    }
  }
  const array flags = make({0, 1, 0, 1}, {4}, bool_);
  const array at = array({0, 1, 1, 3}, int32);
  const array values = make({1, 0, 0, 0}, {4, 1}, bool_);
  expect_array(scatter_add(flags, at, values, 0), {4}, bool_, {1, 1, 0, 1});
  expect_array(scatter_prod(flags, at, values, 0), {4}, bool_, {0, 0, 0, 0});
}

TEST(Scatter, IntegersWrapAround) {
  const array at = array({0, 0}, int32);
  expect_array(scatter_add(array({127}, int8), at, make({1, 1}, {2, 1}, int8), 0), {1}, int8, {-127});
  expect_array(scatter_prod(array({255}, uint16), at, make({255, 255}, {2, 1}, uint16), 0), {1}, uint16,
               {255.0 * 255 * 255 - 253 * 65536});
}

TEST(Scatter, HalfPrecisionIsRoundedOnce) {
  // One after the other in half precision, ones added to 2048 would all be lost.
  const array found =
      scatter_add(make({2048}, {1}, float16), zeros({512}, int32), ones({512, 1}, float16), 0);
  expect_array(found, {1}, float16, {2560});
}

TEST(Scatter, NotANumberStays) {
  const array at = array({0, 0, 1, 1}, int32);
  const array updates = make({not_a_number, 3, 3, not_a_number}, {4, 1});
  for (const Mode& mode : modes) {
    expect_array(mode.scatter(zeros({2}), {at}, updates, {0}, {}), {2}, float32,
                 {not_a_number, not_a_number});
  }
  const array infinite = make({-infinity, 2, infinity, 2}, {4, 1});
  expect_array(scatter_max(zeros({2}), at, infinite, 0), {2}, float32, {2, infinity});
  expect_array(scatter_min(zeros({2}), at, infinite, 0), {2}, float32, {-infinity, 0});
}

TEST(Scatter, NothingAndOneElement) {
  expect_array(scatter_add(zeros({0, 3}), zeros({0}, int32), zeros({0, 0, 3}), 0), {0, 3}, float32, {});
  expect_array(scatter_add(ones({2}), zeros({0}, int32), zeros({0, 1}), 0), {2}, float32, {1, 1});
  expect_array(scatter_add(array(3.0f), std::vector<array>{}, array(4.0f), {}), {}, float32, {7});
  expect_array(scatter_max(ones({1}), array(0), make({5}, {1}), 0), {1}, float32, {5});
}

TEST(Scatter, SlicesThatOverlap) {
  // Two elements from each index on: places that several slices share.
  const array at = array({0, 1, 1, 2}, int32);
  expect_array(scatter_add(zeros({4}), at, counting({4, 2}), 0), {4}, float32, {0, 7, 14, 7});
}

TEST(Scatter, ViewsOfUpdatesAndIndices) {
  const array base = transpose(counting({2, 3}));
  const array at = slice(array({5, 1, 4, 0, 3, 2}, int32), {5}, {-7}, {-2});
  const array updates = broadcast_to(make({1, 10}, {2}), {3, 1, 2});
  expect_array(scatter_add(base, at, updates, 0), {3, 2}, float32, {1, 13, 2, 14, 3, 15});
}

/// Sizes at which the work is shared out in either way.
TEST(Scatter, DoesNotDependOnTheNumberOfThreads) {
  const int usual = num_threads();
  for (const auto& [rows, columns, count] :
       {std::tuple{50, 700, 300}, std::tuple{3000, 3, 20000}, std::tuple{7, 1, 30000}}) {
    std::vector<int> at;
    for (int i = 0; i < count; ++i) at.push_back(i * 7919 % 1009 % rows);
    const std::vector<double> updates = numbers(int64_t{count} * columns, 0.37);
    const array indices(at.begin(), {count});
    std::vector<double> first;
    for (int threads : {1, 2, 3, 5}) {
      set_num_threads(threads);
      const std::vector<double> found =
          doubles(scatter_add(zeros({rows, columns}), indices, make(updates, {count, 1, columns}), 0));
      if (first.empty()) {
        first = found;
        const std::vector<double> expected =
            rows_combined(std::vector<double>(static_cast<size_t>(rows * columns), 0.0), columns, at, updates,
                          [](double a, double b) { return a + b; });
        for (size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 0.05) << i;
      }
      EXPECT_EQ(found, first) << threads << " threads";
    }
  }
  set_num_threads(usual);
}

TEST(Scatter, AlongAnAxis) {
  const array base = ones({2, 3});
  const array at = make({0, 0, 2, 1, 1, 1}, {2, 3}, int32);
  expect_array(scatter_add_axis(base, at, counting({2, 3}), 1), {2, 3}, float32, {2, 1, 3, 1, 13, 1});
  expect_array(scatter_add_axis(base, make({1, 0, 1}, {1, 3}, int32), array(5.0f), 0), {2, 3}, float32,
               {1, 6, 1, 6, 1, 6});
  expect_error([&] { scatter_add_axis(base, zeros({2, 3}), base, 1); }, "[scatter_add_axis]");
  expect_error([&] { scatter_add_axis(base, at, base, 2); }, "[scatter_add_axis]");
}

TEST(Scatter, UpdatesOfSlices) {
  const array base = counting({2, 4});
  const array update = make({10, -20}, {2, 1});
  expect_array(slice_update_add(base, update, {0, 1}, {2, 3}), {2, 4}, float32,
               {0, 11, 12, 3, 4, -15, -14, 7});
  expect_array(slice_update_prod(base, update, {0, 0}, {2, 4}, {1, 3}), {2, 4}, float32,
               {0, 1, 2, 30, -80, 5, 6, -140});
  expect_array(slice_update_max(base, update, {0, 3}, {2, 1}, {1, -1}), {2, 4}, float32,
               {0, 1, 10, 10, 4, 5, 6, 7});
  expect_array(slice_update_min(base, update, {0, 0}, {2, 1}), {2, 4}, float32, {0, 1, 2, 3, -20, 5, 6, 7});
  expect_error([&] { slice_update_add(base, zeros({3}), {0, 0}, {2, 2}); }, "[slice_update_add]");
}

TEST(Scatter, ByAMask) {
  const array a = counting({2, 3});
  const array mask = make({0, 1, 1, 1, 0, 0}, {2, 3}, bool_);
  expect_array(masked_scatter(a, mask, make({10, 20, 30, 40}, {2, 2}, int32)), {2, 3}, float32,
               {0, 10, 20, 30, 4, 5});
  expect_array(masked_scatter(a, mask, make({7}, {1})), {2, 3}, float32, {0, 7, 7, 7, 4, 5});
  expect_array(masked_scatter(a, make({0, 1}, {2}, bool_), counting({3})), {2, 3}, float32,
               {0, 1, 2, 0, 1, 2});
  expect_array(masked_scatter(a, array(true), counting({6}) * array(2.0f)), {2, 3}, float32,
               {0, 2, 4, 6, 8, 10});
  expect_array(masked_scatter(a, array(false), counting({6})), {2, 3}, float32, {0, 1, 2, 3, 4, 5});
  expect_array(masked_scatter(zeros({0, 2}), zeros({0, 2}, bool_), zeros({0})), {0, 2}, float32, {});
  expect_array(masked_scatter(transpose(a), transpose(mask), counting({3})), {3, 2}, float32,
               {0, 0, 1, 4, 2, 5});
  expect_error([&] { masked_scatter(a, a, a); }, "[masked_scatter]");
  expect_error([&] { masked_scatter(a, zeros({3}, bool_), a); }, "[masked_scatter]");
  expect_error([&] { masked_scatter(a, mask, zeros({0})); }, "[masked_scatter]");
}

TEST(Scatter, InACompiledFunction) {
  const CompiledFunction f = compile([](const std::vector<array>& in) {
    const array table = zeros({in[2].shape(0), in[0].shape(1)});
    return std::vector<array>{scatter_add(table, in[1], expand_dims(in[0] * in[0], 1), 0) + array(1.0f)};
  });
  for (int n : {2, 5}) {
    std::vector<int> at;
    for (int i = 0; i < n; ++i) at.push_back(i % 2);
    const std::vector<double> values = numbers(n * 3);
    std::vector<double> squares;
    for (double value : values) squares.push_back(value * value);
    const std::vector<double> expected =
        rows_combined(std::vector<double>(static_cast<size_t>(n * 3 + 3), 1.0), 3, at, squares,
                      [](double a, double b) { return a + b; });
    expect_array(f({make(values, {n, 3}), array(at.begin(), {n}), zeros({n + 1})})[0], {n + 1, 3}, float32,
                 expected, 1e-6);
  }
  EXPECT_EQ(f.trace_count(), 1);
}

/// By real parts, then by imaginary ones; what is no number stays.
TEST(Scatter, ExtremesOfComplexNumbers) {
  for (const int columns : {1, 3, 40}) {  // elements, and whole rows that are put into order
    const auto row = [&](complex64_t z) { return broadcast_to(array(z), {1, columns}); };
    const complex64_t lowest(-std::numeric_limits<float>::infinity(), 1);
    const array base = concatenate({row({1, 2}), row({not_a_number, 0}), row({5, 5}), row(lowest)}, 0);
    const array updates = expand_dims(
        concatenate({row({1, 3}), row({9, 9}), row({1, -7}), row({2, not_a_number}), row({4, 4})}, 0), 1);
    const array at = array({0, 1, 0, 2, 3}, int32);
    for (const bool greatest : {true, false}) {
      const array found = greatest ? scatter_max(base, at, updates, 0) : scatter_min(base, at, updates, 0);
      const array first = slice(found, {0, 0}, {4, 1});
      const double least = greatest ? 4 : -infinity;
      expect_array(real(take(first, array({0, 3}), 0)), {2, 1}, float32, {1, least});
      expect_array(imag(take(first, array({0, 3}), 0)), {2, 1}, float32,
                   {greatest ? 3.0 : -7.0, greatest ? 4.0 : 1.0});
      expect_array(isnan(first), {4, 1}, bool_, {0, 1, 1, 0});
      EXPECT_TRUE(array_equal(found, broadcast_to(first, found.shape()), true).item<bool>());
    }
  }
}

TEST(Scatter, Errors) {
  const array a = zeros({4, 4});
  for (const Mode& mode : modes) {
    const std::string prefix = "[scatter_" + mode.name + "]";
    expect_error([&] { mode.scatter(a, {array({1}, int32)}, zeros({2, 1, 1}), {0}, {}); }, prefix);
    expect_error([&] { mode.scatter(a, {array({1}, int32)}, zeros({1}), {0}, {}); }, prefix);
    expect_error([&] { mode.scatter(a, {zeros({1})}, zeros({1, 1, 1}), {0}, {}); }, prefix);
    expect_error([&] { mode.scatter(a, {array({1}, int32)}, zeros({1, 1, 1}), {2}, {}); }, prefix);
  }
}

}  // namespace
}  // namespace lazuli::test
