// Reading and writing at places that arrays of integers say.

#include "helpers.h"

namespace lazuli::test {
namespace {

TEST(Index, Take) {
  const array a = counting({3, 4});
  for (Dtype dtype : {int8, int32, int64, uint8, uint32, uint64}) {
    expect_array(take(a, make({2, 0}, {2}, dtype), 0), {2, 4}, float32, {8, 9, 10, 11, 0, 1, 2, 3});
    expect_array(take(a, make({3, 1, 1}, {3}, dtype), 1), {3, 3}, float32, {3, 1, 1, 7, 5, 5, 11, 9, 9});
  }
  expect_array(take(a, make({-1, -4}, {2}, int32), -1), {3, 2}, float32, {3, 0, 7, 4, 11, 8});
  expect_array(take(a, make({0, 2, 1, 1}, {2, 2}, int32), 0), {2, 2, 4}, float32,
               {0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 4, 5, 6, 7});
  expect_array(take(a, array(1), 0), {4}, float32, {4, 5, 6, 7});
  expect_array(take(a, make({5, 11}, {2}, int32)), {2}, float32, {5, 11});
  expect_array(take(a, 1, 0), {4}, float32, {4, 5, 6, 7});
  expect_array(take(a, -1, 1), {3}, float32, {3, 7, 11});
  expect_array(take(a, 7), {}, float32, {7});
  expect_array(take(transpose(a), make({1}, {1}, int32), 0), {1, 3}, float32, {1, 5, 9});
  expect_array(take(a, zeros({0}, int32), 0), {0, 4}, float32, {});
  expect_array(take(a + array(1.0f), make({2}, {1}, int32), 0) * array(2.0f), {1, 4}, float32,
               {18, 20, 22, 24});
  expect_error([&] { take(a, array(1.0f), 0); }, "[take]");
  expect_error([&] { take(a, 3, 0); }, "[take]");
  expect_error([&] { take(a, -4, 0); }, "[take]");
  expect_error([&] { take(a, array(1), 2); }, "[take]");
  expect_error([&] { take(zeros({0, 2}), array(0), 0); }, "[take]");
}

TEST(Index, TakeReadsIndicesThatAreComputed) {
  const array a = counting({5, 2});
  expect_array(take(a, arange(4, -1, -2), 0), {3, 2}, float32, {8, 9, 4, 5, 0, 1});
  expect_array(take(a, argmax(a, 0), 0), {2, 2}, float32, {8, 9, 8, 9});
  expect_array(take(a, flip(arange(5)), 0), {5, 2}, float32, {8, 9, 6, 7, 4, 5, 2, 3, 0, 1});
}

TEST(Index, AlongAnAxis) {
  const array a = counting({3, 4});
  const array columns = make({3, 0, 1, 1, -1, 2}, {3, 2}, int32);
  expect_array(take_along_axis(a, columns, 1), {3, 2}, float32, {3, 0, 5, 5, 11, 10});
  expect_array(take_along_axis(a, make({2, 0, 1, 0}, {1, 4}, int32), 0), {1, 4}, float32, {8, 1, 6, 3});
  // Both broadcast along other axes.
  expect_array(take_along_axis(a, make({3}, {1, 1}, int32), 1), {3, 1}, float32, {3, 7, 11});
  expect_array(take_along_axis(counting({1, 4}), columns, 1), {3, 2}, float32, {3, 0, 1, 1, 3, 2});
  expect_error([&] { take_along_axis(a, make({1}, {1}, int32), 0); }, "[take_along_axis]");
  expect_error([&] { take_along_axis(a, zeros({3, 4}), 0); }, "[take_along_axis]");
  const array nothing = zeros({3, 0});
  expect_error([&] { take_along_axis(nothing, zeros({3, 1}, int32), 1); }, "[take_along_axis]");
  expect_error([&] { put_along_axis(nothing, zeros({3, 1}, int32), array(1.0f), 1); }, "[put_along_axis]");
  expect_error(
      [&] {
        scatter_add_axis(nothing, zeros({3, 1}, int32), array(1.0f), 1);
      },
      "[scatter_add_axis]");
  EXPECT_EQ(take_along_axis(nothing, zeros({3, 0}, int32), 1).shape(), (Shape{3, 0}));
  expect_error([&] { take_along_axis(a, zeros({2, 1}, int32), 1); }, "[broadcast_shapes]");

  expect_array(put_along_axis(a, make({3, 0, -1}, {3, 1}, int32), array(-1.0f), 1), {3, 4}, float32,
               {0, 1, 2, -1, -1, 5, 6, 7, 8, 9, 10, -1});
  expect_array(put_along_axis(a, make({1, 2, 0, 1}, {1, 4}, int32), make({50, 51, 52, 53}, {1, 4}, int32), 0),
               {3, 4}, float32, {0, 1, 52, 3, 50, 5, 6, 53, 8, 51, 10, 11});
  expect_array(a, {3, 4}, float32, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  expect_error([&] { put_along_axis(a, make({1}, {1}, int32), a, 0); }, "[put_along_axis]");
}

TEST(Index, Gather) {
  const array a = counting({4, 5});
  const array rows = make({2, 0}, {2}, int32);
  const array columns = make({1, 3}, {2}, int32);
  expect_array(gather(a, {rows, columns}, {0, 1}, {1, 1}), {2, 1, 1}, float32, {11, 3});
  expect_array(gather(a, {rows, columns}, {0, 1}, {2, 2}), {2, 2, 2}, float32, {11, 12, 16, 17, 3, 4, 8, 9});
  expect_array(gather(a, rows, 0, {1, 5}), {2, 1, 5}, float32, {10, 11, 12, 13, 14, 0, 1, 2, 3, 4});
  expect_array(gather(a, {reshape(rows, {2, 1}), columns}, {0, 1}, {1, 1}), {2, 2, 1, 1}, float32,
               {11, 13, 1, 3});
  // A slice that does not fit where it should start is moved to where it does.
  expect_array(gather(a, array(9), 1, {1, 2}), {1, 2}, float32, {3, 4});
  expect_array(gather(a, std::vector<array>{}, {}, {1, 2}), {1, 2}, float32, {0, 1});
  expect_error([&] { gather(a, {rows}, {0, 1}, {1, 1}); }, "[gather]");
  expect_error([&] { gather(a, rows, 0, {1}); }, "[gather]");
  expect_error([&] { gather(a, rows, 0, {5, 1}); }, "[gather]");
  expect_error([&] { gather(a, rows, 2, {1, 1}); }, "[gather]");
  expect_error([&] { gather(a, zeros({2}), 0, {1, 1}); }, "[gather]");
}

TEST(Index, Scatter) {
  const array a = zeros({4, 4});
  expect_array(scatter(a, array({2}, int32), make({1, 2}, {1, 1, 2}), 0), {4, 4}, float32,
               {0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0});
  expect_array(scatter(a, array({2, 0}, int32), make({1, 2, 3, 4}, {2, 1, 2}), 0), {4, 4}, float32,
               {3, 4, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0});
  expect_array(
      scatter(a, {array({2, 0}, int32), array({1, 2}, int32)}, make({1, 2, 3, 4}, {2, 1, 2}), {0, 1}), {4, 4},
      float32, {0, 0, 3, 4, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0});
  expect_array(scatter(a, {array({2, 0}, int32), array({1}, int32)}, make({1, 2}, {2, 1, 1}), {0, 1}), {4, 4},
               float32, {0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0});
  expect_error([&] { scatter(a, array({1}, int32), zeros({2, 1, 1}), 0); }, "[scatter]");
  expect_error([&] { scatter(a, array({1}, int32), zeros({1}), 0); }, "[scatter]");
}

TEST(Index, LookUpInACompiledFunction) {
  const CompiledFunction f = compile(
      [](const std::vector<array>& in) { return std::vector<array>{take(in[0], in[1], 0) + array(1.0f)}; });
  const array table = counting({10, 3});
  for (int n : {2, 5}) {
    std::vector<double> ids;
    std::vector<double> expected;
    for (int i = 0; i < n; ++i) {
      ids.push_back((i * 7) % 10);
      for (int j = 0; j < 3; ++j) expected.push_back(ids.back() * 3 + j + 1);
    }
    expect_array(f({table, make(ids, {n}, int32)})[0], {n, 3}, float32, expected);
  }
  EXPECT_EQ(f.trace_count(), 1);
}

}  // namespace
}  // namespace lazuli::test
