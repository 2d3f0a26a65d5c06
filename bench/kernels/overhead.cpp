// What small work costs: dependent operations, dispatch, compile time.

#include <chrono>
#include <filesystem>

#include <unistd.h>

#include <lazuli/compiler/kernel_cache.h>
#include <lazuli/compiler/llvm/jit.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/lazuli.h>

#include "kernels.h"

namespace lazuli::bench {
namespace {

constexpr int chain = 1000;

array chained_adds(const array& begin, const array& step) {
  array sum = begin;
  for (int i = 0; i < chain; ++i) sum = sum + step;
  return sum;
}

/// A chain of kernels that cannot be one: running maxima along rows, there and back. Each reads what the same
/// thread wrote, so that on all cores no lines of memory change hands.
array chained_kernels(const array& x, int kernels) {
  array r = x;
  for (int i = 0; i < kernels; ++i) r = cummax(r, 1, i % 2 == 1);
  return r;
}

/// Microseconds that dispatching a kernel takes: in a compiled chain of 100 over a square of `side` x `side`
/// floats, on all cores what a kernel takes beyond its share of the time on one thread, as medians over
/// rounds in turns.
double microseconds_a_kernel(int side, bool all_cores) {
  const int threads = num_threads();
  auto compiled =
      compile([](const std::vector<array>& in) { return std::vector<array>{chained_kernels(in[0], 100)}; });
  const array x = random::normal({side, side});
  eval(x);
  const auto run_on = [&](int count) {
    return [&, count] {
      set_num_threads(count);
      eval(compiled({x}));
    };
  };
  std::vector<Runnable> contenders = {run_on(1)};
  if (all_cores) contenders.push_back(run_on(threads));
  for (const Runnable& run : contenders) run();
  if (compiled.kernel_count() < 100) throw std::logic_error("[bench] kernels of the chain were fused");
  const std::vector<std::vector<double>> seconds = time_in_turns(contenders);
  set_num_threads(threads);
  if (!all_cores) return median(seconds[0]) * 1e6 / compiled.kernel_count();
  std::vector<double> beyond;
  for (size_t i = 0; i < seconds[0].size(); ++i) beyond.push_back(seconds[1][i] - seconds[0][i] / threads);
  return median(std::move(beyond)) * 1e6 / compiled.kernel_count();
}

/// Milliseconds to compile a kernel, and to load it from disk as a new process would: medians over 24 of
/// them.
std::pair<double, double> milliseconds_to_compile() {
  const std::filesystem::path before = kernel_cache_directory();
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("lazuli-bench-" + std::to_string(getpid()));
  set_kernel_cache_directory(folder);
  const JitMode mode = jit_mode();
  set_jit_mode(JitMode::sync);
  std::vector<double> compiled, loaded;
  const array x = random::normal({512, 512}), y = random::normal({512, 512});
  eval(x, y);
  for (int round = 0; round < 2; ++round) {
    clear_kernel_cache();
    for (int i = 0; i < 24; ++i) {
      const JitStatistics start = JitEngine::instance().statistics();
      // A function of its own each time: what eval compiled before, it would find again.
      const auto function = [i](const std::vector<array>& in) {
        array r = in[0] + in[1];
        for (int k = 0; k < i % 8; ++k) r = k % 2 == 0 ? tanh(r * in[0]) : exp(-abs(r)) * in[1];
        if (i / 8 == 1) r = sum(r, -1);
        if (i / 8 == 2) r = softmax(r, -1);
        return std::vector<array>{r};
      };
      eval(compile(function)({x, y}));
      const JitStatistics end = JitEngine::instance().statistics();
      if (end.compiled > start.compiled) {
        compiled.push_back(static_cast<double>(end.compile_nanoseconds - start.compile_nanoseconds) * 1e-6 /
                           static_cast<double>(end.compiled - start.compiled));
      }
      if (end.loaded_from_disk > start.loaded_from_disk) {
        loaded.push_back(static_cast<double>(end.load_nanoseconds - start.load_nanoseconds) * 1e-6 /
                         static_cast<double>(end.loaded_from_disk - start.loaded_from_disk));
      }
    }
  }
  set_jit_mode(mode);
  set_kernel_cache_directory(before);
  std::filesystem::remove_all(folder);
  if (compiled.empty() || loaded.empty())
    throw std::runtime_error("[bench] nothing was compiled, or nothing loaded");
  return {median(std::move(compiled)), median(std::move(loaded))};
}

}  // namespace

void bench_overhead(Table& table) {
  const std::string group = "overhead";
  const array begin = zeros({16}), step = ones({16});
  eval(begin, step);
  table.measure({.group = group,
                 .name = "1,000 dependent adds of 16 elements",
                 .run = [=] { chained_adds(begin, step).eval(); },
                 .wanted_seconds = 1e-3});
  auto compiled =
      compile([](const std::vector<array>& in) { return std::vector<array>{chained_adds(in[0], in[1])}; });
  table.measure({.group = group,
                 .name = "1,000 dependent adds, compiled function",
                 .run =
                     [=] {
                       eval(compiled({begin, step}));
                     },
                 .wanted_seconds = 0.1e-3});
  if (table.wants(group, "dispatch")) {
    table.state(group, "dispatch of a kernel, one thread", microseconds_a_kernel(4, false), "us", 1);
    // Work that is just worth splitting: 144 KB.
    table.state(group, "dispatch of a kernel, all cores", microseconds_a_kernel(192, true), "us", 4);
  }
  if (table.wants(group, "compile")) {
    const auto [compile_time, load_time] = milliseconds_to_compile();
    table.state(group, "compile a kernel, cold", compile_time, "ms", 15);
    table.state(group, "compile a kernel, from disk", load_time, "ms", 0.3);
  }
}

}  // namespace lazuli::bench
