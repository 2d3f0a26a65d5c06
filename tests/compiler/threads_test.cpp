// Many threads at everything that they share. What they compute is checked; ThreadSanitizer (the tsan preset)
// checks how they get there.

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <set>
#include <thread>
#include <vector>

#include <lazuli/array/evaluator.h>
#include <lazuli/array/memory.h>
#include <lazuli/compiler/kernel_cache.h>
#include <lazuli/compiler/profiler.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/lazuli.h>

#include "support/compare.h"
#include "support/settings_scope.h"

namespace lazuli {
namespace {

constexpr int thread_count = 4;

template <typename F>
void in_threads(const F& work) {
  std::vector<std::jthread> threads;
  for (int t = 0; t < thread_count; ++t) {
    threads.emplace_back([&work, t] { work(t); });
  }
}

TEST(Threads, EvaluateGraphsThatShareNodes) {
  for (int round = 0; round < 40; ++round) {
    // A ladder: each rung is used by the next and by a thread.
    array rung = full({50}, 1.0f);
    std::vector<array> rungs;
    for (int i = 0; i < 12; ++i) rungs.push_back(rung = rung * 0.5f + 1.0f);
    std::vector<float> sums(thread_count);
    in_threads([&](int t) {
      std::vector<array> mine = rungs;  // other threads' handles come and go
      array top = mine[static_cast<size_t>(11 - t)];
      mine.clear();
      const array result = sum(top - rungs[static_cast<size_t>(t)]);
      if (t % 2 == 0) async_eval(result);
      sums[static_cast<size_t>(t)] = result.item<float>();
    });
    const auto value = [](int i) { return 2.0f - std::ldexp(1.0f, -(i + 1)); };
    for (int t = 0; t < thread_count; ++t) {
      EXPECT_NEAR(sums[static_cast<size_t>(t)], 50 * (value(11 - t) - value(t)), 1e-3) << t;
    }
  }
}

TEST(Threads, WaitForTheSameArray) {
  for (int round = 0; round < 50; ++round) {
    const array x = sum(sin(arange(3000)) * 2.0f);
    std::vector<float> seen(thread_count);
    in_threads([&](int t) {
      if (t == 0) async_eval(x);
      if (t == 1) x.wait();  // perhaps for nothing: nobody may have begun
      seen[static_cast<size_t>(t)] = x.item<float>();
    });
    for (float value : seen) EXPECT_EQ(value, seen[0]);
  }
}

TEST(Threads, BuildCopyAndDropArrays) {
  std::vector<array> shared;
  for (int i = 0; i < 8; ++i) shared.push_back(full({16}, static_cast<float>(i)) + 1.0f);
  std::atomic<int> wrong{0};
  in_threads([&](int t) {
    for (int i = 0; i < 300; ++i) {
      const array a = shared[static_cast<size_t>((i + t) % 8)];
      const array b = shared[static_cast<size_t>((i * 3 + t) % 8)];
      array c = where(a > b, a, b) + static_cast<float>(i % 5);
      const array view = transpose(reshape(c, {4, 4}));
      if (i % 3 == 0) continue;  // dropped unevaluated
      const float expected = static_cast<float>(std::max((i + t) % 8, (i * 3 + t) % 8) + 1 + i % 5);
      if (max(view).item<float>() != expected) ++wrong;
    }
  });
  EXPECT_EQ(wrong, 0);
}

TEST(Threads, CallOneCompiledFunction) {
  const array scale = full({8}, 0.5f) * 2.0f;  // lazy: computed by whoever traces first
  const CompiledFunction compiled = compile([&](const std::vector<array>& in) {
    const array y = matmul(in[0], transpose(in[0])) * slice(scale, {0}, {1});
    return std::vector<array>{softmax(y, -1), sum(in[0] * in[0])};
  });
  std::atomic<int> wrong{0};
  in_threads([&](int t) {
    for (int i = 0; i < 30; ++i) {
      const int n = 2 + (i * 7 + t) % 5;
      const std::vector<array> out = compiled({full({n, 4 + t % 2}, 2.0f)});
      if (out[0].shape() != Shape{n, n} ||
          out[1].item<float>() != 4.0f * static_cast<float>(n * (4 + t % 2))) {
        ++wrong;
      }
      if (std::abs(sum(out[0]).item<float>() - static_cast<float>(n)) > 1e-4f) ++wrong;
    }
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(compiled.trace_count(), 1);
}

TEST(Threads, TransformWithTheSameLazyConstants) {
  for (int round = 0; round < 10; ++round) {
    const array weight = sin(arange(6)) * 0.1f + 1.0f;  // some evaluate it while others trace
    std::atomic<int> wrong{0};
    in_threads([&](int t) {
      const auto f = [&](const array& x) { return sum(square(x * weight)); };
      const array x = full({6}, static_cast<float>(t + 1));
      const array gradient = grad(std::function<array(const array&)>(f))(x);
      if (t % 2 == 0) sum(weight).item<float>();
      if (!allclose(gradient, 2.0f * x * weight * weight).item<bool>()) ++wrong;
      const array rows = vmap(std::function<array(const array&)>(f))(broadcast_to(x, {3, 6}));
      if (!allclose(rows, broadcast_to(f(x), {3})).item<bool>()) ++wrong;
    });
    EXPECT_EQ(wrong, 0);
  }
}

TEST(Threads, UseStreamsAcross) {
  std::vector<Stream> streams;
  for (int i = 0; i < 3; ++i) streams.push_back(new_stream(Device::cpu));
  std::atomic<int> wrong{0};
  in_threads([&](int t) {
    for (int round = 0; round < 20; ++round) {
      array x = full({32}, static_cast<float>(t));
      for (int i = 0; i < 10; ++i) {
        x = add(x, array(1.0f), streams[static_cast<size_t>((i + t + round) % 3)]);
        if (i % 4 == 3) async_eval(x);
      }
      if (round % 5 == 0) synchronize(streams[static_cast<size_t>(t % 3)]);
      if (sum(x).item<float>() != 32.0f * static_cast<float>(t + 10)) ++wrong;
    }
  });
  EXPECT_EQ(wrong, 0);
  clear_streams();
}

TEST(Threads, KernelsComeAndGoFromTheCache) {
  const size_t limit = kernel_cache_limit();
  set_kernel_cache_limit(3);
  for (const JitMode mode : {JitMode::off, JitMode::sync, JitMode::async}) {
    const test::JitModeScope scope(mode);
    std::atomic<int> wrong{0};
    in_threads([&](int t) {
      for (int i = 0; i < 6; ++i) {
        // Kernels that nobody has met, of which threads meet some together.
        array x = full({40}, 1.0f);
        for (int k = 0; k <= (i + t) % 4; ++k) x = maximum(x * 1.0f, x + 1.0f);
        if (i == 3 && t == 0) clear_kernel_cache();
        if (sum(x).item<float>() != 40.0f * static_cast<float>((i + t) % 4 + 2)) ++wrong;
      }
    });
    EXPECT_EQ(wrong, 0);
  }
  set_kernel_cache_limit(limit);
}

TEST(Threads, DrawDifferentRandomNumbers) {
  std::vector<std::vector<float>> drawn(thread_count);
  in_threads([&](int t) {
    for (int i = 0; i < 50; ++i) {
      drawn[static_cast<size_t>(t)].push_back(
          random::uniform(array(0.0f), array(1.0f), {1}, float32).item<float>());
    }
  });
  std::set<float> all;
  for (const auto& values : drawn) all.insert(values.begin(), values.end());
  EXPECT_GE(all.size(), 195u);  // of 200, with 24 bits each
}

TEST(Threads, ShareTheAllocator) {
  const size_t active = get_active_memory();
  in_threads([&](int t) {
    for (int i = 0; i < 40; ++i) {
      const array big = full({100000 + 1000 * i}, 1.0f) + static_cast<float>(t);
      EXPECT_EQ(max(big).item<float>(), 1.0f + static_cast<float>(t));
      if (t == 0) clear_cache();
      if (t == 1) set_cache_limit(set_cache_limit(size_t{1} << 20));
      if (t == 2) reset_peak_memory();
    }
  });
  EXPECT_EQ(get_active_memory(), active);
}

TEST(Threads, LargeKernelsShareThePool) {
  const array a = random::normal({300, 300}, float32, 0.0f, 1.0f, random::key(1));
  const array b = random::normal({300, 300}, float32, 0.0f, 1.0f, random::key(2));
  const array expected = matmul(a, b);
  const array row_sums = sum(exp(a), -1);
  eval(expected, row_sums);
  set_num_threads(3);
  std::atomic<int> wrong{0};
  in_threads([&](int t) {
    for (int i = 0; i < 6; ++i) {
      if (t == 3) set_num_threads(2 + i % 2);
      if (!allclose(matmul(a, b), expected, 1e-4, 1e-4).item<bool>()) ++wrong;
      if (!allclose(sum(exp(a), -1), row_sums, 1e-4, 1e-4).item<bool>()) ++wrong;
      const array sorted = sort(reshape(b, {-1}));
      if (!all(slice(sorted, {0}, {89999}) <= slice(sorted, {1}, {90000})).item<bool>()) ++wrong;
      if (std::abs(max(slice(cumsum(reshape(a, {-1})), {89999}, {90000})).item<float>() -
                   sum(a).item<float>()) > 0.5f)
        ++wrong;
    }
  });
  set_num_threads(0);
  EXPECT_EQ(wrong, 0);
}

TEST(Threads, AreProfiled) {
  std::atomic<bool> done{false};
  std::jthread other([&] {
    while (!done) {
      profiler::start();
      profiler::stop();
      static_cast<void>(profiler::report());
    }
  });
  in_threads([&](int t) {
    for (int i = 0; i < 60; ++i) {
      EXPECT_EQ(sum(full({10}, static_cast<float>(t)) * 2.0f).item<float>(), 20.0f * static_cast<float>(t));
    }
  });
  done = true;
}

}  // namespace
}  // namespace lazuli
