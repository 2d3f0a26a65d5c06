// Functions of members applied to batches.

#include <gtest/gtest.h>

#include "helpers.h"

namespace lazuli::test {
namespace {

using Arrays = std::vector<array>;

TEST(Vmap, Axes) {
  const array x = counting({2, 3, 4});
  const std::function<array(const array&)> sums = [](const array& a) { return sum(a, 0); };
  for (int in : {0, 1, 2, -2, -3}) {
    for (int out : {0, 1}) {
      const int axis = in < 0 ? in + 3 : in;
      const array expected = moveaxis(sum(moveaxis(x, axis, 0), 1), 0, out);
      expect_array(vmap(sums, in, out)(x), expected.shape(), float32, doubles(expected));
    }
  }
  const std::function<array(const array&, const array&)> add_both = [](const array& a, const array& b) {
    return a + b;
  };
  expect_array(vmap(add_both, 0, -1)(counting({2}), make({10, 20, 30}, {3})), {2, 3}, float32,
               {10, 20, 30, 11, 21, 31});
  expect_array(vmap(add_both, 0, 1, 1)(counting({2, 3}), counting({3, 2})), {3, 2}, float32,
               {0, 4, 3, 7, 6, 10});
}

TEST(Vmap, ResultsThatAreTheSameForAll) {
  const ArrayFunction f = [](const Arrays& in) { return Arrays{in[0] * 2.0f, in[1] + 1.0f, array(5)}; };
  const Arrays found = vmap(f, {0, -1}, {0, -1, 0})({counting({3}), array(4.0f)});
  expect_array(found[0], {3}, float32, {0, 2, 4});
  expect_array(found[1], {}, float32, {5});
  expect_array(found[2], {3}, int32, {5, 5, 5});
}

TEST(Vmap, Nested) {
  const std::function<array(const array&, const array&)> dot = [](const array& a, const array& b) {
    return sum(a * b);
  };
  const array a = make_numbers({3, 5});
  const array b = make_numbers({5, 4});
  const auto product = [&](const array& x, const array& y) {
    return vmap(std::function<array(const array&, const array&)>(
                    [&](const array& row, const array& all) { return vmap(dot, -1, 1)(row, all); }),
                0, -1)(x, y);
  };
  expect_array(product(a, b), {3, 4}, float32, doubles(matmul(a, b)), 1e-5);
}

TEST(Vmap, NoAndOneMember) {
  const std::function<array(const array&)> f = [](const array& a) {
    return softmax(matmul(a, transpose(a)), -1);
  };
  expect_array(vmap(f)(zeros({0, 2, 3})), {0, 2, 2}, float32, {});
  expect_array(vmap(f)(zeros({1, 2, 3})), {1, 2, 2}, float32, {0.5, 0.5, 0.5, 0.5});
}

TEST(Vmap, OfAProductIsOneProduct) {
  const CompiledFunction compiled = compile([](const Arrays& in) {
    return vmap(ArrayFunction([](const Arrays& x) { return Arrays{matmul(x[0], x[1])}; }))(in);
  });
  const Arrays in{make_numbers({4, 3, 5}), make_numbers({4, 5, 2})};
  expect_array(compiled(in)[0], {4, 3, 2}, float32, doubles(matmul(in[0], in[1])), 1e-6);
  EXPECT_EQ(compiled.kernel_count(), 1);
}

TEST(Vmap, RandomNumbersOfEachKey) {
  const array keys = random::split(random::key(5), 3);
  for (int width : {3, 4}) {
    const std::function<array(const array&)> draw = [&](const array& key) {
      return random::normal({2, width}, float32, 0.0f, 1.0f, key);
    };
    const array all = vmap(draw)(keys);
    for (int i = 0; i < 3; ++i) {
      const array expected = draw(take(keys, i, 0));
      expect_array(take(all, i, 0), {2, width}, float32, doubles(expected), 1e-6);
    }
  }
}

TEST(Vmap, Views) {
  const std::function<array(const array&)> f = [](const array& a) { return view(a, uint8); };
  const array x = make({1, 256, 65536, 3}, {2, 2}, int32);
  expect_array(vmap(f)(x), {2, 8}, uint8, doubles(view(x, uint8)));
  expect_array(vmap(std::function<array(const array&)>([](const array& a) { return view(a, float32); }))(x),
               {2, 2}, float32, doubles(view(x, float32)));
}

}  // namespace
}  // namespace lazuli::test
