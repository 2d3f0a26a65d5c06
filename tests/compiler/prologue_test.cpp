#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include <lazuli/compiler/fusion/grouping.h>
#include <lazuli/compiler/fusion/reasons.h>
#include <lazuli/compiler/program/program.h>
#include <lazuli/graph/passes/simplify.h>
#include <lazuli/graph/trace.h>
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

/// What is done before a product, and the product with what comes after it. The first result of `before` is
/// its left operand.
struct Case {
  std::function<Arrays(const Arrays&)> before;
  std::function<Arrays(const Arrays&, const Arrays&)> after;
};

/// Expects the compiled whole to be what the parts give one after the other, in so many steps of the program,
/// by both tiers and on one thread and several.
void expect_steps(int steps, const Case& of, const Arrays& in, double tolerance) {
  Arrays made = of.before(in);
  eval(made);
  Arrays expected = of.after(made, in);
  eval(expected);
  test::expect_compiled([&](const Arrays& x) { return of.after(of.before(x), x); }, in, expected, steps,
                        tolerance);
}

Arrays norm_of_first(const Arrays& in) {
  return {fast::rms_norm(in[0], std::nullopt, 1e-5f)};
}

Arrays product_with_second(const Arrays& made, const Arrays& in) {
  return {matmul(made[0], in[1])};
}

TEST(Prologue, NormsOfEverySize) {
  for (int m : {1, 2, 8, 9, 31, 130}) {
    for (int n : {1, 3, 33, 300}) {
      for (int k : {1, 2, 70, 600}) {
        SCOPED_TRACE(testing::Message() << m << " x " << n << " x " << k);
        // A single column is its own norm's row level: nothing is reduced then, and no row is made.
        expect_steps(k == 1 ? 2 : 1, {norm_of_first, product_with_second},
                     {numbers({m, k}, 1), numbers({k, n}, 2)}, 1e-4);
      }
    }
  }
}

TEST(Prologue, LayerNormsSoftmaxAndPlainOperations) {
  const Arrays in{numbers({45, 96}, 1), numbers({96, 70}, 2), numbers({96}, 3), numbers({96}, 4)};
  const auto layer_norm = [](const Arrays& x) { return Arrays{fast::layer_norm(x[0], x[2], x[3], 1e-5f)}; };
  const auto plain_norm = [](const Arrays& x) {
    const array scale = rsqrt(mean(square(x[0]), -1, true) + 1e-6f);
    return Arrays{x[0] * scale * x[2]};
  };
  const auto probabilities = [](const Arrays& x) { return Arrays{softmax(x[0], -1)}; };
  const auto gated = [](const Arrays& x) { return Arrays{x[0] * sigmoid(x[0]) * x[2]}; };
  const auto of_integers = [](const Arrays& x) {
    return Arrays{astype(astype(x[0] * 8.0f, int32) % 5, float32)};
  };
  expect_steps(1, {layer_norm, product_with_second}, in, 1e-4);
  expect_steps(1, {plain_norm, product_with_second}, in, 1e-4);
  expect_steps(1, {probabilities, product_with_second}, in, 1e-5);
  expect_steps(1, {gated, product_with_second}, in, 1e-4);
  expect_steps(1, {of_integers, product_with_second}, in, 1e-4);
}

TEST(Prologue, EveryDtype) {
  for (Dtype dtype : {float16, bfloat16, float32, float64}) {
    const double tolerance = dtype == bfloat16 ? 0.05 : dtype == float16 ? 0.01 : 1e-5;
    for (int m : {1, 5, 40, 200}) {
      SCOPED_TRACE(testing::Message() << dtype_name(dtype) << ", " << m << " rows");
      const Arrays in{numbers({m, 130}, 1, dtype), numbers({130, 50}, 2, dtype)};
      expect_steps(1, {norm_of_first, product_with_second}, in, tolerance);
      // Rows of a narrower dtype than the product's.
      const auto narrowed = [](const Arrays& x) { return Arrays{astype(tanh(x[0]) * x[0], bfloat16)}; };
      const auto widened = [](const Arrays& made, const Arrays& x) {
        return Arrays{matmul(astype(made[0], x[1].dtype()), x[1])};
      };
      if (dtype != bfloat16 && dtype != float16) expect_steps(1, {narrowed, widened}, in, 1e-4);
    }
  }
}

