#include <lazuli/compiler/templates/fft_factors.h>

#include <mutex>

#include <lazuli/compiler/lru_cache.h>
#include <lazuli/compiler/templates/fft_plan.h>

namespace lazuli::templates {

namespace {

/// The largest divisor that is at most the root; 0 if it fills less than half of the lanes, or if there are
/// large prime factors.
int64_t smaller_factor(int64_t length) {
  if (FftPlan::has_large_factor(length)) return 0;
  int64_t best = 0;
  for (int64_t i = fft_lanes / 2; i * i <= length; ++i) {
    if (length % i == 0) best = i;
  }
  return best;
}

}  // namespace

std::shared_ptr<const FftFactors> FftFactors::of(int64_t length) {
  constexpr size_t most_kept = 16;
  static std::mutex mutex;
  static LruCache<int64_t, std::shared_ptr<const FftFactors>> stock(most_kept);
  {
    const std::lock_guard lock(mutex);
    if (auto* const known = stock.find(length)) return *known;
  }
  const int64_t smaller = smaller_factor(length);
  const auto made = smaller == 0 ? nullptr : std::make_shared<const FftFactors>(length / smaller, smaller);
  const std::lock_guard lock(mutex);
  stock.insert(length, made);
  return made;
}

FftFactors::FftFactors(int64_t first, int64_t second) : first_(first), second_(second) {
  const int64_t length = first * second;
  float re = 0;
  float im = 0;
  for (int64_t column = 0; column < second; column += fft_lanes) {
    for (int64_t k = 0; k < first; ++k) {
      root_of_unity(k * column, length, re, im);
      blocks_.push_back(re);
      blocks_.push_back(im);
    }
  }
  lanes_.resize(static_cast<size_t>(first * fft_element));
  for (int64_t k = 0; k < first; ++k) {
    for (int64_t lane = 0; lane < fft_lanes; ++lane) {
      root_of_unity(k * lane, length, re, im);
      lanes_[static_cast<size_t>(k * fft_element + lane)] = re;
      lanes_[static_cast<size_t>(k * fft_element + fft_lanes + lane)] = im;
    }
  }
}

}  // namespace lazuli::templates
