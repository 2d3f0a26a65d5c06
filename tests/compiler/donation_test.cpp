// Operands that nobody needs any more give their memory to results.

#include <gtest/gtest.h>

#include <functional>

#include <lazuli/array/evaluator.h>
#include <lazuli/array/memory.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/lazuli.h>

#include "support/compare.h"
#include "support/settings_scope.h"

namespace lazuli {
namespace {

using Function = std::function<array(const array&)>;

array values_of(const Shape& shape, Dtype dtype = float32) {
  array a = astype(random::normal(shape, float32, 0.0f, 2.0f, random::key(5)), dtype);
  a = a + zeros_like(a);
  a.eval();
  return a;
}

struct Outcome {
  bool reused = false;
  std::string difference;
};

/// What becomes of an argument that is given up to an evaluation.
Outcome evaluated(const Function& f, const Shape& shape, Dtype dtype = float32) {
  array expected = f(values_of(shape, dtype));  // from another array
  expected.eval();
  array x = values_of(shape, dtype);
  const void* const memory = x.data<void>();
  array result = f(x);
  x = array(0.0f);
  result.eval();
  return {result.data<void>() == memory, test::difference(result, expected, 1e-5)};
}

/// The same for a call of a compiled function.
Outcome compiled(const Function& f, const Shape& shape, Dtype dtype = float32) {
  const CompiledFunction g =
      compile([&](const std::vector<array>& in) { return std::vector<array>{f(in[0])}; });
  const array expected = g({values_of(shape, dtype)})[0];
  std::vector<array> in{values_of(shape, dtype)};
  const void* const memory = in[0].data<void>();
  const array result = g(std::move(in))[0];
  return {result.data<void>() == memory, test::difference(result, expected, 1e-5)};
}

class Donation : public testing::TestWithParam<JitMode> {
 protected:
  static void expect_reused(const Function& f, Dtype dtype = float32) {
    for (const Shape& shape :
         {Shape{2}, Shape{3, 5}, Shape{64, 64}, Shape{7, 1025}, Shape{300, 301}, Shape{2, 3, 129}}) {
      for (const Outcome& outcome : {evaluated(f, shape, dtype), compiled(f, shape, dtype)}) {
        EXPECT_EQ(outcome.difference, "") << shape;
        EXPECT_TRUE(outcome.reused) << shape;
      }
    }
    for (const Outcome& outcome : {evaluated(f, {0, 4}, dtype), compiled(f, {0, 4}, dtype)}) {
      EXPECT_EQ(outcome.difference, "");
    }
  }
  const test::JitModeScope scope_{GetParam()};
};

TEST_P(Donation, ElementwiseResultsLieOverAnOperand) {
  expect_reused([](const array& x) { return x * 2.0f + 1.0f; });
  expect_reused([](const array& x) { return tanh(x) * x; });
  expect_reused([](const array& x) { return x * array(2.0f, bfloat16) + array(1.0f, bfloat16); }, bfloat16);
  expect_reused([](const array& x) { return where(x > array(0.5f), x, -x); });
  expect_reused([](const array& x) { return view(astype(x * 3.0f, int32), int32); });
}

TEST_P(Donation, SoDoRowPrograms) {
  expect_reused([](const array& x) { return softmax(x, -1); });
  expect_reused([](const array& x) { return x - mean(x, -1, true) + array(1.0f); });
  expect_reused([](const array& x) { return x / (array(1.0f, float16) + sum(x * x, -1, true)); }, float16);
}

TEST_P(Donation, NotOverWhatIsReadElsewhereToo) {
  const auto both = [](const Function& f, const Shape& shape) {
    for (const Outcome& outcome : {evaluated(f, shape), compiled(f, shape)}) {
      EXPECT_EQ(outcome.difference, "") << shape;
      EXPECT_FALSE(outcome.reused) << shape;
    }
  };
  both([](const array& x) { return x + transpose(x) * 2.0f; }, {65, 65});
  both([](const array& x) { return x + flip(x, 0); }, {40, 1000});
  both([](const array& x) { return flip(x, -1) * 2.0f; }, {2, 3, 129});
  both([](const array& x) { return x + slice(x, {0, 0}, {1, 30}); }, {20, 30});
  both([](const array& x) { return x * take(x, array({3, 1, 0, 2}), 0); }, {4, 100});
}

TEST_P(Donation, NotOfWhatSomebodyHolds) {
  array x = values_of({50, 50});
  const array copy = values_of({50, 50});
  array result = x * 2.0f;
  result.eval();
  EXPECT_NE(result.data<float>(), x.data<float>());
  EXPECT_EQ(test::difference(x, copy, 0), "");
  // A view holds the memory.
  const array view = slice(x, {0, 0}, {1, 50});
  eval(view);
  result = x * 3.0f;
  x = array(0.0f);
  result.eval();
  EXPECT_EQ(test::difference(view, slice(copy, {0, 0}, {1, 50}), 0), "");
  // So does an argument that is given twice.
  array twice = values_of({50, 50});
  const CompiledFunction f = compile([](const std::vector<array>& in) {
    return std::vector<array>{in[0] + 1.0f, in[1] * 2.0f};
  });
  std::vector<array> in{twice, twice};
  twice = array(0.0f);
  const std::vector<array> out = f(std::move(in));
  EXPECT_EQ(test::difference(out[0], copy + 1.0f, 0), "");
  EXPECT_EQ(test::difference(out[1], copy * 2.0f, 0), "");
}

TEST_P(Donation, OneResultGetsIt) {
  const CompiledFunction f = compile([](const std::vector<array>& in) {
    return std::vector<array>{in[0] + 1.0f, in[0] * 2.0f, exp(in[0])};
  });
  const std::vector<array> expected = f({values_of({33, 70})});
  std::vector<array> in{values_of({33, 70})};
  const float* const memory = in[0].data<float>();
  const std::vector<array> out = f(std::move(in));
  EXPECT_EQ((out[0].data<float>() == memory) + (out[1].data<float>() == memory), 1);
  for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(test::difference(out[i], expected[i], 0), "") << i;
}

TEST_P(Donation, TakesNoMemory) {
  array x = values_of({1000, 1000});
  const size_t active = get_active_memory();
  reset_peak_memory();
  for (int i = 0; i < 5; ++i) {
    x = x * 0.5f + 1.0f;
    x.eval();
  }
  EXPECT_LT(get_peak_memory(), active + (size_t{1} << 20));
}

INSTANTIATE_TEST_SUITE_P(Tiers, Donation, testing::Values(JitMode::off, JitMode::sync));

}  // namespace
}  // namespace lazuli