TEST(Prologue, ManyRowsAndDepths) {
  // Beyond what is packed at once; few columns, which are multiplied by rows as they come; tall ones; many
  // depths, which threads share.
  expect_steps(1, {norm_of_first, product_with_second}, {numbers({700, 1100}, 1), numbers({1100, 260}, 2)},
               1e-4);
  expect_steps(1, {norm_of_first, product_with_second}, {numbers({2500, 90}, 1), numbers({90, 5}, 2)}, 1e-4);
  expect_steps(1, {norm_of_first, product_with_second}, {numbers({9000, 600}, 1), numbers({600, 20}, 2)},
               1e-4);
  expect_steps(1, {norm_of_first, product_with_second}, {numbers({20, 9000}, 1), numbers({9000, 30}, 2)},
               1e-4);
  expect_steps(1, {norm_of_first, product_with_second},
               {numbers({9000, 100}, 1, float64), numbers({100, 20}, 2, float64)}, 1e-9);
}

TEST(Prologue, WithAnEpilogue) {
  for (int m : {1, 40, 300}) {
    expect_steps(1,
                 {norm_of_first,
                  [](const Arrays& made, const Arrays& in) {
                    const array y = matmul(made[0], in[1]) + in[2];
                    return Arrays{y * sigmoid(y), astype(y, bfloat16)};
                  }},
                 {numbers({m, 80}, 1), numbers({80, 130}, 2), numbers({130}, 3)}, 1e-2);
  }
}

TEST(Prologue, Batches) {
  const auto scores = [](const Arrays& in) { return Arrays{softmax(in[0] * 0.3f + in[2], -1)}; };
  const Arrays small{numbers({6, 5, 9, 8}, 1), numbers({6, 5, 8, 7}, 2), numbers({8}, 3)};
  const Arrays large{numbers({3, 190, 300}, 1), numbers({3, 300, 70}, 2), numbers({300}, 3)};
  const Arrays narrow{numbers({20, 150, 40}, 1), numbers({20, 40, 3}, 2), numbers({40}, 3)};
  const Arrays shared{numbers({4, 33, 40}, 1), numbers({40, 50}, 2), numbers({40}, 3)};
  for (const Arrays& in : {small, large, narrow, shared}) {
    expect_steps(1, {scores, product_with_second}, in, 1e-5);
    expect_steps(
        1, {scores, [](const Arrays& made, const Arrays& x) { return Arrays{tanh(matmul(made[0], x[1]))}; }},
        in, 1e-5);
  }
  // Rows that many matrices share would be made for each.
  expect_steps(2, {scores, product_with_second}, {numbers({9, 8}, 1), numbers({6, 8, 7}, 2), numbers({8}, 3)},
               1e-5);
}

TEST(Prologue, AnAddedMatrix) {
  expect_steps(
      1,
      {norm_of_first,
       [](const Arrays& made, const Arrays& in) { return Arrays{addmm(in[2], made[0], in[1], 0.5f, 2.0f)}; }},
      {numbers({60, 80}, 1), numbers({80, 40}, 2), numbers({60, 40}, 3)}, 1e-4);
  expect_steps(
      1,
      {norm_of_first,
       [](const Arrays& made, const Arrays& in) { return Arrays{addmm(in[2], made[0], in[1], 0.5f, 2.0f)}; }},
      {numbers({600, 80}, 1), numbers({80, 4}, 2), numbers({600, 4}, 3)}, 1e-4);
}

TEST(Prologue, OtherResultsOfItsKernelAreStored) {
  // A residual and its norm: one is kept, rows of the other are made.
  for (int m : {1, 7, 50, 300}) {
    const Case of{[](const Arrays& in) {
                    const array sum = in[0] + in[2];
                    return Arrays{fast::rms_norm(sum, std::nullopt, 1e-5f), sum};
                  },
                  [](const Arrays& made, const Arrays& in) {
                    return Arrays{matmul(made[0], in[1]), made[1]};
                  }};
    expect_steps(1, of, {numbers({m, 64}, 1), numbers({64, 90}, 2), numbers({m, 64}, 3)}, 1e-4);
    // Also where the product has no elements.
    expect_steps(1, of, {numbers({m, 64}, 1), zeros({64, 0}), numbers({m, 64}, 3)}, 1e-4);
  }
}

