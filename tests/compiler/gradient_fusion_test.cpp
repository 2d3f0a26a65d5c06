// What kernels gradients become. Their values are tested with the operations.

#include <gtest/gtest.h>

#include <lazuli/lazuli.h>

#include "support/compare.h"

namespace lazuli {
namespace {

using Arrays = std::vector<array>;

array random_array(Shape shape, uint64_t seed) {
  return random::normal(shape, float32, 0.0f, 1.0f, random::key(seed));
}

/// Kernels of the compiled gradient with respect to all arguments, which must be what it is uncompiled.
int kernels_of_gradient(const ArrayFunction& function, const Arrays& arguments) {
  const array like = function(arguments)[0];
  Arrays all = arguments;
  all.push_back(random_array(like.shape(), 99));
  const ArrayFunction gradient = [&](const Arrays& in) {
    return vjp(function, Arrays(in.begin(), in.end() - 1), {in.back()}).second;
  };
  const CompiledFunction compiled = compile(gradient);
  const Arrays actual = compiled(all);
  const Arrays expected = gradient(all);
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(test::difference(actual[i], expected[i], 1e-4), "") << "argument " << i;
  }
  return compiled.kernel_count();
}

ArrayFunction of_one(const std::function<array(const array&)>& f) {
  return [f](const Arrays& in) { return Arrays{f(in[0])}; };
}

TEST(GradientFusion, ActivationsAreOneKernel) {
  const auto gelu = [](const array& x) {
    return x * array(0.5f) * (array(1.0f) + erf(x * array(0.70710678f)));
  };
  EXPECT_EQ(kernels_of_gradient(of_one(gelu), {random_array({33, 65}, 1)}), 1);
  EXPECT_EQ(kernels_of_gradient([](const Arrays& in) { return Arrays{in[0] * sigmoid(in[0]) * in[1]}; },
                                {random_array({33, 65}, 1), random_array({33, 65}, 2)}),
            1);
}

TEST(GradientFusion, RowOperationsAreOneRowKernel) {
  const array x = random_array({64, 100}, 1);
  const array weight = random_array({100}, 2);
  const array bias = random_array({100}, 3);
  EXPECT_EQ(kernels_of_gradient(of_one([](const array& a) { return softmax(a, -1); }), {x}), 1);
  EXPECT_EQ(kernels_of_gradient(of_one([](const array& a) { return a - logsumexp(a, -1, true); }), {x}), 1);
  EXPECT_EQ(kernels_of_gradient(of_one([](const array& a) { return logsumexp(a, -1); }), {x}), 1);
  EXPECT_EQ(
      kernels_of_gradient(of_one([&](const array& a) { return fast::rms_norm(a, weight, 1e-5f); }), {x}), 1);
  EXPECT_EQ(kernels_of_gradient(
                of_one([&](const array& a) { return fast::layer_norm(a, weight, bias, 1e-5f); }), {x}),
            1);
}

TEST(GradientFusion, NormsSumUpTheirWeightsOnTheWay) {
  const array x = random_array({3, 64, 100}, 1);
  const array weight = random_array({100}, 2);
  const array bias = random_array({100}, 3);
  EXPECT_EQ(kernels_of_gradient([](const Arrays& in) { return Arrays{fast::rms_norm(in[0], in[1], 1e-5f)}; },
                                {x, weight}),
            1);
  EXPECT_EQ(kernels_of_gradient(
                [](const Arrays& in) { return Arrays{fast::layer_norm(in[0], in[1], in[2], 1e-5f)}; },
                {x, weight, bias}),
            1);
  const auto plain = [](const Arrays& in) {
    const array centred = in[0] - mean(in[0], -1, true);
    return Arrays{centred * rsqrt(mean(square(centred), -1, true) + array(1e-5f)) * in[1] + in[2]};
  };
  EXPECT_EQ(kernels_of_gradient(plain, {x, weight, bias}), 1);
}

TEST(GradientFusion, CrossEntropyIsOneRowKernel) {
  std::vector<uint32_t> numbers;
  for (uint32_t i = 0; i < 64; ++i) numbers.push_back(i * 7 % 10);
  const array labels(numbers.begin(), {64, 1});
  const auto loss = [&](const array& scores) {
    return logsumexp(scores, -1, true) - take_along_axis(scores, labels, -1);
  };
  EXPECT_EQ(kernels_of_gradient(of_one(loss), {random_array({64, 10}, 1)}), 1);
}

TEST(GradientFusion, PartsOfASplitAreWrittenInPlace) {
  const auto gated = [](const array& x) {
    const Arrays parts = split(x, 2, -1);
    return parts[0] * sigmoid(parts[0]) * parts[1];
  };
  EXPECT_EQ(kernels_of_gradient(of_one(gated), {random_array({16, 64}, 1)}), 1);
}

TEST(GradientFusion, LayerHasTheKernelsOneWouldWrite) {
  // The product again for the mask, one kernel for the masked cotangent and the bias, two products.
  const ArrayFunction layer = [](const Arrays& in) {
    return Arrays{maximum(matmul(in[0], in[1]) + in[2], array(0.0f))};
  };
  EXPECT_EQ(kernels_of_gradient(
                layer, {random_array({24, 40}, 1), random_array({40, 16}, 2), random_array({16}, 3)}),
            4);
}

TEST(GradientFusion, BatchedWeightsHaveOneProduct) {
  // The gradient of weights that a batch shares is one product over all of its rows, not a batch to be
  // summed.
  const ArrayFunction product = [](const Arrays& in) { return Arrays{matmul(in[0], in[1])}; };
  EXPECT_EQ(kernels_of_gradient(product, {random_array({3, 8, 40}, 1), random_array({40, 16}, 2)}), 2);
}

}  // namespace
}  // namespace lazuli
