// Slices, updates, and other parts of arrays.

#include "helpers.h"

namespace lazuli::test {
namespace {

/// What Python's slice gives along one axis.
std::vector<int> python_range(int extent, int start, int stop, int step) {
  const auto bound = [&](int value) {
    if (value < 0) value += extent;
    const int low = step > 0 ? 0 : -1;
    const int high = step > 0 ? extent : extent - 1;
    return std::min(std::max(value, low), high);
  };
  std::vector<int> result;
  for (int i = bound(start); step > 0 ? i < bound(stop) : i > bound(stop); i += step) result.push_back(i);
  return result;
}

TEST(Slicing, FollowsPythonsRules) {
  const array a = counting({7});
  for (int start = -9; start <= 9; ++start) {
    for (int stop = -9; stop <= 9; ++stop) {
      for (int step : {1, 2, 3, -1, -2}) {
        std::vector<double> expected;
        for (int i : python_range(7, start, stop, step)) expected.push_back(i);
        expect_array(slice(a, Shape{start}, Shape{stop}, Shape{step}), {static_cast<int>(expected.size())},
                     float32, expected, 0,
                     std::to_string(start) + ":" + std::to_string(stop) + ":" + std::to_string(step));
      }
    }
  }
}

TEST(Slicing, SeveralAxesAndSlicesOfSlices) {
  const array a = counting({4, 5, 6});
  const array part = slice(a, {1, 4, 0}, {4, -6, 6}, {2, -2, 3});
  std::vector<double> expected;
  for (int i : {1, 3}) {
    for (int j : {4, 2, 0}) {
      for (int k : {0, 3}) expected.push_back((i * 5 + j) * 6 + k);
    }
  }
  expect_array(part, {2, 3, 2}, float32, expected);
  expect_array(slice(part, {1, 0, 1}, {2, 3, 2}), {1, 3, 1}, float32,
               {expected[7], expected[9], expected[11]});
  expect_array(slice(transpose(a), {0, 0, 0}, {1, 1, 4}), {1, 1, 4}, float32, {0, 30, 60, 90});
  expect_array(slice(a, {0, 0, 0}, {4, 5, 6}), {4, 5, 6}, float32, doubles(a));
  expect_array(slice(array(1.0f), Shape{}, Shape{}), {}, float32, {1});
  expect_error([&] { slice(a, {0}, {1}); }, "[slice]");
  expect_error([&] { slice(a, {0, 0, 0}, {1, 1, 1}, {1, 0, 1}); }, "[slice]");
}

TEST(Slicing, DynamicStarts) {
  const array a = counting({4, 6});
  expect_array(slice(a, array({1, 2}, int32), {0, 1}, {2, 3}), {2, 3}, float32, {8, 9, 10, 14, 15, 16});
  expect_array(slice(a, array(3), {1}, {4, 1}), {4, 1}, float32, {3, 9, 15, 21});
  expect_array(slice(a, array({2u}), {-2}, {1, 6}), {1, 6}, float32, {12, 13, 14, 15, 16, 17});
  // Beyond the last place that fits, and counted from the end.
  expect_array(slice(a, array(100), {1}, {1, 2}), {1, 2}, float32, {4, 5});
  expect_array(slice(a, array(-1), {0}, {1, 2}), {1, 2}, float32, {18, 19});
  expect_error([&] { slice(a, array(1.0f), {0}, {1, 1}); }, "[slice]");
  expect_error([&] { slice(a, array({1, 2}, int32), {0}, {1, 1}); }, "[slice]");
  expect_error([&] { slice(a, array(0), {0}, {5, 1}); }, "[slice]");
  expect_error([&] { slice(a, array(0), {2}, {1, 1}); }, "[slice]");
}

TEST(Slicing, Updates) {
  const array a = zeros({3, 4}, int32);
  const array b = make({1, 2, 3, 4}, {2, 2}, int32);
  expect_array(slice_update(a, b, {1, 1}, {3, 3}), {3, 4}, int32, {0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0});
  expect_array(slice_update(a, b, {0, 0}, {3, 4}, {2, 3}), {3, 4}, int32,
               {1, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 4});
  expect_array(slice_update(a, b, {2, 3}, {0, -5}, {-1, -2}), {3, 4}, int32,
               {0, 0, 0, 0, 0, 4, 0, 3, 0, 2, 0, 1});
  expect_array(slice_update(a, array(7.9f), {0, 0}, {1, 4}), {3, 4}, int32,
               {7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0});
  expect_array(slice_update(a, array(5), {0, 0}, {3, 4}), {3, 4}, int32, std::vector<double>(12, 5));
  expect_array(a, {3, 4}, int32, std::vector<double>(12, 0));
  expect_error([&] { slice_update(a, b, {0, 0}, {1, 1}); }, "[broadcast_to]");
  expect_error([&] { slice_update(a, b, {0}, {1}); }, "[slice_update]");
}

TEST(Slicing, DynamicUpdates) {
  const array a = zeros({3, 4});
  const array row = make({1, 2}, {1, 2});
  expect_array(slice_update(a, row, array({2, 1}, int32), {0, 1}), {3, 4}, float32,
               {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0});
  expect_array(slice_update(a, row, array(5), {1}), {3, 4}, float32, {0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0});
  expect_array(slice_update(a, make({8, 9}, {2}), array(1), {0}), {3, 4}, float32,
               {0, 0, 0, 0, 8, 9, 0, 0, 0, 0, 0, 0});
  expect_error([&] { slice_update(a, zeros({1, 1, 2}), array(1), {0}); }, "[slice_update]");
  expect_error([&] { slice_update(a, zeros({4, 2}), array(1), {0}); }, "[slice_update]");
}

TEST(Slicing, DynamicUpdatesGrowACacheInPlace) {
  const CompiledFunction step = compile([](const std::vector<array>& in) {
    return std::vector<array>{slice_update(in[0], in[1], in[2], {1}), in[2] + array(1)};
  });
  std::vector<array> state{zeros({2, 5, 3}), array(0)};
  eval(state);
  for (int i = 0; i < 5; ++i) {
    const array rows = full({2, 1, 3}, static_cast<float>(i + 1));
    std::vector<array> in{std::move(state[0]), rows, std::move(state[1])};
    state = step(std::move(in));
  }
  std::vector<double> expected;
  for (int b = 0; b < 2; ++b) {
    for (int i = 0; i < 5; ++i) expected.insert(expected.end(), 3, i + 1);
  }
  expect_array(state[0], {2, 5, 3}, float32, expected);
  expect_array(state[1], {}, int32, {5});
}

TEST(Slicing, Split) {
  const array a = counting({6, 2});
  const std::vector<array> halves = split(a, 2);
  ASSERT_EQ(halves.size(), 2u);
  expect_array(halves[1], {3, 2}, float32, {6, 7, 8, 9, 10, 11});
  const std::vector<array> parts = split(a, {1, 4}, 0);
  ASSERT_EQ(parts.size(), 3u);
  expect_array(parts[0], {1, 2}, float32, {0, 1});
  expect_array(parts[1], {3, 2}, float32, {2, 3, 4, 5, 6, 7});
  expect_array(parts[2], {2, 2}, float32, {8, 9, 10, 11});
  expect_array(split(a, 2, -1)[1], {6, 1}, float32, {1, 3, 5, 7, 9, 11});
  const std::vector<array> rows = unstack(counting({2, 3}));
  expect_array(rows[1], {3}, float32, {3, 4, 5});
  expect_array(unstack(counting({2, 3}), 1)[2], {2}, float32, {2, 5});
  expect_error([&] { split(a, 4); }, "[split]");
  expect_error([&] { split(a, 0); }, "[split]");
  expect_error([&] { split(a, 2, 2); }, "[split]");
}

TEST(Slicing, Diagonals) {
  const array a = counting({3, 4});
  expect_array(diagonal(a), {3}, float32, {0, 5, 10});
  expect_array(diagonal(a, 2), {2}, float32, {2, 7});
  expect_array(diagonal(a, -1), {2}, float32, {4, 9});
  expect_array(diagonal(a, 9), {0}, float32, {});
  expect_array(diagonal(counting({2, 3, 2}), 0, 0, 2), {3, 2}, float32, {0, 7, 2, 9, 4, 11});
  expect_array(diag(a, 1), {3}, float32, {1, 6, 11});
  expect_array(diag(make({1, 2}, {2})), {2, 2}, float32, {1, 0, 0, 2});
  expect_array(diag(make({1, 2}, {2}), -1), {3, 3}, float32, {0, 0, 0, 1, 0, 0, 0, 2, 0});
  expect_array(diag(make({1}, {1}, int8), 1), {2, 2}, int8, {0, 1, 0, 0});
  expect_array(trace(a), {}, float32, {15});
  expect_array(trace(a, 1, 0, 1, int32), {}, int32, {18});
  expect_error([&] { diagonal(a, 0, 1, 1); }, "[diagonal]");
  expect_error([&] { diagonal(counting({3})); }, "[diagonal]");
  expect_error([&] { diag(counting({1, 1, 1})); }, "[diag]");
}

TEST(Slicing, AsStrided) {
  const array a = counting({12});
  expect_array(as_strided(a, {3, 3}, {3, 1}, 1), {3, 3}, float32, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  expect_array(as_strided(a, {3, 2}, {1, 0}, 2), {3, 2}, float32, {2, 2, 3, 3, 4, 4});
  expect_array(as_strided(a, {4}, {-2}, 11), {4}, float32, {11, 9, 7, 5});
  expect_array(as_strided(transpose(counting({2, 2})), {4}, {1}, 0), {4}, float32, {0, 2, 1, 3});
  expect_error([&] { as_strided(a, {3, 2}, {1}, 0); }, "[as_strided]");
}

}  // namespace
}  // namespace lazuli::test
