// Functions with transforms of their own.

#include <gtest/gtest.h>

#include "helpers.h"

namespace lazuli::test {
namespace {

using Arrays = std::vector<array>;

TEST(CustomFunction, GradientOfItsOwn) {
  const ArrayFunction f = custom_vjp(
      [](const Arrays& in) {
        return Arrays{sign(in[0]) * in[1], in[1]};
      },
      [](const Arrays& in, const Arrays& cotangents, const Arrays& outputs) {
        return Arrays{cotangents[0] * 10.0f + outputs[0], cotangents[1] + in[0]};
      });
  const Arrays in{make({-2, 3}, {2}), make({5, 7}, {2})};
  const auto [results, gradients] = vjp(f, in, {make({1, 2}, {2}), make({3, 4}, {2})});
  expect_array(results[0], {2}, float32, {-5, 7});
  expect_array(gradients[0], {2}, float32, {5, 27});
  expect_array(gradients[1], {2}, float32, {1, 7});
  // Through vmap, too, and what all members share gets the sum.
  const ArrayFunction batched = vmap(f, {0, -1});
  const Arrays batch{make({-2, 3, 1, -1}, {2, 2}), in[1]};
  const auto of_batch = vjp(batched, batch, {ones({2, 2}), zeros({2, 2})}).second;
  expect_array(of_batch[0], {2, 2}, float32, {5, 17, 15, 3});
  expect_array(of_batch[1], {2}, float32, {-1, 2});
}

TEST(CustomFunction, ForwardThroughACustomGradient) {
  const ArrayFunction f = custom_vjp(
      [](const Arrays& in) { return Arrays{floor(in[0])}; },
      [](const Arrays&, const Arrays& cotangents, const Arrays&) { return Arrays{cotangents[0] * 3.0f}; });
  expect_array(jvp(f, {make({1.5, 2}, {2})}, {make({1, 2}, {2})}).second[0], {2}, float32, {3, 6});
}

TEST(CustomFunction, AllRules) {
  const ArrayFunction f =
      custom_function([](const Arrays& in) { return Arrays{in[0] * in[1]}; }, std::nullopt,
                      [](const Arrays&, const Arrays& tangents, const std::vector<int>& argnums) {
                        return Arrays{tangents[0] * array(100.0f + static_cast<float>(argnums[0]))};
                      },
                      [](const Arrays& in, const std::vector<int>& axes) {
                        EXPECT_EQ(axes, (std::vector<int>{0, -1}));
                        return std::pair{Arrays{in[0] * 0.0f + 42.0f}, std::vector<int>{0}};
                      });
  const Arrays in{make({1, 2}, {2}), make({3, 4}, {2})};
  expect_array(vjp(f, in, {ones({2})}).second[0], {2}, float32, {3, 4});
  const ArrayFunction of_second = [&](const Arrays& x) { return f({in[0], x[0]}); };
  expect_array(jvp(of_second, {in[1]}, {ones({2})}).second[0], {2}, float32, {101, 101});
  expect_array(vmap(f, {0, -1})({make({1, 2, 3, 4}, {2, 2}), in[1]})[0], {2, 2}, float32, {42, 42, 42, 42});
  expect_array(f(in)[0], {2}, float32, {3, 8});
}

TEST(CustomFunction, OperationsWithoutRulesInside) {
  // Only the rule is looked at: what the function computes need not be differentiable.
  const auto total = [](const array& a) { return real(sum(linalg::eigvals(a))); };
  const ArrayFunction f = custom_vjp([&](const Arrays& in) { return Arrays{total(in[0])}; },
                                     [](const Arrays& in, const Arrays& cotangents, const Arrays&) {
                                       return Arrays{eye(in[0].shape(0)) * cotangents[0]};
                                     });
  const array x = make({1, 2, 3, 4}, {2, 2});
  expect_array(f({x})[0], {}, float32, {5}, 1e-5);
  expect_array(vjp(f, {x}, {array(2.0f)}).second[0], {2, 2}, float32, {2, 0, 0, 2});
  expect_error([&] { vjp(total, x, array(1.0f)); }, "[vjp] eig has no gradient");
}

TEST(CustomFunction, Checkpoint) {
  const array w = make_numbers({6, 6}, float32, 0.3);
  const ArrayFunction layer = [](const Arrays& in) { return Arrays{tanh(matmul(in[0], in[1]))}; };
  const auto loss_of = [&](const ArrayFunction& f) {
    return std::function<array(const Arrays&)>([=](const Arrays& in) {
      return sum(square(f({f({f({in[0], in[1]})[0], in[1]})[0], in[1]})[0]));
    });
  };
  const Arrays in{make_numbers({4, 6}), w};
  const Arrays expected = grad(loss_of(layer), {0, 1})(in);
  const auto checkpointed = grad(loss_of(checkpoint(layer)), {0, 1});
  for (size_t i = 0; i < 2; ++i) {
    expect_array(checkpointed(in)[i], in[i].shape(), float32, doubles(expected[i]), 1e-5);
  }
  const CompiledFunction plain = compile(ArrayFunction(grad(loss_of(layer), {0, 1})));
  const CompiledFunction again = compile(ArrayFunction(checkpointed));
  for (size_t i = 0; i < 2; ++i) {
    expect_array(again(in)[i], in[i].shape(), float32, doubles(expected[i]), 1e-5);
  }
  plain(in);
  EXPECT_GT(again.kernel_count(), plain.kernel_count()) << "nothing is computed again";
}

TEST(CustomFunction, CheckpointUnderOtherTransforms) {
  const ArrayFunction f = [](const Arrays& in) { return Arrays{sin(in[0] * in[1]), in[0] + in[1]}; };
  const ArrayFunction g = checkpoint(f);
  const Arrays in{make({0.3, -1.2}, {2}), make({0.7, 0.4}, {2})};
  const Arrays along{make({1, 2}, {2}), make({-1, 3}, {2})};
  for (size_t i = 0; i < 2; ++i) {
    expect_array(jvp(g, in, along).second[i], {2}, float32, doubles(jvp(f, in, along).second[i]), 1e-6);
  }
  const auto twice = [&](const ArrayFunction& of) {
    const std::function<array(const Arrays&)> first = [of](const Arrays& x) { return sum(of(x)[0]); };
    const std::function<array(const Arrays&)> second = [=](const Arrays& x) {
      return sum(grad(first)(x)[0]);
    };
    return grad(second, {0, 1})(in);
  };
  for (size_t i = 0; i < 2; ++i) {
    expect_array(twice(g)[i], {2}, float32, doubles(twice(f)[i]), 1e-6);
  }
  const auto of_batch = [&](const ArrayFunction& of) {
    const ArrayFunction batched = vmap(of, {0, -1});
    const Arrays batch{stack({in[0], in[1], along[0]}), in[1]};
    Arrays all = vjp(batched, batch, {make_numbers({3, 2}), make_numbers({3, 2})}).second;
    for (const array& tangent : jvp(batched, batch, {ones({3, 2}), along[1]}).second) all.push_back(tangent);
    return all;
  };
  const Arrays expected = of_batch(f);
  const Arrays found = of_batch(g);
  for (size_t i = 0; i < expected.size(); ++i) {
    expect_array(found[i], expected[i].shape(), float32, doubles(expected[i]), 1e-6);
  }
}

TEST(CustomFunction, Depends) {
  const array x = make({1, 2}, {2});
  const array y = exp(x);
  expect_array(depends({x, x * x}, {y})[1], {2}, float32, {1, 4});
  const auto f = [](const array& a) { return sum(depends({a * a}, {a * a * a})[0]); };
  expect_array(grad(f)(x), {2}, float32, {2, 4});
  const array batch = counting({2, 3});
  expect_array(vmap([&](const array& a) { return depends({x}, {a})[0]; })(batch), {2, 2}, float32,
               {1, 2, 1, 2});
  EXPECT_TRUE(depends({}, {y}).empty());
}

}  // namespace
}  // namespace lazuli::test
