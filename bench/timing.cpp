#include "timing.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>

#include <unistd.h>

#include <lazuli/compiler/background.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli::bench {
namespace {

/// A turn lasts at least so long: far above the clock's resolution, and long enough that what a contender
/// finds in the caches is its own.
constexpr double shortest = 2e-3;

double seconds_of(const Runnable& run, int calls) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i) run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / calls;
}

/// As much as the caches of all cores hold, which is read to clear them.
const std::vector<uint64_t>& cache_filler() {
  static const std::vector<uint64_t> filler = [] {
    constexpr int64_t usual = int64_t{64} << 20, most = int64_t{1} << 30;
    const int64_t last_level = sysconf(_SC_LEVEL3_CACHE_SIZE);
    const int64_t second_level = std::max<int64_t>(sysconf(_SC_LEVEL2_CACHE_SIZE), 0) * num_threads();
    const int64_t bytes = std::min((last_level > 0 ? last_level : usual) + second_level, most);
    return std::vector<uint64_t>(static_cast<size_t>(bytes) / sizeof(uint64_t), 1);
  }();
  return filler;
}

/// Fills the caches with something that nobody asks for.
void clear_caches() {
  static std::atomic<uint64_t> sink;
  const std::vector<uint64_t>& filler = cache_filler();
  const auto parts = static_cast<size_t>(num_threads());
  parallel_for(num_threads(), [&](int64_t part) {
    constexpr size_t line = 64 / sizeof(uint64_t);
    const size_t begin = filler.size() * static_cast<size_t>(part) / parts;
    const size_t end = filler.size() * static_cast<size_t>(part + 1) / parts;
    uint64_t sum = 0;
    for (size_t i = begin; i < end; i += line) sum += filler[i];
    sink += sum;
  });
}

}  // namespace

std::vector<std::vector<double>> time_in_turns(const std::vector<Runnable>& contenders, double seconds,
                                               Operands operands) {
  const bool in_memory = operands == Operands::in_memory;
  std::vector<int> calls;
  double round = 0;
  for (const Runnable& run : contenders) {
    run();
    wait_for_background();
    run();
    double once = seconds_of(run, 1);
    int count = 1;
    while (!in_memory && once * count < shortest) {
      count = std::max(count * 2, static_cast<int>(shortest / std::max(once, 1e-9)));
      once = seconds_of(run, count);
    }
    calls.push_back(count);
    round += once * count + (in_memory ? seconds_of(clear_caches, 1) : 0);
  }
  const double budget = seconds * static_cast<double>(contenders.size());
  const int rounds = std::clamp(static_cast<int>(budget / round), 5, 200);
  std::vector<std::vector<double>> times(contenders.size());
  for (int r = 0; r < rounds; ++r) {
    for (size_t i = 0; i < contenders.size(); ++i) {
      if (in_memory) clear_caches();
      times[i].push_back(seconds_of(contenders[i], calls[i]));
    }
  }
  return times;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double median_ratio(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> ratios;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) ratios.push_back(a[i] / b[i]);
  return median(std::move(ratios));
}

}  // namespace lazuli::bench
