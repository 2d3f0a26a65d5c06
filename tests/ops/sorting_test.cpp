// Sorting, positions, partitions, medians and binary search, against the standard library.

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "helpers.h"

namespace lazuli::test {
namespace {

const std::vector<Dtype> real_dtypes{bool_, uint8, uint16,  uint32,   uint64,  int8,   int16,
                                     int32, int64, float16, bfloat16, float32, float64};

/// Whether a comes before b: NaN is last.
bool before(double a, double b) {
  if (std::isnan(a)) return false;
  return std::isnan(b) || a < b;
}

/// For each row of `length` numbers the positions in order.
std::vector<double> positions_in_order(const std::vector<double>& all, int length) {
  std::vector<double> result;
  for (size_t row = 0; row + static_cast<size_t>(length) <= all.size() && length > 0;
       row += static_cast<size_t>(length)) {
    std::vector<int> order(static_cast<size_t>(length));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int i, int j) {
      return before(all[row + static_cast<size_t>(i)], all[row + static_cast<size_t>(j)]);
    });
    result.insert(result.end(), order.begin(), order.end());
  }
  return result;
}

std::vector<double> in_order(std::vector<double> all, int length) {
  for (auto row = all.begin(); row != all.end(); row += length) std::stable_sort(row, row + length, before);
  return all;
}

/// Numbers with many that are equal, some of them NaN, infinite, or a zero of either sign.
std::vector<double> awkward(int count, Dtype dtype) {
  std::vector<double> result;
  uint32_t state = 12345;
  for (int i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    double value = static_cast<double>(state >> 16 & 0xff) - (issubdtype(dtype, unsignedinteger) ? 0 : 128);
    if (issubdtype(dtype, floating)) {
      const double special[] = {not_a_number, -not_a_number, infinity, -infinity, -0.0, 0.0, 1e-7, -1e-7};
      if ((state >> 8 & 7) == 0) value = special[state >> 11 & 7];
    }
    result.push_back(value);
  }
  return doubles(make(result, {count}, dtype));
}

void expect_sorted(const array& a, Dtype dtype, int rows, int length) {
  const std::vector<double> elements = doubles(a);
  const std::string what =
      std::string(dtype_name(dtype)) + " " + std::to_string(rows) + " x " + std::to_string(length);
  expect_array(sort(a, -1), {rows, length}, dtype, in_order(elements, length), 0, what);
  expect_array(argsort(a, -1), {rows, length}, uint32, positions_in_order(elements, length), 0, what);
}

TEST(Sort, EveryDtypeAndLength) {
  for (const Dtype dtype : real_dtypes) {
    for (const int length : {1, 2, 3, 5, 8, 17, 64, 100, 511, 512, 513, 2000}) {
      for (const int rows : {1, 3, 21}) {
        expect_sorted(make(awkward(rows * length, dtype), {rows, length}, dtype), dtype, rows, length);
      }
    }
  }
}

TEST(Sort, LongRows) {
  for (const Dtype dtype : {uint8, int16, bfloat16, int32, float32, int64, float64}) {
    for (const int rows : {1, 2, 9}) {
      expect_sorted(make(awkward(rows * 70001, dtype), {rows, 70001}, dtype), dtype, rows, 70001);
    }
  }
  // Numbers over the whole range, so that every digit differs.
  const array wide = view(random::bits({200000}, random::key(3)), float32);
  expect_sorted(expand_dims(wide, 0), float32, 1, 200000);
  const array wider = view(random::bits({200000}, random::key(4)), int64);
  std::vector<int64_t> expected = values<int64_t>(wider);
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(values<int64_t>(sort(wider)), expected);
}

TEST(Sort, OrderedAndEqualRows) {
  const array up = counting({100000});
  expect_array(sort(up), {100000}, float32, doubles(up));
  expect_array(argsort(up), {100000}, uint32, doubles(up));
  expect_array(sort(flip(up)), {100000}, float32, doubles(up));
  expect_array(argsort(full({100000}, 7)), {100000}, uint32, doubles(up));
}

