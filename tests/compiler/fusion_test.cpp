#include <gtest/gtest.h>

#include <cmath>

#include <lazuli/lazuli.h>

#include "support/compare.h"
#include "support/settings_scope.h"

namespace lazuli {
namespace {

/// Kernels in a compiled function, after a call that must give what the plain function gives.
int kernels(const ArrayFunction& function, const std::vector<array>& inputs, double tolerance = 1e-5) {
  const CompiledFunction compiled = compile(function);
  const std::vector<array> actual = compiled(inputs);
  const std::vector<array> expected = function(inputs);
  EXPECT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(test::difference(actual[i], expected[i], tolerance), "") << "output " << i;
  }
  return compiled.kernel_count();
}

array random_matrix(int rows, int columns, uint64_t seed = 7) {
  return random::normal({rows, columns}, float32, 0.0f, 1.0f, random::key(seed));
}

TEST(Fusion, ElementwiseChainIsOneKernel) {
  EXPECT_EQ(
      kernels(
          [](const std::vector<array>& in) { return std::vector<array>{tanh(in[0] * in[1] + 1.0f) - in[0]}; },
          {random_matrix(7, 33), random_matrix(7, 33, 8)}),
      1);
}

TEST(Fusion, BroadcastsAndViewsAreReadInPlace) {
  EXPECT_EQ(
      kernels(
          [](const std::vector<array>& in) {
            return std::vector<array>{exp(transpose(in[0])) * in[1] + slice(in[2], {0, 1}, {9, 6}, {1, 1})};
          },
          {random_matrix(5, 9), random_matrix(1, 5), random_matrix(9, 8)}),
      1);
}

TEST(Fusion, SoftmaxFromPlainOperationsIsOneKernel) {
  EXPECT_EQ(kernels(
                [](const std::vector<array>& in) {
                  const array shifted = exp(in[0] - max(in[0], -1, true));
                  return std::vector<array>{shifted / sum(shifted, -1, true)};
                },
                {random_matrix(64, 100)}),
            1);
}

TEST(Fusion, NormAfterResidualIsOneKernelWithTwoResults) {
  EXPECT_EQ(kernels(
                [](const std::vector<array>& in) {
                  const array h = in[0] + in[1];
                  return std::vector<array>{h, fast::rms_norm(h, in[2], 1e-6f)};
                },
                {random_matrix(64, 96), random_matrix(64, 96, 8), reshape(random_matrix(1, 96, 9), {96})}),
            1);
}

TEST(Fusion, ReductionsOverTheFirstAxisKeepVectorsAlongTheLast) {
  EXPECT_EQ(kernels(
                [](const std::vector<array>& in) {
                  const array centred = in[0] - mean(in[0], 0, true);
                  return std::vector<array>{centred / sqrt(mean(square(centred), 0, true) + 1e-5f)};
                },
                {random_matrix(33, 70)}),
            1);
}

TEST(Fusion, WhatReadsTheSameArrayRunsTogether) {
  using Arrays = std::vector<array>;
  const auto count = [](auto results) {
    return kernels([=](const Arrays& in) { return results(in); },
                   {random_matrix(40, 70), random_matrix(40, 70, 8)});
  };
  EXPECT_EQ(count([](const Arrays& in) {
              return Arrays{sin(in[0]), cos(in[0]) * in[1], in[0] > array(0.5f)};
            }),
            1);
  EXPECT_EQ(count([](const Arrays& in) {
              return Arrays{max(in[0], 1), sum(square(in[0]), 1), argmax(in[0], 1)};
            }),
            1);
  EXPECT_EQ(count([](const Arrays& in) { return Arrays{sum(in[0], 0), max(in[0] * in[1], 0)}; }), 1);
  // Reductions over different axes cannot.
  EXPECT_EQ(count([](const Arrays& in) { return Arrays{sum(in[0], 0), sum(in[0], 1)}; }), 2);
}

TEST(Fusion, TransposedUseOfAComputedValueIsRight) {
  kernels(
      [](const std::vector<array>& in) {
        const array y = exp(in[0]) * sin(in[0]) + cos(in[0]) * 3.0f;
        return std::vector<array>{y + transpose(y), sum(y, 0) * sum(y, 1)};
      },
      {random_matrix(21, 21)});
}

TEST(Fusion, DiamondAcrossAMatmulHasNoCycle) {
  kernels(
      [](const std::vector<array>& in) {
        const array y = tanh(in[0]) + exp(in[0]);
        const array z = matmul(y, y);
        return std::vector<array>{y * z + sum(y, -1, true)};
      },
      {random_matrix(17, 17)}, 1e-4);
}

TEST(Fusion, GroupsThatGrowLateMakeNoCycle) {
  // The kernel of `t` grows by what needs `r`, when `c` needs it already: then `r` and `u` are no one kernel.
  const array x = random_matrix(5, 5, 1);
  const array y = random_matrix(5, 5, 2);
  const array z = random_matrix(5, 5, 3);
  std::vector<array> first;
  for (const bool in_steps : {false, true}) {
    const auto step = [&](array a) {
      if (in_steps) eval(a);
      return a;
    };
    const array t = step(x * y);
    const array c = step(t + transpose(t));
    const array product = step(matmul(c * x, z));
    const array r = step(sum(z, 1, true));
    const array spread = step(transpose(r) - r);
    const array w = step(sin(t) * spread * x + t * spread * exp(t));
    const array u = step(transpose(r) * c);
    std::vector<array> found{matmul(t, z), product, w, u};
    eval(found);
    if (in_steps) {
      for (size_t i = 0; i < found.size(); ++i)
        EXPECT_EQ(test::difference(first[i], found[i], 1e-5), "") << i;
    }
    first = found;
  }
}

TEST(Fusion, SumsOfProductsThatAreTheSameInAllRowsOfAColumn) {
  // Such a product is made once a column, before its sum goes over the rows.
  const auto function = [](const std::vector<array>& in) {
    const array x = astype(in[0], float32);
    const array spread = tanh(broadcast_to(mean(x, 0, true), x.shape()));
    return std::vector<array>{sum(tanh(sum(tanh(x), 0)) * spread, 0) / in[1]};
  };
  const test::JitModeScope jit(JitMode::sync);
  for (const int columns : {1, 7, 16, 33, 70, 300}) {
    SCOPED_TRACE(columns);
    kernels(function, {astype(random_matrix(9, columns) * 4.0f, int8), array(9.0f)});
  }
}

TEST(Fusion, GroupsThatReadEachOtherElsewhereStayApart) {
  // The maximum over rows of what was normalised over columns is wanted along the columns again: in a square,
  // the extents alone would let both be one kernel.
  const array x = reshape(random_matrix(33, 33 * 5, 1), {33, 33, 5});
  std::vector<array> first;
  for (const bool in_steps : {true, false}) {
    const auto step = [&](array a) {
      if (in_steps) eval(a);
      return a;
    };
    const array normal = step(softmax(x, 0));
    const array bent = step(tanh(normal));
    const array most = step(max(normal, 1));  // [33, 5], along the last two dimensions of what follows
    std::vector<array> found{tanh(step(tanh(bent)) * step(tanh(step(most - bent))))};
    eval(found);
    if (!in_steps) {
      EXPECT_EQ(test::difference(first[0], found[0], 1e-5), "");
    }
    first = found;
  }
}

TEST(Fusion, ConcatenatedPartsAreWrittenInPlace) {
  EXPECT_EQ(kernels(
                [](const std::vector<array>& in) {
                  const array a = slice(in[0], {0, 0}, {6, 4}), b = slice(in[0], {0, 4}, {6, 8});
                  return std::vector<array>{concatenate({a * in[1] - b * in[2], a * in[2] + b * in[1]}, 1)};
                },
                {random_matrix(6, 8), random_matrix(6, 4, 1), random_matrix(6, 4, 2)}),
            1);
}

TEST(Fusion, GatherIsPartOfTheKernelThatUsesIt) {
  EXPECT_EQ(kernels(
                [](const std::vector<array>& in) {
                  return std::vector<array>{take(in[0], in[1], 0) * 2.0f + 1.0f};
                },
                {random_matrix(10, 6), array({3, 0, 9, -1}, int32)}),
            1);
}

TEST(Fusion, UpdateAtADynamicPlace) {
  const array base = zeros({4, 6});
  const CompiledFunction compiled = compile([](const std::vector<array>& in) {
    return std::vector<array>{slice_update(in[0], in[1] * 2.0f, in[2], {0, 1})};
  });
  const array result = compiled({base, ones({2, 3}), array({1, 2}, int32)})[0];
  std::vector<float> expected(24, 0.0f);
  for (int r = 1; r < 3; ++r) {
    for (int c = 2; c < 5; ++c) expected[static_cast<size_t>(r * 6 + c)] = 2.0f;
  }
  EXPECT_EQ(test::values<float>(result), expected);
  EXPECT_EQ(test::values<float>(base), std::vector<float>(24, 0.0f)) << "the operand must not change";
}

TEST(Fusion, GivenUpArgumentIsUpdatedInPlace) {
  const CompiledFunction compiled = compile([](const std::vector<array>& in) {
    return std::vector<array>{slice_update(in[0], in[1], array({1}, int32), {0})};
  });
  array base = zeros({8, 4}) + 1.0f;
  base.eval();
  const float* before = base.data<float>();
  std::vector<array> inputs;
  inputs.push_back(std::move(base));
  inputs.push_back(zeros({2, 4}));
  array result = compiled(std::move(inputs))[0];
  EXPECT_EQ(result.data<float>(), before);
  std::vector<float> expected(32, 1.0f);
  std::fill(expected.begin() + 4, expected.begin() + 12, 0.0f);
  EXPECT_EQ(test::values<float>(result), expected);
}

TEST(Fusion, ReductionOfWhatLiesTransposed) {
  // The kernel runs over the product's dimensions, in which the sum's operand lies transposed.
  const array x = random_matrix(4, 3);
  const array y = random_matrix(3, 4, 8);
  const array weights = random_matrix(3, 4, 9);
  const CompiledFunction compiled = compile([](const std::vector<array>& in) {
    const array twice = transpose(in[0] * transpose(in[1]));
    return std::vector<array>{twice + twice, sum((twice + twice) * in[2])};
  });
  const std::vector<array> actual = compiled({x, y, weights});
  const std::vector<float> a = test::values<float>(x);
  const std::vector<float> b = test::values<float>(y);
  const std::vector<float> w = test::values<float>(weights);
  double expected = 0;
  for (size_t i = 0; i < 4; ++i) {
    for (size_t j = 0; j < 3; ++j) expected += 2.0 * a[i * 3 + j] * b[j * 4 + i] * w[j * 4 + i];
  }
  EXPECT_NEAR(actual[1].item<float>(), expected, 1e-4);
}

TEST(Fusion, UpdatedMemoryIsNotReadByTheKernelThatWritesIt) {
  const array x = random_matrix(5, 8);
  const CompiledFunction compiled = compile([](const std::vector<array>& in) {
    const array sums = sum(in[0], 1, true);
    const array placed = slice_update(zeros({in[0].shape(0), 2}), exp(sums), {0, 1}, {5, 2});
    return std::vector<array>{in[0] * exp(sums) + slice(placed, {0, 1}, {5, 2})};
  });
  const std::vector<float> actual = test::values<float>(compiled({x})[0]);
  const std::vector<float> in = test::values<float>(x);
  for (size_t i = 0; i < 5; ++i) {
    double total = 0;
    for (size_t j = 0; j < 8; ++j) total += in[i * 8 + j];
    for (size_t j = 0; j < 8; ++j) {
      const double expected = (in[i * 8 + j] + 1) * std::exp(total);
      EXPECT_NEAR(actual[i * 8 + j], expected, 1e-4 * std::max(1.0, std::abs(expected)));
    }
  }
}

TEST(Fusion, ZeroAndOneElement) {
  const auto f = [](const std::vector<array>& in) {
    return std::vector<array>{exp(in[0]) + 1.0f, sum(in[0], 0, true), sum(in[0])};
  };
  for (int n : {0, 1, 2}) kernels(f, {zeros({n, 3})});
  EXPECT_EQ(sum(zeros({0, 3})).item<float>(), 0.0f);
}

TEST(Fusion, SumOfATransposeBesideItsOperand) {
  for (const JitMode mode : {JitMode::off, JitMode::sync}) {
    const test::JitModeScope scope(mode);
    array x = reshape(arange(0, 300, float32), {3, 100}) / 300.0f;
    x.eval();
    const array expected = sum(x * x);
    const array squares = tanh(x) * 0.0f + x * x;
    const array total = sum(swapaxes(squares, 0, 1));
    const array both = maximum(exp(-x), total);
    EXPECT_NEAR(max(both).item<float>(), expected.item<float>(), 1e-3);
    EXPECT_NEAR(min(both).item<float>(), expected.item<float>(), 1e-3);
  }
}

// Each step reads the same indices, and needs the one before.
TEST(Fusion, LongChainsOfGathers) {
  constexpr int steps = 6000;
  const array next({1, 2, 3, 4, 0}, int32);
  array x({0.0f, 10.0f, 20.0f, 30.0f, 40.0f});
  for (int i = 0; i < steps; ++i) x = take(x, next, 0) + 1.0f;
  EXPECT_EQ(test::values<float>(x), (std::vector<float>{6000, 6010, 6020, 6030, 6040}));
}

}  // namespace
}  // namespace lazuli
