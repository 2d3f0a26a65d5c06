#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <vector>

#include <emmintrin.h>

#include <lazuli/compiler/thread_pool.h>
#include <lazuli/compiler/settings.h>

/// The machine's limits, measured where and when a benchmark runs.
namespace lazuli::bench {

/// Seconds that `f` takes: the median of `repeats` runs after a first one that does not count.
inline double median_seconds(const std::function<void()>& f, int repeats = 15) {
  std::vector<double> times;
  f();
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    f();
    times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

/// GB/s of c = a + b over `count` floats on all threads, reads and writes counted: the better of plain and
/// non-temporal stores.
inline double add_bandwidth(size_t count) {
  std::vector<float> a(count, 1.0f), b(count, 2.0f), c(count, 0.0f);
  const auto threads = static_cast<int64_t>(num_threads());
  const auto over_threads = [&](auto&& loop) {
    return median_seconds([&] {
      parallel_for(threads, [&](int64_t part) {
        const size_t begin = count / static_cast<size_t>(threads) * static_cast<size_t>(part) / 16 * 16;
        const size_t end = part + 1 == threads
                               ? count
                               : count / static_cast<size_t>(threads) * static_cast<size_t>(part + 1) / 16 * 16;
        loop(begin, end);
      });
    });
  };
  const double plain = over_threads([&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i += 4) {
      _mm_storeu_ps(&c[i], _mm_add_ps(_mm_loadu_ps(&a[i]), _mm_loadu_ps(&b[i])));
    }
  });
  const double streaming = over_threads([&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i += 4) {
      _mm_stream_ps(&c[i], _mm_add_ps(_mm_loadu_ps(&a[i]), _mm_loadu_ps(&b[i])));
    }
  });
  return 12e-9 * static_cast<double>(count) / std::min(plain, streaming);
}

}  // namespace lazuli::bench
