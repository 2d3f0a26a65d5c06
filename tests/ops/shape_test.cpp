// Shapes, orders of axes, repetition, and arrays put together.

#include "helpers.h"

namespace lazuli::test {
namespace {

TEST(Shapes, Reshape) {
  const array a = counting({2, 6});
  const std::vector<double> all = doubles(a);
  expect_array(reshape(a, {3, 4}), {3, 4}, float32, all);
  expect_array(reshape(a, {-1}), {12}, float32, all);
  expect_array(reshape(a, {2, -1, 3}), {2, 2, 3}, float32, all);
  expect_array(reshape(array(5.0f), {1, 1}), {1, 1}, float32, {5});
  expect_array(reshape(make({5}, {1}), {}), {}, float32, {5});
  expect_array(reshape(zeros({0, 4}), {2, 0}), {2, 0}, float32, {});
  expect_array(reshape(zeros({0, 4}), {-1, 4}), {0, 4}, float32, {});
  // Row-major order of what is seen, not of what lies in memory.
  expect_array(reshape(transpose(counting({2, 3})), {6}), {6}, float32, {0, 3, 1, 4, 2, 5});
  expect_array(reshape(flip(counting({2, 3})), {3, 2}), {3, 2}, float32, {5, 4, 3, 2, 1, 0});
  expect_error([&] { reshape(a, {5, 2}); }, "[reshape]");
  expect_error([&] { reshape(a, {-1, -1}); }, "[reshape]");
  expect_error([&] { reshape(a, {-1, 5}); }, "[reshape]");
  expect_error([&] { reshape(a, {-2, 6}); }, "[reshape]");
  expect_error([&] { reshape(zeros({0}), {0, -1}); }, "[reshape]");
}

TEST(Shapes, FlattenAndUnflatten) {
  const array a = counting({2, 3, 4});
  const std::vector<double> all = doubles(a);
  expect_array(flatten(a), {24}, float32, all);
  expect_array(flatten(a, 1), {2, 12}, float32, all);
  expect_array(flatten(a, 0, 1), {6, 4}, float32, all);
  expect_array(flatten(a, -2, -1), {2, 12}, float32, all);
  expect_array(flatten(a, 1, 1), {2, 3, 4}, float32, all);
  expect_array(flatten(array(1.0f)), {1}, float32, {1});
  expect_array(unflatten(a, 2, {2, -1}), {2, 3, 2, 2}, float32, all);
  expect_array(unflatten(a, -3, {1, 2}), {1, 2, 3, 4}, float32, all);
  expect_error([&] { flatten(a, 2, 1); }, "[flatten]");
  expect_error([&] { unflatten(a, 1, {2, 2}); }, "[unflatten]");
  expect_error([&] { unflatten(a, 1, {}); }, "[unflatten]");
  expect_error([&] { unflatten(a, 3, {2}); }, "[unflatten]");
}

TEST(Shapes, SqueezeAndExpand) {
  const array a = counting({1, 3, 1});
  expect_array(squeeze(a), {3}, float32, {0, 1, 2});
  expect_array(squeeze(a, 0), {3, 1}, float32, {0, 1, 2});
  expect_array(squeeze(a, {0, -1}), {3}, float32, {0, 1, 2});
  expect_array(expand_dims(counting({3}), 0), {1, 3}, float32, {0, 1, 2});
  expect_array(expand_dims(counting({3}), -1), {3, 1}, float32, {0, 1, 2});
  expect_array(expand_dims(counting({3}), {0, 2, -1}), {1, 3, 1, 1}, float32, {0, 1, 2});
  expect_array(expand_dims(array(4.0f), {0, 1}), {1, 1}, float32, {4});
  expect_array(expand_dims(transpose(counting({2, 2})), 1), {2, 1, 2}, float32, {0, 2, 1, 3});
  expect_error([&] { squeeze(a, 1); }, "[squeeze]");
  expect_error([&] { squeeze(a, {0, 0}); }, "[squeeze]");
  expect_error([&] { expand_dims(a, 5); }, "[expand_dims]");
  expect_error([&] { expand_dims(a, {0, 0}); }, "[expand_dims]");
}

TEST(Shapes, AtLeast) {
  EXPECT_EQ(atleast_1d(array(1.0f)).shape(), (Shape{1}));
  EXPECT_EQ(atleast_2d(array(1.0f)).shape(), (Shape{1, 1}));
  EXPECT_EQ(atleast_2d(counting({3})).shape(), (Shape{1, 3}));
  EXPECT_EQ(atleast_3d(counting({3})).shape(), (Shape{1, 3, 1}));
  EXPECT_EQ(atleast_3d(counting({3, 2})).shape(), (Shape{3, 2, 1}));
  EXPECT_EQ(atleast_2d(std::vector<array>{array(1.0f), counting({3})})[1].shape(), (Shape{1, 3}));
  EXPECT_EQ(atleast_1d(counting({2, 2})).shape(), (Shape{2, 2}));
}

TEST(Shapes, Transpose) {
  const array a = counting({2, 3, 4});
  const std::vector<double> all = doubles(a);
  const auto permuted = [&](const std::vector<int>& axes) {
    Shape shape;
    for (int axis : axes) shape.push_back(a.shape()[static_cast<size_t>(axis)]);
    std::vector<double> result;
    for_each_index(shape, [&](const std::vector<int>& index) {
      std::vector<int> from(axes.size());
      for (size_t i = 0; i < axes.size(); ++i) from[static_cast<size_t>(axes[i])] = index[i];
      result.push_back(all[place(a.shape(), from)]);
    });
    return result;
  };
  expect_array(transpose(a), {4, 3, 2}, float32, permuted({2, 1, 0}));
  expect_array(transpose(a, {1, 0, 2}), {3, 2, 4}, float32, permuted({1, 0, 2}));
  expect_array(transpose(a, {-1, 0, 1}), {4, 2, 3}, float32, permuted({2, 0, 1}));
  expect_array(transpose(transpose(a, {1, 2, 0}), {2, 0, 1}), {2, 3, 4}, float32, all);
  expect_array(swapaxes(a, 0, -1), {4, 3, 2}, float32, permuted({2, 1, 0}));
  expect_array(moveaxis(a, 0, 2), {3, 4, 2}, float32, permuted({1, 2, 0}));
  expect_array(moveaxis(a, -1, 0), {4, 2, 3}, float32, permuted({2, 0, 1}));
  expect_array(transpose(array(1.0f)), {}, float32, {1});
  expect_error([&] { transpose(a, {0, 1}); }, "[transpose]");
  expect_error([&] { transpose(a, {0, 1, 1}); }, "[transpose]");
  expect_error([&] { transpose(a, {0, 1, 3}); }, "[transpose]");
  expect_error([&] { swapaxes(a, 0, 3); }, "[swapaxes]");
  expect_error([&] { moveaxis(a, 3, 0); }, "[moveaxis]");
}

TEST(Shapes, FlipAndRoll) {
  const array a = counting({2, 3});
  expect_array(flip(a), {2, 3}, float32, {5, 4, 3, 2, 1, 0});
  expect_array(flip(a, 1), {2, 3}, float32, {2, 1, 0, 5, 4, 3});
  expect_array(flip(flip(a, 0), -2), {2, 3}, float32, {0, 1, 2, 3, 4, 5});
  expect_array(roll(a, 1), {2, 3}, float32, {5, 0, 1, 2, 3, 4});
  expect_array(roll(a, -8), {2, 3}, float32, {2, 3, 4, 5, 0, 1});
  expect_array(roll(a, 1, 1), {2, 3}, float32, {2, 0, 1, 5, 3, 4});
  expect_array(roll(a, -1, 0), {2, 3}, float32, {3, 4, 5, 0, 1, 2});
  expect_array(roll(a, {1, 1}, std::vector<int>{0, 1}), {2, 3}, float32, {5, 3, 4, 2, 0, 1});
  expect_array(roll(a, 3, 1), {2, 3}, float32, {0, 1, 2, 3, 4, 5});
  expect_array(roll(zeros({0, 2}), 1, 0), {0, 2}, float32, {});
  expect_error([&] { roll(a, 1, 2); }, "[roll]");
  expect_error([&] { roll(a, Shape{1}, std::vector<int>{0, 1}); }, "[roll]");
  expect_error([&] { flip(a, 2); }, "[flip]");
}

TEST(Shapes, Broadcast) {
  expect_array(broadcast_to(counting({3}), {2, 3}), {2, 3}, float32, {0, 1, 2, 0, 1, 2});
  expect_array(broadcast_to(counting({2, 1}), {2, 3}), {2, 3}, float32, {0, 0, 0, 1, 1, 1});
  expect_array(broadcast_to(array(7, int8), {2, 2}), {2, 2}, int8, {7, 7, 7, 7});
  expect_array(broadcast_to(counting({1, 2}), {0, 2}), {0, 2}, float32, {});
  const std::vector<array> both = broadcast_arrays({counting({2, 1}), counting({3})});
  expect_array(both[0], {2, 3}, float32, {0, 0, 0, 1, 1, 1});
  expect_array(both[1], {2, 3}, float32, {0, 1, 2, 0, 1, 2});
  expect_error([] { broadcast_to(counting({3}), {2}); }, "[broadcast_to]");
  expect_error([] { broadcast_to(counting({3, 1}), {3}); }, "[broadcast_to]");
}

TEST(Shapes, RepeatAndTile) {
  const array a = counting({2, 2});
  expect_array(repeat(a, 2, 0), {4, 2}, float32, {0, 1, 0, 1, 2, 3, 2, 3});
  expect_array(repeat(a, 2, -1), {2, 4}, float32, {0, 0, 1, 1, 2, 2, 3, 3});
  expect_array(repeat(a, 2), {8}, float32, {0, 0, 1, 1, 2, 2, 3, 3});
  expect_array(repeat(a, 0, 0), {0, 2}, float32, {});
  expect_array(tile(a, {2}), {2, 4}, float32, {0, 1, 0, 1, 2, 3, 2, 3});
  expect_array(tile(a, {2, 1}), {4, 2}, float32, {0, 1, 2, 3, 0, 1, 2, 3});
  expect_array(tile(counting({2}), {2, 1, 2}), {2, 1, 4}, float32, {0, 1, 0, 1, 0, 1, 0, 1});
  expect_array(tile(array(3.0f), {2}), {2}, float32, {3, 3});
  expect_array(tile(a, {}), {2, 2}, float32, {0, 1, 2, 3});
  expect_error([&] { repeat(a, -1, 0); }, "[repeat]");
  expect_error([&] { tile(a, {-1}); }, "[tile]");
}

TEST(Shapes, Meshgrid) {
  const array x = counting({3});
  const array y = make({5, 6}, {2});
  std::vector<array> grid = meshgrid({x, y});
  expect_array(grid[0], {2, 3}, float32, {0, 1, 2, 0, 1, 2});
  expect_array(grid[1], {2, 3}, float32, {5, 5, 5, 6, 6, 6});
  grid = meshgrid({x, y}, true, "ij");
  expect_array(grid[0], {3, 1}, float32, {0, 1, 2});
  expect_array(grid[1], {1, 2}, float32, {5, 6});
  grid = meshgrid({x, y, x}, false, "ij");
  EXPECT_EQ(grid[2].shape(), (Shape{3, 2, 3}));
  expect_error([&] { meshgrid({x}, false, "yx"); }, "[meshgrid]");
}

TEST(Joining, Concatenate) {
  const array a = counting({2, 2});
  const array b = make({10, 11}, {1, 2}, int32);
  expect_array(concatenate({a, b}), {3, 2}, float32, {0, 1, 2, 3, 10, 11});
  expect_array(concatenate({b, b}, 1), {1, 4}, int32, {10, 11, 10, 11});
  expect_array(concatenate({transpose(a), flip(a)}, -1), {2, 4}, float32, {0, 2, 3, 2, 1, 3, 1, 0});
  expect_array(concatenate({zeros({0, 2}), a}), {2, 2}, float32, {0, 1, 2, 3});
  expect_array(concatenate({a}), {2, 2}, float32, {0, 1, 2, 3});
  expect_array(concatenate({make({1}, {1}, float16), make({2}, {1}, bfloat16)}), {2}, float32, {1, 2});
  std::vector<array> many;
  std::vector<double> expected;
  for (int i = 0; i < 40; ++i) {
    many.push_back(full({3}, static_cast<float>(i)));
    expected.insert(expected.end(), 3, i);
  }
  expect_array(concatenate(many), {120}, float32, expected);
  expect_error([&] { concatenate({a, counting({3})}); }, "[concatenate]");
  expect_error([&] { concatenate({a, counting({2, 3})}); }, "[concatenate]");
  expect_error([&] { concatenate({a}, 2); }, "[concatenate]");
  expect_error([&] { concatenate(std::vector<array>{}); }, "[concatenate]");
  expect_error([&] { concatenate({array(1.0f), array(2.0f)}); }, "[concatenate]");
}

TEST(Joining, Stack) {
  const array a = counting({2});
  const array b = make({7, 8}, {2});
  expect_array(stack({a, b}), {2, 2}, float32, {0, 1, 7, 8});
  expect_array(stack({a, b}, 1), {2, 2}, float32, {0, 7, 1, 8});
  expect_array(stack({a, b}, -1), {2, 2}, float32, {0, 7, 1, 8});
  expect_array(stack({array(1.0f), array(2.0f)}), {2}, float32, {1, 2});
  expect_error([&] { stack({a, counting({3})}); }, "[stack]");
  expect_error([&] { stack(std::vector<array>{}); }, "[stack]");
}

TEST(Joining, Pad) {
  const array a = make({1, 2, 3, 4}, {2, 2});
  expect_array(pad(a, 1), {4, 4}, float32, {0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 0, 0, 0});
  expect_array(pad(a, {0, 1}, array(9)), {3, 3}, float32, {1, 2, 9, 3, 4, 9, 9, 9, 9});
  expect_array(pad(a, std::vector<std::pair<int, int>>{{1, 0}, {0, 2}}), {3, 4}, float32,
               {0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0});
  expect_array(pad(a, std::vector<int>{-1}, Shape{1}, Shape{0}, array(5.0f)), {2, 3}, float32,
               {5, 1, 2, 5, 3, 4});
  expect_array(pad(a, 1, array(0), "edge"), {4, 4}, float32,
               {1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4});
  expect_array(pad(a, 0), {2, 2}, float32, {1, 2, 3, 4});
  expect_array(pad(zeros({0}, int32), 2, array(3)), {4}, int32, {3, 3, 3, 3});
  expect_error([&] { pad(a, -1); }, "[pad]");
  expect_error([&] { pad(a, 1, array(0), "wrap"); }, "[pad]");
  expect_error([&] { pad(a, 1, zeros({2})); }, "[pad]");
  expect_error([&] { pad(a, std::vector<std::pair<int, int>>{{1, 0}, {0, 2}, {1, 1}}); }, "[pad]");
}

TEST(Shapes, StaySymbolicInACompiledFunction) {
  // Splitting heads, merging them, slicing from the end, padding and joining, none of which may fix the
  // length.
  const CompiledFunction f = compile([](const std::vector<array>& in) {
    const array& x = in[0];  // [n, 12]
    const Dim n = x.shape(0);
    array heads = transpose(reshape(x, {n, 3, 4}), {1, 0, 2});
    array merged = reshape(transpose(heads, {1, 0, 2}), {n, -1});
    array last = slice(x, {n - 1, 0}, {n, 12});
    array joined = concatenate({merged, last}, 0);
    array flat = flatten(joined);
    return std::vector<array>{flat,
                              sum(heads, 1),
                              pad(x, std::vector<int>{0}, Shape{2}, Shape{n}),
                              broadcast_to(last, {n, 12}),
                              flip(x, 0),
                              arange(n)};
  });
  for (int n : {4, 7, 20}) {
    const array x = counting({n, 12});
    const std::vector<double> all = doubles(x);
    const std::vector<array> out = f({x});
    std::vector<double> expected = all;
    expected.insert(expected.end(), all.end() - 12, all.end());
    expect_array(out[0], {(n + 1) * 12}, float32, expected);
    EXPECT_EQ(out[1].shape(), (Shape{3, 4}));
    EXPECT_EQ(doubles(out[1])[0], 12.0 * n * (n - 1) / 2);
    EXPECT_EQ(out[2].shape(), (Shape{2 * n + 2, 12}));
    expect_array(slice(out[2], {2, 0}, {n + 2, 12}), {n, 12}, float32, all);
    expect_array(sum(out[3], 0), {12}, float32, [&] {
      std::vector<double> scaled(all.end() - 12, all.end());
      for (double& value : scaled) value *= n;
      return scaled;
    }());
    EXPECT_EQ(doubles(out[4])[0], all[static_cast<size_t>(n - 1) * 12]);
    EXPECT_EQ(doubles(out[5]).back(), n - 1);
  }
  EXPECT_EQ(f.trace_count(), 1);
}

}  // namespace
}  // namespace lazuli::test
