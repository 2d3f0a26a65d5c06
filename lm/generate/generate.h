#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <lazuli/lm/generate/sampler.h>
#include <lazuli/lm/model/causal_model.h>
#include <lazuli/lm/tokenizer/tokenizer.h>

namespace lazuli::lm {

struct GenerationOptions {
  int max_tokens = 256;
  SamplingOptions sampling = {};
  /// Texts that end the generation; they are not part of it.
  std::vector<std::string> stop = {};
};

enum class FinishReason : std::uint8_t {
  stop,    ///< a stop token or a stop string
  length,  ///< `max_tokens`
};

struct GenerationStatistics {
  int prompt_tokens = 0;
  double prompt_seconds = 0;  ///< until the first token is known
  int generation_tokens = 0;
  double generation_seconds = 0;  ///< for the tokens after the first
  std::size_t peak_memory_bytes = 0;

  double prompt_tokens_per_second() const;
  double generation_tokens_per_second() const;
};

struct GenerationResult {
  /// Without special tokens and without the stop string.
  std::string text;
  /// All that were generated, a stop token at the end included.
  std::vector<std::int32_t> token_ids;
  FinishReason finish_reason = FinishReason::length;
  GenerationStatistics statistics;
};

/// Takes each piece of text as soon as it is certain: whole characters, nothing of a stop string.
using TextCallback = std::function<void(std::string_view piece)>;

/// Continues a prompt. The tokens that end a text are those that the model's folder names, or the tokenizer's
/// if it names none. Throws std::invalid_argument `[generate] ...` for an empty prompt, ids or options out of
/// range.
GenerationResult generate(const CausalModel& model, const Tokenizer& tokenizer,
                          std::span<const std::int32_t> prompt_ids, const GenerationOptions& options = {},
                          const TextCallback& on_text = {});

}  // namespace lazuli::lm
