// Transforms of functions: their interface, composition, errors.

#include <gtest/gtest.h>

#include <cmath>

#include "helpers.h"

namespace lazuli::test {
namespace {

using Arrays = std::vector<array>;

array cube(const array& x) {
  return x * x * x;
}

// Interface.

TEST(Transforms, OfOneArray) {
  const array x = make({1, 2, -3}, {3});
  const auto [y, g] = vjp(cube, x, make({1, 10, 100}, {3}));
  expect_array(y, {3}, float32, {1, 8, -27});
  expect_array(g, {3}, float32, {3, 120, 2700});
  const auto [z, t] = jvp(cube, x, make({1, 10, 100}, {3}));
  expect_array(z, {3}, float32, {1, 8, -27});
  expect_array(t, {3}, float32, {3, 120, 2700});
  const std::function<array(const array&)> total = [](const array& a) { return sum(cube(a)); };
  expect_array(grad(total)(x), {3}, float32, {3, 12, 27});
  const auto [value, gradient] = value_and_grad(total)(x);
  expect_array(value, {}, float32, {-18});
  expect_array(gradient, {3}, float32, {3, 12, 27});
}

TEST(Transforms, ChosenArguments) {
  const std::function<array(const Arrays&)> f = [](const Arrays& in) { return sum(in[0] * in[1] + in[2]); };
  const Arrays in{make({1, 2}, {2}), make({3, 4}, {2}), array(5.0f)};
  EXPECT_EQ(grad(f)(in).size(), 1u);
  expect_array(grad(f)(in)[0], {2}, float32, {3, 4});
  expect_array(grad(f, 1)(in)[0], {2}, float32, {1, 2});
  expect_array(grad(f, -1)(in)[0], {}, float32, {2});
  const auto [value, gradients] = value_and_grad(f, {2, 0})(in);
  expect_array(value, {}, float32, {21});
  expect_array(gradients[0], {}, float32, {2});
  expect_array(gradients[1], {2}, float32, {3, 4});
}

TEST(Transforms, FurtherResultsAreGivenAlong) {
  const ArrayFunction f = [](const Arrays& in) { return Arrays{sum(in[0]), in[0] * 2.0f, array(7)}; };
  const auto [results, gradients] = value_and_grad(f, std::vector<int>{0})({make({1, 2}, {2})});
  ASSERT_EQ(results.size(), 3u);
  expect_array(results[1], {2}, float32, {2, 4});
  expect_array(results[2], {}, int32, {7});
  expect_array(gradients[0], {2}, float32, {1, 1});
}

TEST(Transforms, ArgumentsThatNothingDependsOn) {
  const ArrayFunction f = [](const Arrays& in) { return Arrays{in[0] * 2.0f, argmax(in[0], 0)}; };
  const Arrays in{make({1, 2}, {2}), make({1}, {1}), array({3}, int32)};
  const auto gradients = vjp(f, in, {ones({2}), array(uint32_t{1})}).second;
  expect_array(gradients[0], {2}, float32, {2, 2});
  expect_array(gradients[1], {1}, float32, {0});
  expect_array(gradients[2], {1}, int32, {0});
  const auto tangents = jvp(f, in, {ones({2}), ones({1}), array({1}, int32)}).second;
  expect_array(tangents[0], {2}, float32, {2, 2});
  expect_array(tangents[1], {}, uint32, {0});
}

TEST(Transforms, CapturedArraysAreConstants) {
  const array x = make({3}, {1});
  // The argument and the captured array are the same one, and yet only the first counts.
  expect_array(grad([&](const array& a) { return sum(a * x); })(x), {1}, float32, {3});
}

TEST(Transforms, ArgumentsAsResults) {
  const ArrayFunction f = [](const Arrays& in) { return Arrays{in[0], in[1], in[0]}; };
  const auto [results, gradients] =
      vjp(f, {make({1}, {1}), make({2}, {1})}, {make({3}, {1}), make({4}, {1}), make({5}, {1})});
  expect_array(results[1], {1}, float32, {2});
  expect_array(gradients[0], {1}, float32, {8});
  expect_array(gradients[1], {1}, float32, {4});
}

TEST(Transforms, EvaluationInsideOfTheFunction) {
  const std::function<array(const array&)> f = [](const array& x) {
    array y = x * x;
    y.eval();
    // What is computed decides what comes next; taking rows of it, and scalars, keeps the graph.
    if (y.shape(0) == 2) {
      array total = array(0.0f);
      for (array row : y) total = total + row.item<float>() * row;
      array scaled = sum(y * y);
      eval(scaled, total);
      return total * astype(scaled, float64);
    }
    return sum(y);
  };
  // y = x²; total = Σ const(y) y, of which one factor is read out as a number; scaled = Σ y².
  const array x = make({2, 3}, {2});
  const double total = 16 + 81;
  const double scaled = 16 + 81;
  expect_array(grad(f)(x), {2}, float32,
               {2 * 2 * (4 * scaled + total * 2 * 4), 2 * 3 * (9 * scaled + total * 2 * 9)}, 1e-5);
}

TEST(Transforms, OfACompiledFunction) {
  const CompiledFunction inner = compile([](const Arrays& in) { return Arrays{cube(in[0])}; });
  const std::function<array(const array&)> f = [&](const array& x) { return sum(inner(Arrays{x})[0]); };
  expect_array(grad(f)(make({1, 2}, {2})), {2}, float32, {3, 12});
  expect_array(vmap(f)(make({1, 2, 3, 0}, {2, 2})), {2}, float32, {9, 27});
}

TEST(Transforms, StopGradient) {
  const auto f = [](const array& x) { return sum(x * stop_gradient(x * x)); };
  expect_array(grad(f)(make({2, 3}, {2})), {2}, float32, {4, 9});
  const ArrayFunction g = [](const Arrays& in) { return Arrays{stop_gradient(in[0])}; };
  expect_array(jvp(g, {make({2}, {1})}, {make({3}, {1})}).second[0], {1}, float32, {0});
  expect_array(vmap([](const array& x) { return stop_gradient(x) + x; })(make({2, 3}, {2})), {2}, float32,
               {4, 6});
}

// Composition.

TEST(Transforms, HigherDerivatives) {
  const std::function<array(const array&)> f = [](const array& x) { return x * x * x * x; };
  const array x(2.0f);
  const auto second = grad(grad(f));
  expect_array(second(x), {}, float32, {48});
  expect_array(grad(second)(x), {}, float32, {48});
  expect_array(grad(grad(grad(second)))(x), {}, float32, {0});
  const auto [y, t] = jvp(std::function<array(const array&)>(grad(f)), x, array(1.0f));
  expect_array(y, {}, float32, {32});
  expect_array(t, {}, float32, {48});
  const std::function<array(const array&)> forward = [&](const array& a) {
    return jvp(f, a, array(1.0f)).second;
  };
  expect_array(grad(forward)(x), {}, float32, {48});
}

TEST(Transforms, GradientInsideOfAGradientSeesTheOuterArgument) {
  // d/dx (x · d/dy (x y²) at y = x) = d/dx (2 x³).
  const std::function<array(const array&)> f = [](const array& x) {
    const std::function<array(const array&)> inner = [&](const array& y) { return x * y * y; };
    return x * grad(inner)(x);
  };
  expect_array(grad(f)(array(3.0f)), {}, float32, {54});
}

TEST(Transforms, HessianByVmapOfGradients) {
  const std::function<array(const array&)> f = [](const array& x) { return sum(x * x) * take(x, 0, 0); };
  const array x = make({1, 2, 3}, {3});
  const auto row = [&](const array& direction) {
    return jvp(std::function<array(const array&)>(grad(f)), x, direction).second;
  };
  const array hessian = vmap(std::function<array(const array&)>(row))(eye(3, 3, 0, float32));
  expect_array(hessian, {3, 3}, float32, {6, 4, 6, 4, 2, 0, 6, 0, 2});
  expect_array(compile(std::function<array(const array&)>([&](const array& at) {
                 const auto compiled_row = [&](const array& direction) {
                   return jvp(std::function<array(const array&)>(grad(f)), at, direction).second;
                 };
                 return vmap(std::function<array(const array&)>(compiled_row))(eye(3, 3, 0, float32));
               }))(x),
               {3, 3}, float32, {6, 4, 6, 4, 2, 0, 6, 0, 2});
}

TEST(Transforms, GradientOfEachMember) {
  const array w = make_numbers({4, 2});
  const std::function<array(const array&)> loss = [&](const array& x) { return sum(square(matmul(x, w))); };
  const array x = make_numbers({5, 4}, float32, 0.5);
  const array all = vmap(std::function<array(const array&)>(grad(loss)))(x);
  for (int i = 0; i < 5; ++i) {
    expect_array(take(all, i, 0), {4}, float32, doubles(grad(loss)(take(x, i, 0))), 1e-5);
  }
}

TEST(Transforms, CompiledWithSymbolicExtents) {
  const CompiledFunction compiled = compile([](const Arrays& in) {
    const ArrayFunction loss = [](const Arrays& x) {
      return Arrays{mean(logsumexp(matmul(x[0], x[1]), -1)) + sum(take(x[1], array({0, 1, 0}, int32), 0))};
    };
    auto [values, gradients] = value_and_grad(loss, std::vector<int>{0, 1})(in);
    return Arrays{values[0], gradients[0], gradients[1]};
  });
  for (int n : {2, 5, 9}) {
    const Arrays in{make_numbers({n, 3}), make_numbers({3, 4})};
    const Arrays found = compiled(in);
    const array scores = matmul(in[0], in[1]);
    const array weights = softmax(scores, -1) / array(static_cast<float>(n));
    expect_array(found[1], {n, 3}, float32, doubles(matmul(weights, transpose(in[1]))), 1e-5);
    const array added = make({2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0}, {3, 4});
    expect_array(found[2], {3, 4}, float32, doubles(matmul(transpose(in[0]), weights) + added), 1e-5);
  }
  EXPECT_EQ(compiled.trace_count(), 1);
}

// Errors.

TEST(Transforms, Errors) {
  const ArrayFunction f = [](const Arrays& in) { return Arrays{in[0] * 2.0f}; };
  const array x = counting({3});
  expect_error([&] { vjp(f, {x}, {}); }, "[vjp]");
  expect_error([&] { vjp(f, {x}, {ones({2})}); }, "[vjp]");
  expect_error([&] { jvp(f, {x}, {x, x}); }, "[jvp]");
  expect_error([&] { jvp(f, {x}, {ones({3, 1})}); }, "[jvp]");
  expect_error([&] { value_and_grad(f, std::vector<int>{0})({x}); }, "[grad]");
  expect_error([&] { value_and_grad(f, std::vector<int>{})({x}); }, "[grad]");
  expect_error([&] { value_and_grad(f, std::vector<int>{1})({x}); }, "[grad]");
  expect_error([&] { value_and_grad(f, std::vector<int>{0, -1})({x}); }, "[grad]");
  expect_error([&] { vmap(f, {0, 0})({x}); }, "[vmap]");
  expect_error([&] { vmap(f, {1})({x}); }, "[vmap]");
  expect_error([&] { vmap(f, {-1})({x}); }, "[vmap]");
  expect_error([&] { vmap(f)({array(1.0f)}); }, "[vmap]");
  expect_error([&] { vmap(f, {0}, {2})({x}); }, "[vmap]");
  expect_error([&] { vmap(f, {0}, {-1})({x}); }, "[vmap]");
  expect_error([&] { vmap(f, {0}, {0, 0})({x}); }, "[vmap]");
  const ArrayFunction both = [](const Arrays& in) { return Arrays{in[0] + in[1]}; };
  expect_error([&] { vmap(both)({x, counting({2})}); }, "[vmap]");
  const ArrayFunction evaluating = [](const Arrays& in) { return Arrays{in[0] * in[0].item<float>()}; };
  expect_error<std::runtime_error>([&] { vmap(evaluating)({x}); }, "[eval]");
  const ArrayFunction wrong =
      custom_vjp(f, [](const Arrays&, const Arrays&, const Arrays&) { return Arrays{}; });
  expect_error([&] { vjp(wrong, {x}, {x}); }, "[custom_vjp]");
}

}  // namespace
}  // namespace lazuli::test