TEST(Sort, DoesNotDependOnTheNumberOfThreads) {
  const int usual = num_threads();
  const array x = make(awkward(300000, float32), {300000});
  const std::vector<double> expected = positions_in_order(doubles(x), 300000);
  for (const int threads : {1, 2, 3, 5}) {
    set_num_threads(threads);
    expect_array(argsort(x), {300000}, uint32, expected);
  }
  set_num_threads(usual);
}

TEST(Sort, ZerosAndNotANumber) {
  const array x = make({0.0, -0.0, -not_a_number, 0.0, not_a_number, -0.0, -1}, {7});
  expect_array(argsort(x), {7}, uint32, {6, 0, 1, 3, 5, 2, 4});
  expect_array(sort(x), {7}, float32, {-1, 0, 0, 0, 0, not_a_number, not_a_number});
}

TEST(Sort, ComplexNumbers) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<complex64_t> elements{{2, 1},   {1, 5},     {nan, 0}, {1, -3},
                                          {0, nan}, {-0.0f, 2}, {0, 1},   {1, 5}};
  const array x(elements.begin(), {8});
  expect_array(argsort(x), {8}, uint32, {6, 5, 3, 1, 7, 0, 2, 4});
  expect_array(real(sort(x)), {8}, float32, {0, 0, 1, 1, 1, 2, not_a_number, 0});
  expect_array(imag(sort(x)), {8}, float32, {1, 2, -3, 5, 5, 1, 0, not_a_number});
}

TEST(Sort, Axes) {
  const array x = make_numbers({3, 4, 5});
  for (int axis = -3; axis < 3; ++axis) {
    const array rows = moveaxis(x, axis, -1);
    const int length = rows.shape(-1);
    const array expected = moveaxis(make(in_order(doubles(rows), length), rows.shape()), -1, axis);
    expect_array(sort(x, axis), {3, 4, 5}, float32, doubles(expected));
    expect_array(take_along_axis(x, argsort(x, axis), axis), {3, 4, 5}, float32, doubles(expected));
  }
  expect_array(sort(x), {60}, float32, in_order(doubles(x), 60));
  expect_array(argsort(x), {60}, uint32, positions_in_order(doubles(x), 60));
}

TEST(Sort, Views) {
  const array x = make_numbers({6, 8});
  const array reversed = slice(x, {5, 7}, {-7, -9}, {-2, -3});
  expect_array(sort(reversed, 0), {3, 3}, float32,
               doubles(transpose(sort(contiguous(transpose(reversed)), -1))));
  expect_array(argsort(broadcast_to(make({2, 1, 3}, {3}), {2, 3}), -1), {2, 3}, uint32, {1, 0, 2, 1, 0, 2});
}

TEST(Sort, NothingAndOneElement) {
  expect_array(sort(zeros({0})), {0}, float32, {});
  expect_array(sort(zeros({3, 0}), 0), {3, 0}, float32, {});
  expect_array(argsort(zeros({0, 3}), 0), {0, 3}, uint32, {});
  expect_array(sort(array(3.0f)), {1}, float32, {3});
  expect_array(argsort(make({5}, {1, 1}), 0), {1, 1}, uint32, {0});
}

