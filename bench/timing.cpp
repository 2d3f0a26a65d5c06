#include "timing.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <lazuli/compiler/background.h>

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

}  // namespace

std::vector<std::vector<double>> time_in_turns(const std::vector<Runnable>& contenders, double seconds) {
  std::vector<int> calls;
  double round = 0;
  for (const Runnable& run : contenders) {
    run();
    wait_for_background();
    run();
    double once = seconds_of(run, 1);
    int count = 1;
    while (once * count < shortest) {
      count = std::max(count * 2, static_cast<int>(shortest / std::max(once, 1e-9)));
      once = seconds_of(run, count);
    }
    calls.push_back(count);
    round += once * count;
  }
  const double budget = seconds * static_cast<double>(contenders.size());
  const int rounds = std::clamp(static_cast<int>(budget / round), 5, 200);
  std::vector<std::vector<double>> times(contenders.size());
  for (int r = 0; r < rounds; ++r) {
    for (size_t i = 0; i < contenders.size(); ++i) times[i].push_back(seconds_of(contenders[i], calls[i]));
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