TEST(Prologue, OtherResultsAreThereForWhoeverReadsThem) {
  // Read by the product's other operand, which comes first.
  expect_steps(
      3,
      {[](const Arrays& in) {
         const array sum = in[0] + in[1];
         return Arrays{fast::rms_norm(sum, std::nullopt, 1e-5f), sum};
       },
       [](const Arrays& made, const Arrays&) { return Arrays{matmul(made[0], matmul(made[1], made[1]))}; }},
      {numbers({40, 40}, 1), numbers({40, 40}, 2)}, 1e-3);
  // By its epilogue.
  expect_steps(2,
               {[](const Arrays& in) {
                  const array sum = in[0] + in[1];
                  return Arrays{fast::rms_norm(sum, std::nullopt, 1e-5f), sum};
                },
                [](const Arrays& made, const Arrays& in) {
                  return Arrays{matmul(made[0], in[2]) + transpose(made[1])};
                }},
               {numbers({40, 40}, 1), numbers({40, 40}, 2), numbers({40, 40}, 3)}, 1e-4);
}

TEST(Prologue, WhatIsNeededElsewhereIsStored) {
  // By a caller, by another product, by elementwise work, by the product's other side, through a view.
  const Arrays in{numbers({24, 24}, 1), numbers({24, 24}, 2)};
  expect_steps(2,
               {norm_of_first,
                [](const Arrays& made, const Arrays& x) {
                  return Arrays{matmul(made[0], x[1]), made[0]};
                }},
               in, 1e-4);
  expect_steps(3,
               {norm_of_first,
                [](const Arrays& made, const Arrays& x) {
                  return Arrays{matmul(made[0], x[1]), matmul(made[0], x[0])};
                }},
               in, 1e-4);
  expect_steps(2,
               {norm_of_first,
                [](const Arrays& made, const Arrays& x) { return Arrays{matmul(made[0], x[1]) * made[0]}; }},
               in, 1e-4);
  expect_steps(2,
               {norm_of_first, [](const Arrays& made,
                                  const Arrays&) { return Arrays{matmul(made[0], transpose(made[0]))}; }},
               in, 1e-4);
  expect_steps(2,
               {norm_of_first,
                [](const Arrays& made, const Arrays& x) { return Arrays{matmul(transpose(made[0]), x[1])}; }},
               in, 1e-4);
  expect_steps(
      2, {norm_of_first, [](const Arrays& made, const Arrays& x) { return Arrays{matmul(x[1], made[0])}; }},
      in, 1e-4);
}

TEST(Prologue, ReductionsThatAreNotOfRows) {
  const Arrays in{numbers({40, 30}, 1), numbers({30, 20}, 2)};
  expect_steps(2, {[](const Arrays& x) { return Arrays{x[0] - mean(x[0], 0, true)}; }, product_with_second},
               in, 1e-4);
  expect_steps(2, {[](const Arrays& x) { return Arrays{softmax(x[0], 0)}; }, product_with_second}, in, 1e-5);
}