TEST(Sort, Partitions) {
  const array x = make_numbers({4, 50});
  for (const int kth : {0, 7, 49, -1, -50}) {
    const std::vector<double> sorted = doubles(sort(x, -1));
    const std::vector<double> found = doubles(partition(x, kth, -1));
    const std::vector<double> through = doubles(take_along_axis(x, argpartition(x, kth, -1), -1));
    EXPECT_EQ(found, through);
    const int place = kth < 0 ? kth + 50 : kth;
    for (int row = 0; row < 4; ++row) {
      const auto begin = found.begin() + row * 50;
      EXPECT_EQ(begin[place], sorted[static_cast<size_t>(row * 50 + place)]);
      for (int i = 0; i < 50; ++i) {
        EXPECT_TRUE(i < place ? begin[i] <= begin[place] : begin[i] >= begin[place]) << i;
      }
    }
  }
  std::vector<double> best = doubles(topk(x, 3, 1));
  const std::vector<double> sorted = doubles(sort(x, 1));
  for (int row = 0; row < 4; ++row) {
    std::sort(best.begin() + row * 3, best.begin() + row * 3 + 3);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(best[static_cast<size_t>(row * 3 + i)], sorted[static_cast<size_t>(row * 50 + 47 + i)]);
    }
  }
  EXPECT_EQ(topk(x, 200).shape(), Shape{200});
  EXPECT_EQ(topk(x, 0).shape(), Shape{0});
  EXPECT_EQ(partition(x, 11).shape(), Shape{200});
  EXPECT_EQ(argpartition(x, 11).dtype(), uint32);
}

TEST(Sort, Errors) {
  const array x = zeros({2, 3});
  expect_error([&] { sort(x, 2); }, "[sort]");
  expect_error([&] { argsort(x, -3); }, "[argsort]");
  expect_error([&] { sort(array(1.0f), 0); }, "[sort]");
  expect_error([&] { partition(x, 3, 1); }, "[partition]");
  expect_error([&] { partition(x, -7); }, "[partition]");
  expect_error([&] { argpartition(x, 2, 0); }, "[argpartition]");
  expect_error([&] { topk(x, 4, 1); }, "[topk]");
  expect_error([&] { topk(x, -1, 1); }, "[topk]");
  expect_error([&] { topk(x, 1, 2); }, "[topk]");
}

TEST(Sort, InACompiledFunction) {
  const CompiledFunction f = compile([](const std::vector<array>& in) {
    return std::vector<array>{sort(in[0] * 2.0f, -1) + 1.0f, argsort(in[0], 0), median(in[0], 1)};
  });
  for (const int n : {2, 5, 40}) {
    const array x = make_numbers({n, n + 1});
    const std::vector<array> found = f({x});
    expect_array(found[0], {n, n + 1}, float32, doubles(sort(x * 2.0f, -1) + 1.0f));
    expect_array(found[1], {n, n + 1}, uint32, doubles(argsort(x, 0)));
    expect_array(found[2], {n}, float32, doubles(median(x, 1)));
  }
  EXPECT_EQ(f.trace_count(), 1);
}

TEST(SearchSorted, EveryDtype) {
  for (const Dtype dtype : real_dtypes) {
    for (const int length : {0, 1, 2, 3, 10, 1000}) {
      const std::vector<double> sequence =
          length == 0 ? std::vector<double>{} : in_order(awkward(length, dtype), length);
      const std::vector<double> wanted = awkward(60, dtype);
      std::vector<double> left, right;
      for (const double value : wanted) {
        left.push_back(static_cast<double>(std::lower_bound(sequence.begin(), sequence.end(), value, before) -
                                           sequence.begin()));
        right.push_back(static_cast<double>(
            std::upper_bound(sequence.begin(), sequence.end(), value, before) - sequence.begin()));
      }
      const array a = make(sequence, {length}, dtype);
      const array v = make(wanted, {5, 12}, dtype);
      expect_array(searchsorted(a, v), {5, 12}, uint32, left, 0, std::string(dtype_name(dtype)));
      expect_array(searchsorted(a, v, "right"), {5, 12}, uint32, right, 0, std::string(dtype_name(dtype)));
    }
  }
}

