#include <gtest/gtest.h>

#include <thread>

#include <lazuli/lazuli.h>

#include "support/compare.h"

namespace lazuli {
namespace {

TEST(Compile, HoldsForOtherLengthsWithoutARetrace) {
  const CompiledFunction compiled = compile([](const std::vector<array>& in) {
    const array& x = in[0];
    const array heads = transpose(reshape(x, {x.shape(0), 2, -1}), {1, 0, 2});
    return std::vector<array>{softmax(heads, -1), mean(x, 0), arange(x.shape(0))};
  });
  for (int n : {5, 9, 64, 2, 33}) {
    const array x = random::normal({n, 8}, float32, 0.0f, 1.0f, random::key(static_cast<uint64_t>(n)));
    const std::vector<array> out = compiled({x});
    EXPECT_EQ(out[0].shape(), (Shape{2, n, 4}));
    EXPECT_EQ(test::difference(out[0], softmax(transpose(reshape(x, {n, 2, 4}), {1, 0, 2}), -1), 1e-6), "");
    EXPECT_EQ(test::difference(out[1], mean(x, 0), 1e-6), "");
    EXPECT_EQ(out[2].size(), static_cast<size_t>(n));
  }
  EXPECT_EQ(compiled.trace_count(), 1);
}

TEST(Compile, AnExtentTurnedIntoAnIntIsGuarded) {
  const CompiledFunction compiled = compile([](const std::vector<array>& in) {
    const int n = in[0].shape(0);
    return std::vector<array>{in[0] * array(static_cast<float>(n))};
  });
  EXPECT_EQ(compiled({ones({3})})[0].shape(0), 3);
  EXPECT_EQ(test::values<float>(compiled({ones({3})})[0]), (std::vector<float>{3, 3, 3}));
  EXPECT_EQ(compiled.trace_count(), 1);
  EXPECT_EQ(test::values<float>(compiled({ones({2})})[0]), (std::vector<float>{2, 2}));
  EXPECT_EQ(compiled.trace_count(), 2);
}

TEST(Compile, ASizeTurnedIntoANumberIsGuarded) {
  const CompiledFunction compiled = compile([](const std::vector<array>& in) {
    return std::vector<array>{sum(in[0]) / static_cast<float>(in[0].size()),
                              in[0] * static_cast<float>(in[0].nbytes())};
  });
  for (const Shape& shape : {Shape{3, 5}, Shape{4, 6}, Shape{3, 5}, Shape{1, 2}, Shape{5, 3}}) {
    const std::vector<array> out = compiled({full(shape, 7.0f)});
    EXPECT_EQ(out[0].item<float>(), 7.0f);
    EXPECT_EQ(max(out[1]).item<float>(), 7.0f * 4 * static_cast<float>(full(shape, 0.0f).size()));
  }
}

TEST(Compile, ABranchOnAnExtentIsGuardedByItsOutcome) {
  const CompiledFunction compiled = compile([](const std::vector<array>& in) {
    return std::vector<array>{in[0].shape(0) > 4 ? sum(in[0]) : max(in[0])};
  });
  EXPECT_EQ(compiled({ones({5})})[0].item<float>(), 5.0f);
  EXPECT_EQ(compiled({ones({9})})[0].item<float>(), 9.0f);
  EXPECT_EQ(compiled.trace_count(), 1);
  EXPECT_EQ(compiled({ones({3})})[0].item<float>(), 1.0f);
  EXPECT_EQ(compiled.trace_count(), 2);
}

TEST(Compile, BroadcastingOfOneIsAnotherTrace) {
  const CompiledFunction compiled =
      compile([](const std::vector<array>& in) { return std::vector<array>{in[0] + in[1]}; });
  EXPECT_EQ(compiled({ones({4, 3}), ones({4, 3})})[0].shape(), (Shape{4, 3}));
  EXPECT_EQ(compiled({ones({4, 3}), ones({1, 3})})[0].shape(), (Shape{4, 3}));
  EXPECT_EQ(compiled({ones({1, 3}), ones({1, 3})})[0].shape(), (Shape{1, 3}));
  EXPECT_EQ(compiled({ones({7, 2}), ones({7, 2})})[0].shape(), (Shape{7, 2}));
  EXPECT_EQ(compiled.trace_count(), 3);
}

TEST(Compile, CapturesConstantsByValue) {
  array scale = array(2.0f) * array(3.0f);
  const CompiledFunction compiled =
      compile([&](const std::vector<array>& in) { return std::vector<array>{in[0] * scale}; });
  EXPECT_EQ(compiled({array(1.0f)})[0].item<float>(), 6.0f);
  scale = array(100.0f);
  EXPECT_EQ(compiled({array(1.0f)})[0].item<float>(), 6.0f);
}

TEST(Compile, NestsAndCanBeDisabled) {
  const CompiledFunction inner =
      compile([](const std::vector<array>& in) { return std::vector<array>{exp(in[0])}; });
  const CompiledFunction outer = compile(
      [&](const std::vector<array>& in) { return std::vector<array>{log(inner({in[0]})[0]) + 1.0f}; });
  EXPECT_NEAR(outer({array(2.0f)})[0].item<float>(), 3.0f, 1e-5);
  EXPECT_EQ(inner.trace_count(), 0);
  disable_compile();
  EXPECT_NEAR(outer({array(4.0f)})[0].item<float>(), 5.0f, 1e-5);
  enable_compile();
  EXPECT_EQ(outer.trace_count(), 1);
}

TEST(Compile, EvaluatingAnArgumentInsideIsAnError) {
  const CompiledFunction item = compile(
      [](const std::vector<array>& in) { return std::vector<array>{in[0] * (in[0] + 1.0f).item<float>()}; });
  EXPECT_THROW(item({array(2.0f)}), std::runtime_error);
  const CompiledFunction evaluate = compile([](const std::vector<array>& in) {
    array y = in[0] + 1.0f;
    y.eval();
    return std::vector<array>{y};
  });
  EXPECT_THROW(evaluate({array(2.0f)}), std::runtime_error);
  EXPECT_EQ((array(1.0f) + array(1.0f)).item<float>(), 2.0f) << "evaluation works after the error";
}

TEST(Compile, PassesArgumentsAndConstantsThrough) {
  const array constant({1.0f, 2.0f});
  const CompiledFunction compiled = compile([&](const std::vector<array>& in) {
    return std::vector<array>{in[0], constant, transpose(in[0]), in[0]};
  });
  const std::vector<array> out = compiled({array({1.0f, 2.0f, 3.0f, 4.0f}, {2, 2})});
  EXPECT_EQ(test::values<float>(out[0]), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(test::values<float>(out[1]), (std::vector<float>{1, 2}));
  EXPECT_EQ(test::values<float>(out[2]), (std::vector<float>{1, 3, 2, 4}));
}

TEST(Eval, KeepsWhatSomebodyHolds) {
  const array x({1.0f, 2.0f, 3.0f});
  const array y = x * 2.0f;
  array z = exp(y) + y;
  z.eval();
  EXPECT_TRUE(y.is_available());
  EXPECT_EQ(test::values<float>(y), (std::vector<float>{2, 4, 6}));
}

TEST(Eval, AsyncGivesTheSame) {
  array x = ones({1000});
  for (int i = 0; i < 50; ++i) x = x * 1.5f - 0.5f;
  async_eval(x);
  EXPECT_EQ(test::values<float>(x), std::vector<float>(1000, 1.0f));
}

TEST(Eval, FromManyThreads) {
  const array shared = ones({64}) + 1.0f;
  std::vector<std::jthread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const array y = shared * static_cast<float>(t) + static_cast<float>(i);
        if (y.shape(0) != 64 ||
            sum(y).item<float>() != 64.0f * (2.0f * static_cast<float>(t) + static_cast<float>(i))) {
          ++wrong;
        }
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, 0);
}

TEST(Eval, LongChains) {
  // Evaluated, or dropped; nothing may go as deep as these are long.
  constexpr int n = 1000000;
  array x = zeros({4});
  for (int i = 0; i < n; ++i) x = x + 1.0f;
  EXPECT_EQ(test::values<float>(x), std::vector<float>(4, n));
  for (int i = 0; i < n; ++i) x = x + 1.0f;
  x = array(0.0f);
  // By the stream's own thread, with some held on the way.
  std::vector<array> marks;
  array y = zeros({3});
  for (int i = 1; i <= 100000; ++i) {
    y = y + 1.0f;
    if (i % 30000 == 0) marks.push_back(y);
  }
  async_eval(y);
  EXPECT_EQ(test::values<float>(y), std::vector<float>(3, 100000.0f));
  for (size_t i = 0; i < marks.size(); ++i) {
    EXPECT_EQ(marks[i].is_available() ? max(marks[i]).item<float>() : 0,
              30000.0f * static_cast<float>(i + 1));
  }
}

TEST(Eval, LongChainsAreDifferentiated) {
  constexpr int n = 50000;
  const auto f = [](const array& x) {
    array y = x;
    for (int i = 0; i < n; ++i) y = i % 2 == 0 ? y * 2.0f : y * 0.5f;
    return sum(y * y);
  };
  const array gradient = grad(std::function<array(const array&)>(f))(array({1.0f, 3.0f}));
  EXPECT_EQ(test::values<float>(gradient), (std::vector<float>{2.0f, 6.0f}));
}

TEST(Compile, KeepsTheTracesUsedLast) {
  // Of a rank each, so that no trace serves another call.
  const CompiledFunction compiled =
      compile([](const std::vector<array>& in) { return std::vector<array>{in[0] * 2.0f}; });
  const auto call = [&](int n) {
    // Extents of 1 are in the trace: each number has another pattern of them.
    Shape shape;
    for (int bit = 0; bit < 7; ++bit) shape.push_back((n >> bit & 1) != 0 ? 2 : 1);
    EXPECT_EQ(test::difference(compiled({ones(shape)})[0], full(shape, 2.0f), 0), "");
  };
  const CompileStatistics before = compile_statistics();
  for (int n = 0; n < traces_kept; ++n) call(n);
  call(0);
  EXPECT_EQ(compiled.trace_count(), traces_kept);
  call(traces_kept);  // in place of number 1
  call(0);
  EXPECT_EQ(compiled.trace_count(), traces_kept + 1);
  call(1);
  EXPECT_EQ(compiled.trace_count(), traces_kept + 2);
  const CompileStatistics after = compile_statistics();
  EXPECT_EQ(after.hits - before.hits, 2u);
  EXPECT_EQ(after.misses - before.misses, static_cast<uint64_t>(traces_kept) + 2);
  EXPECT_EQ(after.evicted - before.evicted, 2u);
}

TEST(Compile, ModesGiveTheSameInOtherWays) {
  int calls = 0;
  const CompiledFunction compiled = compile([&](const std::vector<array>& in) {
    ++calls;
    const array y = exp(in[0]) + 1.0f;
    return std::vector<array>{tanh(y) * sin(y) - exp(in[0]) * (in[0] + 0.0f), matmul(in[0], in[1]) + 1.0f};
  });
  const std::vector<array> in{random::normal({20, 30}, float32, 0.0f, 1.0f, random::key(1)),
                              random::normal({30, 40}, float32, 0.0f, 1.0f, random::key(2))};
  const std::vector<array> expected = compiled(in);
  const int fused = compiled.kernel_count();
  EXPECT_EQ(fused, 2);
  for (CompileMode mode : {CompileMode::no_fuse, CompileMode::no_simplify, CompileMode::disabled}) {
    set_compile_mode(mode);
    EXPECT_EQ(compile_mode(), mode);
    const int before = calls;
    for (int again = 0; again < 2; ++again) {
      const std::vector<array> actual = compiled(in);
      for (size_t i = 0; i < actual.size(); ++i) {
        EXPECT_EQ(test::difference(actual[i], expected[i], 1e-5), "") << static_cast<int>(mode);
      }
    }
    EXPECT_EQ(calls - before, mode == CompileMode::disabled ? 2 : 1);
    if (mode == CompileMode::no_fuse) {
      EXPECT_GE(compiled.kernel_count(), fused + 5);
    }
  }
  set_compile_mode(CompileMode::enabled);
  const int before = calls;
  compiled(in);
  EXPECT_EQ(calls, before);
}

}  // namespace
}  // namespace lazuli