TEST(Prologue, OperandsOfEveryLayout) {
  const array w = numbers({64, 70}, 2);
  const Arrays rows{
      numbers({45, 64}, 1),
      transpose(numbers({64, 45}, 1)),                              // the other way round
      slice(numbers({45, 64}, 5), {44, 63}, {-46, -65}, {-1, -1}),  // reversed
      slice(numbers({90, 192}, 6), {0, 1}, {90, 192}, {2, 3}),      // every third of every other row
      broadcast_to(numbers({1, 64}, 7), {45, 64}),
  };
  for (const array& x : rows) {
    expect_steps(1, {norm_of_first, product_with_second}, {x, w}, 1e-4);
    // Some of these are made before the product, in a step with it.
    expect_steps(1, {[](const Arrays& in) { return Arrays{tanh(in[0]) * in[0]}; }, product_with_second},
                 {x, w}, 1e-4);
  }
  // Rows that are gathered, and slices of one array that are put together.
  expect_steps(
      1,
      {[](const Arrays& in) { return Arrays{fast::rms_norm(take(in[0], in[2], 0), std::nullopt, 1e-5f)}; },
       product_with_second},
      {rows[0], w, array({3, 44, 0, 3, 17, 20, 21, 5, 9, 12, 40}, {11}, int32)}, 1e-4);
  expect_steps(1,
               {[](const Arrays& in) {
                  const std::vector<array> halves = split(in[0], 2, -1);
                  return Arrays{halves[0] * sigmoid(halves[0]) * halves[1]};
                },
                product_with_second},
               {numbers({45, 128}, 8), w}, 1e-4);
}

TEST(Prologue, ThroughAReshape) {
  expect_steps(1,
               {norm_of_first,
                [](const Arrays& made, const Arrays& in) {
                  return Arrays{matmul(reshape(made[0], {-1, made[0].shape(-1)}), in[1])};
                }},
               {numbers({5, 9, 40}, 1), numbers({40, 30}, 2)}, 1e-4);
  // Other rows than those that are made.
  expect_steps(2,
               {norm_of_first,
                [](const Arrays& made, const Arrays& in) {
                  return Arrays{matmul(reshape(made[0], {-1, 20}), in[1])};
                }},
               {numbers({9, 40}, 1), numbers({20, 30}, 2)}, 1e-4);
}

TEST(Prologue, NoElementsAndNoDepth) {
  const auto squares = [](const Arrays& in) { return Arrays{tanh(in[0]) * in[0]}; };
  expect_steps(1, {squares, product_with_second}, {zeros({0, 4}), zeros({4, 5})}, 0);
  expect_steps(1, {squares, product_with_second}, {zeros({3, 0}), zeros({0, 5})}, 0);
  expect_steps(1, {squares, product_with_second}, {zeros({3, 4}), zeros({4, 0})}, 0);
}

TEST(Prologue, NotANumberAndInfinityPass) {
  array x = numbers({20, 40}, 1);
  x = slice_update(x, array({NAN, INFINITY}, {1, 2}), {3, 5}, {4, 7});
  expect_steps(
      1, {[](const Arrays& in) { return Arrays{maximum(in[0], array(0.5f)) * in[0]}; }, product_with_second},
      {x, numbers({40, 33}, 2)}, 1e-5);
}

TEST(Prologue, QuantizedProducts) {
  for (int m : {1, 3, 13, 40, 200}) {
    for (Dtype dtype : {float32, bfloat16}) {
      SCOPED_TRACE(testing::Message() << m << " rows, " << dtype_name(dtype));
      const array x = numbers({2, m, 128}, 1, dtype);
      const std::vector<array> w = quantize(numbers({100, 128}, 2), 64, 4);
      const array packed = pack_quantized(w[0], w[1], w[2], 64, 4);
      const double tolerance = dtype == float32 ? 1e-4 : 0.03;
      for (QuantizedActivations activations : {QuantizedActivations::float32, QuantizedActivations::int8}) {
        const auto product = [=](const Arrays& made, const Arrays& in) {
          return Arrays{packed_quantized_matmul(made[0], in[1], 100, 128, 64, 4, activations)};
        };
        expect_steps(1, {norm_of_first, product}, {x, packed}, tolerance);
        expect_steps(
            1,
            {norm_of_first,
             [=](const Arrays& made, const Arrays& in) { return Arrays{exp(product(made, in)[0] / 8.0f)}; }},
            {x, packed}, tolerance);
      }
      const auto straight = [](const Arrays& made, const Arrays& in) {
        return Arrays{quantized_matmul(made[0], in[1], in[2], in[3], true, 64, 4)};
      };
      expect_steps(1, {norm_of_first, straight}, {x, w[0], w[1], w[2]}, tolerance);
    }
  }
  // A matrix of weights for each of the rows' blocks.
  const std::vector<array> w = quantize(numbers({3, 100, 128}, 2), 64, 4);
  for (int m : {2, 30}) {
    expect_steps(1,
                 {norm_of_first,
                  [](const Arrays& made, const Arrays& in) {
                    return Arrays{quantized_matmul(made[0], in[1], in[2], in[3], true, 64, 4) * 2.0f + 1.0f};
                  }},
                 {numbers({3, m, 128}, 1), w[0], w[1], w[2]}, 1e-4);
  }
}

