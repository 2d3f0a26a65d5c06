#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include <lazuli/lm/model/causal_model.h>

namespace lazuli::lm {

struct PerplexityOptions {
  int window = 512;     ///< tokens
  int max_windows = 0;  ///< 0: all
};

struct PerplexityResult {
  double mean_nll = 0;  ///< negative log-likelihood per scored token, in nats
  int windows = 0;
  std::int64_t scored_tokens = 0;

  /// exp(mean_nll)
  double perplexity() const;
};

/// How well a model predicts a text: windows without overlap, each scored on its own, its first token not
/// scored. What is left behind the last whole window is not scored, unless there is no whole one.
/// `on_window`, if any, sees the result so far after each window. Throws std::invalid_argument `[perplexity]
/// ...` for fewer than two tokens or a window of fewer than two.
PerplexityResult perplexity(const CausalModel& model, std::span<const std::int32_t> tokens,
                            const PerplexityOptions& options = {},
                            const std::function<void(const PerplexityResult&)>& on_window = {});

}  // namespace lazuli::lm
