// Cumulative sums of exponentials, as logarithms, against sums in long double.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "helpers.h"

namespace lazuli::test {
namespace {

/// A row of n elements; the seed makes rows differ.
using Row = std::function<std::vector<double>(int64_t n, int seed)>;

double noise(int64_t i, int seed) {
  return std::sin(12.9898 * static_cast<double>(i % 10007) + 78.233 * seed);
}

const std::vector<std::pair<std::string, Row>> rows_to_try{
    {"level",
     [](int64_t n, int seed) {
       std::vector<double> row;
       for (int64_t i = 0; i < n; ++i) row.push_back(3 * noise(i, seed));
       return row;
     }},
    {"far apart",
     [](int64_t n, int seed) {
       std::vector<double> row;
       for (int64_t i = 0; i < n; ++i) row.push_back(90 * noise(i, seed));
       return row;
     }},
    {"steep",
     [](int64_t n, int seed) {
       std::vector<double> row;
       for (int64_t i = 0; i < n; ++i) row.push_back(11.0 * static_cast<double>(i) + seed);
       return row;
     }},
    {"falling",
     [](int64_t n, int seed) {
       std::vector<double> row;
       for (int64_t i = 0; i < n; ++i) row.push_back(40.0 - 7.5 * static_cast<double>(i) - seed);
       return row;
     }},
    {"rising in steps",
     [](int64_t n, int seed) {
       std::vector<double> row;
       for (int64_t i = 0; i < n; ++i) {
         row.push_back(-200 + 25 * static_cast<double>((i + seed) / 37) + noise(i, seed));
       }
       return row;
     }},
    {"one peak",
     [](int64_t n, int seed) {
       std::vector<double> row(static_cast<size_t>(n), -30);
       if (n > 0) row[static_cast<size_t>((n / 2 + seed) % n)] = 60;
       return row;
     }},
    {"nothing first",
     [](int64_t n, int seed) {
       std::vector<double> row;
       for (int64_t i = 0; i < n; ++i) row.push_back(i < n / 3 + seed ? -infinity : noise(i, seed));
       return row;
     }},
    {"nothing between",
     [](int64_t n, int seed) {
       std::vector<double> row;
       for (int64_t i = 0; i < n; ++i) row.push_back((i + seed) % 3 == 1 ? -infinity : noise(i, seed));
       return row;
     }},
    {"infinite",
     [](int64_t n, int seed) {
       std::vector<double> row;
       for (int64_t i = 0; i < n; ++i) row.push_back(i % 29 == 20 + seed ? infinity : noise(i, seed));
       return row;
     }},
    {"not numbers",
     [](int64_t n, int seed) {
       std::vector<double> row;
       for (int64_t i = 0; i < n; ++i) {
         row.push_back(i == n * 2 / 3 + seed ? not_a_number : i % 5 == 0 ? -infinity : noise(i, seed));
       }
       return row;
     }},
    {"large",
     [](int64_t n, int seed) {
       std::vector<double> row;
       for (int64_t i = 0; i < n; ++i) row.push_back(i % 2 == seed % 2 ? 60000.0 : -60000.0);
       return row;
     }},
};

/// Results are within the rounding of their dtype of the exact ones, and of their sums, which grow.
void expect_logarithms(const array& found, const array& x, int outer, int length, int inner, bool reverse,
                       bool inclusive, const std::string& what) {
  const std::vector<double> in = doubles(x);
  const std::vector<double> got = doubles(found);
  ASSERT_EQ(got.size(), in.size());
  const Dtype dtype = found.dtype();
  const double own = rounding_of(dtype);
  const double computed = rounding_of(dtype == float64 ? float64 : float32);
  for (int o = 0; o < outer; ++o) {
    for (int j = 0; j < inner; ++j) {
      long double m = -infinity;
      long double s = 0;
      const auto add = [&](long double v) {
        if (std::isnan(v) || std::isnan(m)) {
          m = not_a_number;
        } else if (v > m) {
          s = (s == 0 ? 0 : s * std::exp(m - v)) + 1;
          m = v;
        } else if (v == m) {
          s += 1;
        } else {
          s += std::exp(v - m);
        }
      };
      for (int i = 0; i < length; ++i) {
        const auto at = static_cast<size_t>((o * length + (reverse ? length - 1 - i : i)) * inner + j);
        if (inclusive) add(in[at]);
        const auto expected = static_cast<double>(std::isinf(m) ? m : m + std::log(s));
        if (!inclusive) add(in[at]);
        if (std::isnan(expected) || std::isinf(expected)) {
          ASSERT_EQ(std::isnan(got[at]), std::isnan(expected)) << what << " element " << at;
          if (std::isinf(expected)) {
            ASSERT_EQ(got[at], expected) << what << " element " << at;
          }
          continue;
        }
        const double allowed = own * std::abs(expected) + 16 * computed * (1 + std::abs(expected) / 2);
        ASSERT_NEAR(got[at], expected, allowed) << what << " element " << at;
      }
    }
  }
}

void check(const Row& row, const std::string& name, Dtype dtype, int outer, int length, int inner) {
  std::vector<double> values(static_cast<size_t>(outer) * length * inner);
  for (int o = 0; o < outer; ++o) {
    for (int j = 0; j < inner; ++j) {
      const std::vector<double> one = row(length, (o * inner + j) % 5);
      for (int i = 0; i < length; ++i) {
        values[static_cast<size_t>((o * length + i) * inner + j)] = one[static_cast<size_t>(i)];
      }
    }
  }
  const array x = make(values, {outer, length, inner}, dtype);
  for (const bool reverse : {false, true}) {
    for (const bool inclusive : {false, true}) {
      const array found = logcumsumexp(x, 1, reverse, inclusive);
      EXPECT_EQ(found.dtype(), dtype);
      expect_logarithms(found, x, outer, length, inner, reverse, inclusive,
                        name + " " + std::string(dtype_name(dtype)) + " " + shape_to_string(x.shape()) +
                            (reverse ? " reverse" : "") + (inclusive ? "" : " exclusive"));
    }
  }
}

TEST(LogCumSumExp, RowsOfEveryKind) {
  for (const auto& [name, row] : rows_to_try) {
    for (const Dtype dtype : {float32, float64, float16, bfloat16}) {
      for (const int length : {1, 3, 8, 31, 32, 33, 64, 65, 130, 517, 2000}) {
        check(row, name, dtype, 3, length, 1);
      }
    }
  }
}

TEST(LogCumSumExp, ColumnsOfEveryKind) {
  for (const auto& [name, row] : rows_to_try) {
    for (const Dtype dtype : {float32, float64, float16, bfloat16}) {
      for (const int inner : {2, 8, 9, 16, 33}) check(row, name, dtype, 2, 150, inner);
    }
    check(row, name, float32, 1, 70, 1300);
    check(row, name, float64, 1, 5, 700);
  }
}

TEST(LogCumSumExp, SharedByThreads) {
  const int usual = num_threads();
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    for (const auto& [name, row] : rows_to_try) {
      if (name == "steep" || name == "falling" || name == "rising in steps") continue;
      check(row, name, float64, 1, 300007, 1);
      check(row, name, float64, 1, 70000, 3);
    }
  }
  set_num_threads(usual);
}

/// A sum to which each element adds less than half a unit in its last place still grows.
TEST(LogCumSumExp, MillionsOfEqualElements) {
  constexpr int length = 1 << 22;
  const double expected = std::log(static_cast<double>(length)) + 0.3;
  for (const auto& shape : {Shape{length, 1}, Shape{length, 2}}) {
    const array found = logcumsumexp(full(shape, array(0.3f)), 0);
    EXPECT_NEAR(doubles(found).back(), expected, 1e-5);
  }
}

TEST(LogCumSumExp, FirstElementsAreExact) {
  const array x = make({0.1, -300.7, 1e30, 3e-20, -0.3}, {5, 1});
  expect_array(logcumsumexp(x, 1), {5, 1}, float32, doubles(x));
  expect_array(logcumsumexp(transpose(x), 0), {1, 5}, float32, doubles(x));
}

TEST(LogCumSumExp, Views) {
  const array x = make_numbers({6, 40});
  for (const array& view : {flip(x, 1), transpose(x), slice(x, {1, 3}, {6, 38}, {2, 5}),
                            broadcast_to(make_numbers({1, 40}), {6, 40})}) {
    for (const int axis : {0, 1}) {
      expect_array(logcumsumexp(view, axis), view.shape(), float32,
                   doubles(logcumsumexp(contiguous(view), axis)));
    }
  }
  EXPECT_EQ(logcumsumexp(zeros({0, 3}), 0).shape(), (Shape{0, 3}));
  EXPECT_EQ(logcumsumexp(zeros({3, 0}), 1).shape(), (Shape{3, 0}));
}

TEST(LogCumSumExp, GradientsOfHalvesAreComputedInSingles) {
  const array x = make_numbers({3, 300}, float32, 4);
  const auto f = [](const array& a) { return sum(logcumsumexp(a, 1)); };
  for (const Dtype dtype : {float16, bfloat16}) {
    const array rounded = astype(x, dtype);
    const array found = grad(std::function<array(const array&)>(f))(rounded);
    const array exact = grad(std::function<array(const array&)>(f))(astype(rounded, float32));
    EXPECT_EQ(found.dtype(), dtype);
    expect_array(found, {3, 300}, dtype, doubles(exact), 300 * rounding_of(dtype));
  }
}

TEST(LogCumSumExp, GradientsWhereThereIsNothing) {
  const array x = make({-infinity, -infinity, 1, -infinity, 1}, {5});
  for (const bool reverse : {false, true}) {
    const auto f = [&](const array& a) { return slice(logcumsumexp(a, reverse), {4}, {5}); };
    const array found =
        grad(std::function<array(const array&)>([&](const array& a) { return sum(f(a)); }))(x);
    expect_array(found, {5}, float32,
                 reverse ? std::vector<double>{0, 0, 0, 0, 1} : std::vector<double>{0, 0, 0.5, 0, 0.5}, 1e-6);
  }
}

}  // namespace
}  // namespace lazuli::test
