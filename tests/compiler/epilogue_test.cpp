#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include <lazuli/lazuli.h>

#include "support/compare.h"
#include "support/expect_compiled.h"
#include "support/settings_scope.h"

namespace lazuli {
namespace {

using Arrays = std::vector<array>;

array numbers(Shape shape, uint64_t seed, Dtype dtype = float32) {
  return astype(random::normal(std::move(shape), float32, 0.0f, 1.0f, random::key(seed)), dtype);
}

/// A product and what is done to it afterwards.
struct Case {
  std::function<array(const Arrays&)> product;
  std::function<Arrays(const array&, const Arrays&)> after;
};

/// Expects the compiled whole to be what the parts give one after the other, in one step of the program, by
/// both tiers and on one thread and several.
void expect_one_step(const Case& of, const Arrays& in, double tolerance, int steps = 1) {
  array product = of.product(in);
  product.eval();
  Arrays expected = of.after(product, in);
  eval(expected);
  test::expect_compiled([&](const Arrays& x) { return of.after(of.product(x), x); }, in, expected, steps,
                        tolerance);
}

array matmul_of(const Arrays& in) {
  return matmul(in[0], in[1]);
}

TEST(Epilogue, BiasActivationAndResidualOfEverySize) {
  for (int m : {1, 2, 8, 9, 31, 130}) {
    for (int n : {1, 3, 33, 300}) {
      for (int k : {1, 70, 600}) {
        SCOPED_TRACE(testing::Message() << m << " x " << n << " x " << k);
        expect_one_step({matmul_of,
                         [](const array& y, const Arrays& in) {
                           const array z = y + in[2];
                           return Arrays{z * sigmoid(z) + in[3]};
                         }},
                        {numbers({m, k}, 1), numbers({k, n}, 2), numbers({n}, 3), numbers({m, n}, 4)}, 1e-4);
      }
    }
  }
}

TEST(Epilogue, OperandsOfEveryLayout) {
  const array x = numbers({45, 64}, 1), w = numbers({64, 70}, 2);
  const Arrays others{
      numbers({45, 1}, 3),                                          // a column
      transpose(numbers({70, 45}, 4)),                              // the other way round
      slice(numbers({45, 70}, 5), {44, 69}, {-46, -71}, {-1, -1}),  // reversed
      slice(numbers({90, 210}, 6), {0, 1}, {90, 210}, {2, 3}),      // every third of every other row
      broadcast_to(numbers({1, 1}, 7), {45, 70}),
      array(0.5f),  // one number
  };
  for (const array& other : others) {
    expect_one_step(
        {matmul_of, [](const array& y, const Arrays& in) { return Arrays{maximum(y, in[2]) - in[2]}; }},
        {x, w, other}, 1e-5);
  }
}

TEST(Epilogue, EveryDtype) {
  for (Dtype dtype : {float16, bfloat16, float32, float64}) {
    const double tolerance = dtype == bfloat16 ? 0.05 : dtype == float16 ? 0.01 : 1e-5;
    for (int m : {1, 40}) {
      expect_one_step(
          {matmul_of, [](const array& y, const Arrays& in) { return Arrays{tanh(y / 8.0f) * in[2]}; }},
          {numbers({m, 96}, 1, dtype), numbers({96, 50}, 2, dtype), numbers({m, 50}, 3, dtype)}, tolerance);
    }
  }
  // A result of another dtype, and several.
  expect_one_step({matmul_of,
                   [](const array& y, const Arrays&) {
                     const array z = exp(y / 8.0f);
                     return Arrays{astype(z, bfloat16), z > array(1.0f), astype(z * 10.0f, int32)};
                   }},
                  {numbers({37, 20}, 1), numbers({20, 41}, 2)}, 1e-2);
}

TEST(Epilogue, ItSeesTheProductBeforeItIsRounded) {
  // 4096 + 1 is no float16: rounded first, the difference would be 0.
  const array x = array({4096.0f, 1.0f}, {1, 2});
  const array ones_matrix = ones({2, 40}, float16);
  const CompiledFunction compiled =
      compile([](const Arrays& in) { return Arrays{matmul(in[0], in[1]) - array(4096.0f, float16)}; });
  const array result = compiled({astype(x, float16), ones_matrix})[0];
  EXPECT_EQ(result.dtype(), float16);
  EXPECT_EQ(test::values<float>(result), std::vector<float>(40, 1.0f));
}

TEST(Epilogue, Batches) {
  const Arrays small{numbers({6, 5, 9, 8}, 1), numbers({6, 5, 8, 7}, 2), numbers({6, 1, 1, 7}, 3)};
  const Arrays large{numbers({3, 190, 40}, 1), numbers({3, 40, 210}, 2), numbers({3, 1, 210}, 3)};
  const Arrays shared{numbers({4, 33, 40}, 1), numbers({40, 50}, 2), numbers({4, 1, 50}, 3)};
  for (const Arrays& in : {small, large, shared}) {
    expect_one_step(
        {matmul_of, [](const array& y, const Arrays& x) { return Arrays{exp(-square(y + x[2]))}; }}, in,
        1e-4);
  }
}

TEST(Epilogue, NoElementsAndNoDepth) {
  const auto after = [](const array& y, const Arrays& in) { return Arrays{y * 2.0f + in[2]}; };
  expect_one_step({matmul_of, after}, {zeros({0, 4}), zeros({4, 5}), zeros({5})}, 0);
  expect_one_step({matmul_of, after}, {zeros({3, 0}), zeros({0, 5}), numbers({5}, 1)}, 0);
}

TEST(Epilogue, AGateTakesOneProductAsAnOperand) {
  expect_one_step({matmul_of, [](const array& y,
                                 const Arrays& in) { return Arrays{y * sigmoid(y) * matmul(in[0], in[2])}; }},
                  {numbers({20, 64}, 1), numbers({64, 96}, 2), numbers({64, 96}, 3)}, 1e-4, 2);
}

TEST(Epilogue, PartsOfAResultAreWrittenInPlace) {
  expect_one_step({matmul_of,
                   [](const array& y, const Arrays& in) {
                     return Arrays{concatenate({y * 2.0f, in[2]}, 1)};
                   }},
                  {numbers({20, 30}, 1), numbers({30, 17}, 2), numbers({20, 9}, 3)}, 1e-5, 2);
}

TEST(Epilogue, WhatIsNeededElsewhereIsStored) {
  // By a caller, by another operation, at other places, or by a reduction.
  const Arrays in{numbers({24, 24}, 1), numbers({24, 24}, 2)};
  expect_one_step({matmul_of, [](const array& y, const Arrays&) { return Arrays{y, exp(y)}; }}, in, 1e-4, 2);
  expect_one_step({matmul_of,
                   [](const array& y, const Arrays&) {
                     return Arrays{exp(y), matmul(y, y)};
                   }},
                  in, 1e-4, 3);
  expect_one_step({matmul_of, [](const array& y, const Arrays&) { return Arrays{y + transpose(y)}; }}, in,
                  1e-4, 2);
  expect_one_step({matmul_of, [](const array& y, const Arrays&) { return Arrays{exp(transpose(y))}; }}, in,
                  1e-4, 2);
  expect_one_step({matmul_of, [](const array& y, const Arrays&) { return Arrays{y - max(y, 1, true)}; }}, in,
                  1e-4, 2);
  expect_one_step({matmul_of,
                   [](const array& y, const Arrays& x) {
                     return Arrays{slice_update(x[0], y, {0, 0}, {24, 24}) + y};
                   }},
                  in, 1e-4, 3);
}

TEST(Epilogue, NotANumberAndInfinityPass) {
  array x = numbers({20, 40}, 1);
  x = slice_update(x, array({NAN, INFINITY}, {1, 2}), {3, 5}, {4, 7});
  expect_one_step({matmul_of, [](const array& y, const Arrays& in) { return Arrays{maximum(y, in[2])}; }},
                  {x, numbers({40, 33}, 2), array(0.0f)}, 1e-5);
}

TEST(Epilogue, QuantizedProducts) {
  for (int m : {1, 3, 40, 200}) {
    SCOPED_TRACE(m);
    const array x = numbers({2, m, 128}, 1);
    const std::vector<array> w = quantize(numbers({100, 128}, 2), 64, 4);
    const array packed = pack_quantized(w[0], w[1], w[2], 64, 4);
    const auto after = [](const array& y, const Arrays& in) { return Arrays{y * sigmoid(y) + in[1]}; };
    for (QuantizedActivations activations : {QuantizedActivations::float32, QuantizedActivations::int8}) {
      expect_one_step({[=](const Arrays& in) {
                         return packed_quantized_matmul(in[0], in[2], 100, 128, 64, 4, activations);
                       },
                       after},
                      {x, numbers({100}, 3), packed}, 1e-4);
    }
    expect_one_step(
        {[=](const Arrays& in) { return quantized_matmul(in[0], in[2], in[3], in[4], true, 64, 4); }, after},
        {x, numbers({100}, 3), w[0], w[1], w[2]}, 1e-4);
  }
}

TEST(Epilogue, HoldsForOtherLengths) {
  const CompiledFunction compiled = compile(
      [](const Arrays& in) { return Arrays{maximum(matmul(in[0], in[1]) + in[2], array(0.0f)) * in[3]}; });
  for (int m : {5, 64, 2, 300}) {
    const Arrays in{numbers({m, 32}, 1), numbers({32, 48}, 2), numbers({48}, 3), numbers({m, 48}, 4)};
    array product = matmul(in[0], in[1]);
    product.eval();
    EXPECT_EQ(test::difference(compiled(in)[0], maximum(product + in[2], array(0.0f)) * in[3], 1e-5), "");
  }
  EXPECT_EQ(compiled.trace_count(), 1);
}

}  // namespace
}  // namespace lazuli