TEST(Prologue, WhatItMakesTakesNoMemory) {
  const auto peak_of = [](const CompiledFunction& compiled, const Arrays& in) {
    compiled(in);
    return compiled.peak_memory(in);
  };
  const Arrays in{numbers({500, 1024}, 1), numbers({1024, 16}, 2), numbers({1024, 16}, 3)};
  const CompiledFunction one =
      compile([](const Arrays& x) { return product_with_second(norm_of_first(x), x); });
  EXPECT_EQ(peak_of(one, in), size_t{500} * 16 * 4);
  const CompiledFunction two = compile([](const Arrays& x) {
    const array norm = norm_of_first(x)[0];
    return Arrays{matmul(norm, x[1]), matmul(norm, x[2])};
  });
  EXPECT_GE(peak_of(two, in), size_t{500} * 1024 * 4);
}

TEST(Prologue, IsNotTakenWhereThatNeedsMuchMoreMemory) {
  // Four products become one array. Multiplied by four times as many columns, all of this would be in memory
  // at a time.
  const Case of{[](const Arrays& x) {
                  const array sum =
                      matmul(x[0], x[0]) + matmul(x[1], x[1]) + matmul(x[0], x[1]) + matmul(x[1], x[0]);
                  return Arrays{sum / max(sum, -1, true)};
                },
                [](const Arrays& made, const Arrays& x) { return Arrays{matmul(made[0], x[2])}; }};
  const array a = numbers({64, 64}, 1), b = numbers({64, 64}, 2);
  expect_steps(6, of, {a, b, numbers({64, 256}, 3)}, 1e-3);
  expect_steps(5, of, {a, b, numbers({64, 64}, 3)}, 1e-3);
}

TEST(Prologue, ThePlanSaysWhy) {
  const array x = numbers({8, 16}, 1), w = numbers({16, 4}, 2);
  const Arrays inputs{array(Node::placeholder_of({x.shape(), x.dtype()})),
                      array(Node::placeholder_of({w.shape(), w.dtype()}))};
  const Arrays results{tanh(matmul(fast::rms_norm(inputs[0], std::nullopt, 1e-5f), inputs[1]))};
  const auto program = Program::create(simplify(build_function_graph(inputs, results)), "test");
  ASSERT_EQ(program->plan().units.size(), 1u);
  const FusionUnit& unit = program->plan().units[0];
  const std::string text = program->plan().to_text(unit);
  EXPECT_NE(text.find(", after a kernel over [8,16r] makes rows of %"), std::string::npos) << text;
  EXPECT_NE(text.find("  in blocks to a kernel over [8,4] stores %"), std::string::npos) << text;
  const std::string reasons = fusion_reasons(program->plan(), unit);
  EXPECT_NE(reasons.find("its rows are made when they are needed, and not stored"), std::string::npos)
      << reasons;
}

TEST(Prologue, HoldsForOtherLengths) {
  const CompiledFunction compiled =
      compile([](const Arrays& in) { return Arrays{matmul(fast::rms_norm(in[0], in[2], 1e-5f), in[1])}; });
  const Arrays fixed{numbers({32, 48}, 2), numbers({32}, 3)};
  for (int m : {5, 64, 2, 300}) {
    array norm = fast::rms_norm(numbers({m, 32}, 1), fixed[1], 1e-5f);
    norm.eval();
    EXPECT_EQ(test::difference(compiled({numbers({m, 32}, 1), fixed[0], fixed[1]})[0], matmul(norm, fixed[0]),
                               1e-5),
              "");
  }
  EXPECT_EQ(compiled.trace_count(), 1);
  EXPECT_EQ(compiled.kernel_count(), 1);
}

}  // namespace
}  // namespace lazuli
