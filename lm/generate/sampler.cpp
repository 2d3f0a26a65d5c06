#include <lazuli/lm/generate/sampler.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>

#include <fmt/format.h>

#include <lazuli/array/evaluator.h>
#include <lazuli/ops/random.h>

namespace lazuli::lm {
namespace {

constexpr int kBitsAtOnce = 256;

std::uint64_t fresh_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

void check(const SamplingOptions& options) {
  const auto require = [](bool fits, const char* what, double value) {
    if (!fits) throw std::invalid_argument(fmt::format("[sample] {}, but is {}", what, value));
  };
  require(options.temperature >= 0 && std::isfinite(options.temperature),
          "the temperature must be at least 0", options.temperature);
  require(options.top_p > 0 && options.top_p <= 1, "top_p must be above 0 and at most 1", options.top_p);
  require(options.top_k >= 0, "top_k must be at least 0", options.top_k);
  require(options.min_p >= 0 && options.min_p <= 1, "min_p must be between 0 and 1", options.min_p);
}

/// The most probable token; NaN never wins.
std::int32_t argmax(std::span<const float> logits) {
  std::int32_t best = -1;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (best < 0 ? !std::isnan(logits[i]) : logits[i] > logits[static_cast<std::size_t>(best)]) {
      best = static_cast<std::int32_t>(i);
    }
  }
  if (best < 0) throw std::runtime_error("[sample] no logit is a number");
  return best;
}

}  // namespace

Sampler::Sampler(const SamplingOptions& options)
    : options_(options), key_(random::key(options.seed ? *options.seed : fresh_seed())) {
  check(options);
}

std::int32_t Sampler::operator()(std::span<const float> logits) {
  const std::int32_t best = argmax(logits);
  if (options_.temperature == 0 || options_.top_k == 1) return best;
  const float maximum = logits[static_cast<std::size_t>(best)];
  // Infinite logits leave no ratio of probabilities to draw by.
  if (std::isinf(maximum)) return best;

  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float weight = std::exp((logits[i] - maximum) / options_.temperature);
    if (weight > 0) candidates_.push_back({weight, static_cast<std::int32_t>(i)});
  }
  restrict_candidates();

  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  double left = uniform() * total;
  for (const Candidate& candidate : candidates_) {
    left -= candidate.weight;
    if (left < 0) return candidate.id;
  }
  return candidates_.back().id;
}

void Sampler::restrict_candidates() {
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
  };
  const auto top_k = static_cast<std::size_t>(options_.top_k);
  if (top_k > 0 && top_k < candidates_.size()) {
    const auto end = candidates_.begin() + options_.top_k;
    std::nth_element(candidates_.begin(), end, candidates_.end(), before);
    candidates_.erase(end, candidates_.end());
  }
  if (options_.top_p < 1) {
    double total = 0;
    for (const Candidate& candidate : candidates_) total += candidate.weight;
    // A heap gives the most probable ones in turn: there are mostly few to take.
    const auto after = [&](const Candidate& a, const Candidate& b) { return before(b, a); };
    std::make_heap(candidates_.begin(), candidates_.end(), after);
    auto heap_end = candidates_.end();
    double taken = 0;
    while (heap_end != candidates_.begin() && taken < options_.top_p * total) {
      std::pop_heap(candidates_.begin(), heap_end, after);
      taken += (--heap_end)->weight;
    }
    candidates_.erase(candidates_.begin(), heap_end);
  }
  // Weights are relative to that of the most probable token, which is 1.
  if (options_.min_p > 0) {
    std::erase_if(candidates_, [&](const Candidate& candidate) { return candidate.weight < options_.min_p; });
  }
  // One order for one set, however it came about: equal seeds then draw equal tokens.
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
}

double Sampler::uniform() {
  if (bits_.empty()) {
    auto [rest, now] = random::split(key_);
    array bits = random::bits({kBitsAtOnce}, 4, now);
    eval(rest, bits);
    key_ = rest;
    bits_.assign(bits.data<std::uint32_t>(), bits.data<std::uint32_t>() + kBitsAtOnce);
    std::reverse(bits_.begin(), bits_.end());
  }
  const double value = (bits_.back() + 0.5) / (double{std::numeric_limits<std::uint32_t>::max()} + 1);
  bits_.pop_back();
  return value;
}

}  // namespace lazuli::lm