TEST(SearchSorted, ShapesAndErrors) {
  const array a = make({1, 2, 2, 4}, {4}, int32);
  expect_array(searchsorted(a, array(2.5f)), {}, uint32, {3});
  expect_array(searchsorted(a, zeros({0, 2})), {0, 2}, uint32, {});
  expect_array(searchsorted(slice(flip(a), {3}, {-5}, {-1}), transpose(make({0, 2, 4, 9}, {2, 2}))), {2, 2},
               uint32, {0, 3, 1, 4});
  expect_error([&] { searchsorted(zeros({2, 2}), a); }, "[searchsorted]");
  expect_error([&] { searchsorted(array(1.0f), a); }, "[searchsorted]");
  expect_error([&] { searchsorted(a, a, "middle"); }, "[searchsorted]");
}

TEST(SearchSorted, Batches) {
  const array rows = sort(make_numbers({3, 20}), -1);
  const array wanted = make_numbers({3, 2, 4});
  const auto find = std::function<array(const array&, const array&)>(
      [](const array& a, const array& v) { return searchsorted(a, v); });
  for (const bool both : {true, false}) {
    const array found = vmap(find, 0, both ? 0 : -1)(rows, both ? wanted : take(wanted, 0, 0));
    for (int i = 0; i < 3; ++i) {
      const array expected = searchsorted(take(rows, i, 0), take(wanted, both ? i : 0, 0));
      expect_array(take(found, i, 0), {2, 4}, uint32, doubles(expected));
    }
  }
  expect_array(vmap(find, -1, 0)(take(rows, 1, 0), wanted), {3, 2, 4}, uint32,
               doubles(searchsorted(take(rows, 1, 0), wanted)));
}

TEST(Median, OddAndEven) {
  expect_array(median(make({5, 1, 3}, {3})), {}, float32, {3});
  expect_array(median(make({5, 1, 3, 4}, {4})), {}, float32, {3.5});
  expect_array(median(make({5, 1, 3, 4}, {4}, int32)), {}, float32, {3.5});
  expect_array(median(make({5, 1, 2, 4}, {2, 2}, float16), true), {1, 1}, float16, {3});
  expect_array(median(make({3e38, 3.2e38}, {2})), {}, float32, {doubles(make({3.1e38}, {1}))[0]}, 1e-6);
  expect_array(median(array(7)), {}, float32, {7});
  expect_array(median(make({infinity, infinity, -infinity, infinity}, {4})), {}, float32, {infinity});
}

TEST(Median, Axes) {
  const array x = counting({2, 3, 4});
  expect_array(median(x, 1), {2, 4}, float32, {4, 5, 6, 7, 16, 17, 18, 19});
  expect_array(median(x, {0, 2}, true), {1, 3, 1}, float32, {7.5, 11.5, 15.5});
  expect_array(median(x, {2, 0}), {3}, float32, {7.5, 11.5, 15.5});
  expect_array(median(x, std::vector<int>{}), {2, 3, 4}, float32, doubles(x));
  expect_array(median(transpose(x)), {}, float32, {11.5});
}

TEST(Median, NotANumberAndErrors) {
  expect_array(median(make({1, not_a_number, 0, 2, 3, 4}, {2, 3}), 1), {2}, float32, {not_a_number, 3});
  expect_error([] { median(zeros({2, 0}), 1); }, "[median]");
  expect_error([] { median(zeros({2, 2}), 2); }, "[median]");
}

TEST(Median, OfComplexNumbers) {
  const std::vector<complex64_t> elements{{2, 1}, {1, 5}, {1, -3}, {0, 0}, {3, 3}, {1, not_a_number}};
  const array z(elements.begin(), {6});
  const auto expect_median = [](const array& of, double re, double im) {
    const array found = median(of);
    expect_array(real(found), {}, float32, {re});
    expect_array(imag(found), {}, float32, {im});
  };
  expect_median(slice(z, {0}, {3}), 1, 5);
  expect_median(slice(z, {0}, {4}), 1, 1);  // between 1-3i and 1+5i
  expect_median(slice(z, {0}, {5}), 1, 5);
  EXPECT_TRUE(isnan(median(z)).item<bool>());
}

}  // namespace
}  // namespace lazuli::test
