// Whole rows that are added, multiplied or compared at places given by indices, against a loop.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "helpers.h"

namespace lazuli::test {
namespace {

using Scatter = array (*)(const array&, const std::vector<array>&, const array&, const std::vector<int>&);

struct Mode {
  std::string name;
  Scatter function;
  double (*combine)(double, double);
};

const std::vector<Mode> modes{
    {"add",
     [](const array& a, const std::vector<array>& i, const array& u, const std::vector<int>& axes) {
       return scatter_add(a, i, u, axes);
     },
     [](double a, double b) { return a + b; }},
    {"prod",
     [](const array& a, const std::vector<array>& i, const array& u, const std::vector<int>& axes) {
       return scatter_prod(a, i, u, axes);
     },
     [](double a, double b) { return a * b; }},
    {"max",
     [](const array& a, const std::vector<array>& i, const array& u, const std::vector<int>& axes) {
       return scatter_max(a, i, u, axes);
     },
     [](double a, double b) { return std::isnan(a) || a > b ? a : b; }},
    {"min",
     [](const array& a, const std::vector<array>& i, const array& u, const std::vector<int>& axes) {
       return scatter_min(a, i, u, axes);
     },
     [](double a, double b) { return std::isnan(a) || a < b ? a : b; }},
};

/// Whole numbers, few of them for products, so that sums and products are exact.
array few(const Shape& shape, Dtype dtype, bool for_products, int seed) {
  std::vector<double> values;
  for (int64_t i = 0; i < element_count(shape); ++i) {
    const auto k = (i * 7 + seed) % 23;
    values.push_back(for_products ? (k == 3 ? 2 : k == 5 && seed > 1 ? 0 : 1) : static_cast<double>(k % 5));
  }
  return make(values, shape, dtype);
}

/// Of `count` updates, where each one goes: everywhere, or for skewed ones nearly all to one row.
std::vector<double> places_of(int count, int rows, bool is_skewed) {
  std::vector<double> places;
  for (int i = 0; i < count; ++i) {
    const int place = is_skewed && i % 11 != 0 ? rows / 2 : (i * 5 + i / 7) % rows;
    places.push_back(i % 3 == 0 ? place - rows : place);
  }
  return places;
}

void check(const Mode& mode, const array& base, const array& updates, const std::vector<double>& places,
           const std::string& what) {
  const int rows = base.shape(0);
  const int size = base.shape(1);
  const array index = make(places, {static_cast<int>(places.size())}, int32);
  const array found = mode.function(base, {index}, expand_dims(updates, 1), {0});
  std::vector<double> expected = doubles(base);
  const std::vector<double> values = doubles(updates);
  for (size_t i = 0; i < places.size(); ++i) {
    const auto row = static_cast<size_t>(places[i] < 0 ? places[i] + rows : places[i]);
    for (size_t j = 0; j < static_cast<size_t>(size); ++j) {
      double& to = expected[row * static_cast<size_t>(size) + j];
      to = mode.combine(to, values[i * static_cast<size_t>(size) + j]);
    }
  }
  expect_array(found, {rows, size}, base.dtype(), expected, 0, mode.name + " " + what);
}

TEST(ScatterRows, EveryModeAndDtype) {
  for (const Mode& mode : modes) {
    for (const Dtype dtype : {float32, float64, float16, bfloat16, int8, uint8, int16, uint32, int64}) {
      for (const int size : {15, 16, 17, 100}) {
        const bool for_products = mode.name == "prod";
        check(mode, few({7, size}, dtype, for_products, 1), few({20, size}, dtype, for_products, 2),
              places_of(20, 7, false), std::string(dtype_name(dtype)) + " " + std::to_string(size));
      }
    }
  }
}

TEST(ScatterRows, ManyShapes) {
  const int usual = num_threads();
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    for (const bool is_skewed : {false, true}) {
      for (const auto& [rows, count, size] : std::vector<std::tuple<int, int, int>>{{1, 1, 16},
                                                                                    {1, 50, 40},
                                                                                    {300, 3, 64},
                                                                                    {5, 400, 1024},
                                                                                    {40, 90, 1025},
                                                                                    {3, 9, 5000},
                                                                                    {1, 2, 70000},
                                                                                    {1000, 2000, 33},
                                                                                    {4, 0, 20}}) {
        check(modes[0], few({rows, size}, float32, false, 1), few({count, size}, float32, false, 2),
              places_of(count, rows, is_skewed),
              std::to_string(rows) + " " + std::to_string(count) + " " + std::to_string(size) +
                  (is_skewed ? " skewed" : ""));
      }
    }
  }
  set_num_threads(usual);
}

/// Onto one element that is repeated, and onto other views.
TEST(ScatterRows, BasesThatAreViews) {
  const std::vector<double> places = places_of(30, 6, false);
  for (const Dtype dtype : {float32, bfloat16}) {
    const array updates = few({30, 48}, dtype, false, 2);
    for (const Mode& mode : modes) {
      if (mode.name == "prod") continue;
      for (const array& base :
           {zeros({6, 48}, dtype), broadcast_to(array(3.0f, dtype), {6, 48}),
            full({6, 48}, array(1.0f), dtype), broadcast_to(few({1, 48}, dtype, false, 1), {6, 48}),
            transpose(few({48, 6}, dtype, false, 1)), flip(few({6, 48}, dtype, false, 1), 0),
            slice(few({12, 96}, dtype, false, 1), {0, 0}, {12, 96}, {2, 2})}) {
        check(mode, base, updates, places, std::string(dtype_name(dtype)));
      }
    }
    // Single elements, too.
    const array base = broadcast_to(array(2.0f, dtype), {50});
    const array found = scatter_add(base, {make({3, 3, 49}, {3}, int32)}, ones({3, 1}, dtype), {0});
    std::vector<double> expected(50, 2);
    expected[3] = 4;
    expected[49] = 3;
    expect_array(found, {50}, dtype, expected);
  }
}

TEST(ScatterRows, NotNumbersAndInfinities) {
  const array updates = make(
      [] {
        std::vector<double> values(3 * 20, 1);
        values[4] = not_a_number;
        values[25] = infinity;
        values[45] = -infinity;
        return values;
      }(),
      {3, 20});
  for (const Mode& mode : modes) {
    check(mode, few({2, 20}, float32, false, 1), updates, {1, 1, 0}, "not finite");
  }
}

TEST(ScatterRows, GradientsOfGathersAddRows) {
  const array table = make_numbers({9, 64});
  const array index = make({4, 0, 4, 8, 4}, {5}, int32);
  const array weights = make_numbers({5, 64});
  const array found = grad(std::function<array(const array&)>(
      [&](const array& a) { return sum(take(a, index, 0) * weights); }))(table);
  std::vector<double> expected(9 * 64, 0);
  const std::vector<double> w = doubles(weights);
  const std::vector<double> places = doubles(index);
  for (size_t i = 0; i < 5; ++i) {
    for (size_t j = 0; j < 64; ++j) expected[static_cast<size_t>(places[i]) * 64 + j] += w[i * 64 + j];
  }
  expect_array(found, {9, 64}, float32, expected, 1e-6);
}

}  // namespace
}  // namespace lazuli::test
