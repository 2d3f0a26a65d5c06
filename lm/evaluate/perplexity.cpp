#include <lazuli/lm/evaluate/perplexity.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <fmt/format.h>

#include <lazuli/array/evaluator.h>
#include <lazuli/ops/ops.h>

namespace lazuli::lm {
namespace {

/// The sum of the negative log-likelihoods of all tokens but the first.
double score(const CausalModel& model, std::span<const std::int32_t> window, KvCache& cache) {
  cache.clear();
  const auto scored = static_cast<int>(window.size()) - 1;
  // The last token is predicted, and predicts nothing.
  const array logits = model.all_logits(window.first(window.size() - 1), cache);
  const array targets(window.begin() + 1, {scored, 1}, int32);
  array losses = logsumexp(logits, -1, true) - take_along_axis(logits, targets, -1);
  losses = reshape(losses, {-1});
  losses.eval();
  const float* values = losses.data<float>();
  double sum = 0;
  for (int i = 0; i < scored; ++i) sum += values[i];
  return sum;
}

}  // namespace

double PerplexityResult::perplexity() const {
  return std::exp(mean_nll);
}

PerplexityResult perplexity(const CausalModel& model, std::span<const std::int32_t> tokens,
                            const PerplexityOptions& options,
                            const std::function<void(const PerplexityResult&)>& on_window) {
  if (options.window < 2) {
    throw std::invalid_argument(
        fmt::format("[perplexity] a window has at least 2 tokens, not {}", options.window));
  }
  if (tokens.size() < 2) {
    throw std::invalid_argument(
        fmt::format("[perplexity] the text has {} tokens; at least 2 are needed", tokens.size()));
  }
  const std::size_t length = std::min<std::size_t>(options.window, tokens.size());
  std::size_t windows = tokens.size() / length;
  if (options.max_windows > 0) windows = std::min<std::size_t>(windows, options.max_windows);

  KvCache cache = model.make_cache();
  PerplexityResult result;
  double sum = 0;
  for (std::size_t i = 0; i < windows; ++i) {
    sum += score(model, tokens.subspan(i * length, length), cache);
    ++result.windows;
    result.scored_tokens += static_cast<std::int64_t>(length) - 1;
    result.mean_nll = sum / static_cast<double>(result.scored_tokens);
    if (on_window) on_window(result);
  }
  return result;
}

}  // namespace lazuli::lm
