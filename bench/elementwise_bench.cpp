// Fused elementwise work against the bandwidth of c = a + b, and the cost of small operations.
//
// Run it twice: the second process finds its kernels on disk and compiles nothing.

#include <cmath>
#include <cstdio>
#include <numbers>

#include <lazuli/compiler/llvm/jit.h>
#include <lazuli/lazuli.h>

#include "limits.h"

namespace lazuli::bench {
namespace {

constexpr int count = 16 << 20;

array gelu(const array& x) { return x * (array(1.0f) + erf(x * array(static_cast<float>(std::numbers::sqrt2 / 2)))) * array(0.5f); }

void report(const char* name, double seconds, double bytes, double limit) {
  const double bandwidth = bytes * 1e-9 / seconds;
  std::printf("%-34s %8.3f ms %7.1f GB/s  %5.1f %% of the add bandwidth\n", name, seconds * 1e3, bandwidth,
              100 * bandwidth / limit);
}

void run() {
  const array x = random::normal({count}), y = random::normal({count}), z = random::normal({count});
  eval(x, y, z);

  const auto start = std::chrono::steady_clock::now();
  const CompiledFunction compiled_gelu =
      compile([](const std::vector<array>& in) { return std::vector<array>{gelu(in[0])}; });
  const CompiledFunction compiled_gate = compile([](const std::vector<array>& in) {
    return std::vector<array>{in[0] * sigmoid(in[0]) * in[1] + in[2]};
  });
  compiled_gelu({x});
  compiled_gate({x, y, z});
  const double first_call = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  const double limit = add_bandwidth(count);
  std::printf("add bandwidth %.1f GB/s on %d threads\n", limit, num_threads());
  report("compiled GELU, 16 M float32", median_seconds([&] { compiled_gelu({x}); }), 8.0 * count, limit);
  report("compiled silu(x)*y+z, 16 M float32", median_seconds([&] { compiled_gate({x, y, z}); }), 16.0 * count, limit);
  report("GELU without compile()", median_seconds([&] { gelu(x).eval(); }), 8.0 * count, limit);

  const JitStatistics statistics = JitEngine::instance().statistics();
  std::printf("first calls took %.1f ms; kernels compiled %llu, loaded from disk %llu\n", first_call * 1e3,
              static_cast<unsigned long long>(statistics.compiled),
              static_cast<unsigned long long>(statistics.loaded_from_disk));

  const array step = ones({16}), begin = zeros({16});
  eval(step, begin);
  const double chained = median_seconds([&] {
    array sum = begin;
    for (int i = 0; i < 1000; ++i) sum = sum + step;
    sum.eval();
  });
  const double single = median_seconds([&] {
    array sum = begin;
    for (int i = 0; i < 1000; ++i) {
      sum = sum + step;
      sum.eval();
    }
  });
  std::printf("1,000 dependent adds of 16 elements: %.3f ms in one evaluation, %.3f ms evaluated one by one\n",
              chained * 1e3, single * 1e3);
}

}  // namespace
}  // namespace lazuli::bench

int main() { lazuli::bench::run(); }
