#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>

#include <lazuli/array/array.h>
#include <lazuli/lm/model/config.h>
#include <lazuli/lm/model/kv_cache.h>
#include <lazuli/lm/model/weights.h>

namespace lazuli::lm {

/// A language model that predicts the next token: a decoder with its weights, compiled. One program serves
/// every step of generation and one prompts of any length. Cheap to copy; copies share everything.
class CausalModel {
 public:
  /// The most tokens that go through the model at once; longer texts are cut, which bounds memory.
  static constexpr int chunk = 512;

  /// Loads a Hugging Face folder. Without `activations`: int8 where weights are quantized, otherwise float32.
  /// With `cache`, keys and values are quantized so as they are appended, and stay so.
  /// Throws std::runtime_error `[load] ...` where something is missing or does not fit, and
  /// std::invalid_argument `[cache] ...` for a cache that heads do not go into.
  static CausalModel from_directory(const std::filesystem::path& directory,
                                    std::optional<Activations> activations = std::nullopt,
                                    const std::optional<Quantization>& cache = std::nullopt);
  CausalModel(const DecoderConfig& config, const Weights& weights,
              std::optional<Activations> activations = std::nullopt,
              const std::optional<Quantization>& cache = std::nullopt);

  const DecoderConfig& config() const;
  Activations activations() const;
  KvCache make_cache() const;

  /// Appends tokens (at least one) to the text in the cache; the logits that follow it, float32 [vocabulary].
  /// Throws std::invalid_argument `[model] ...` for a token out of range.
  array next_logits(std::span<const std::int32_t> tokens, KvCache& cache) const;
  /// The same with the logits after each of the tokens, float32 [tokens, vocabulary].
  array all_logits(std::span<const std::int32_t> tokens, KvCache& cache) const;

  /// How often the decoder has been traced: a measure of how well programs fit other lengths.
  int trace_count() const;
  /// How many kernels and host operations a step of generation runs; 0 before the first.
  int decode_kernel_count() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace lazuli::lm
