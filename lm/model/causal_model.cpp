#include <lazuli/lm/model/causal_model.h>

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <lazuli/array/evaluator.h>
#include <lazuli/compiler/compile.h>
#include <lazuli/lm/model/decoder.h>
#include <lazuli/ops/ops.h>

namespace lazuli::lm {
namespace {

Activations choose_activations(const DecoderConfig& config, std::optional<Activations> asked) {
  if (!asked) return config.quantization ? Activations::int8 : Activations::float32;
  if (*asked == Activations::int8 && !config.quantization) {
    throw std::invalid_argument("[load] int8 activations need quantized weights");
  }
  return *asked;
}

}  // namespace

struct CausalModel::State {
  State(const DecoderConfig& description, const Weights& weights, Activations activations_asked,
        const std::optional<Quantization>& cache_asked)
      : config(description),
        activations(activations_asked),
        cache_format(cache_asked),
        dtype(LayerSource{weights, config, activations}.compute_dtype()),
        decoder(config, weights, activations, cache_format),
        none(compiled(LogitsOf::none)),
        last(compiled(LogitsOf::last)),
        all(compiled(LogitsOf::all)) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  CompiledFunction compiled(LogitsOf logits) const {
    return compile([this, logits](const std::vector<array>& inputs) { return decoder(inputs, logits); });
  }

  /// Runs at most `chunk` tokens; the logits, if any are wanted.
  std::optional<array> run(std::span<const std::int32_t> tokens, KvCache& cache, LogitsOf logits) const {
    const auto count = static_cast<int>(tokens.size());
    cache.reserve(count);
    std::vector<array> inputs;
    inputs.emplace_back(tokens.begin(), Shape{1, count}, int32);
    inputs.emplace_back(cache.length(), int32);
    inputs.emplace_back(cache.length() + count, int32);
    cache.give_up(inputs);
    const CompiledFunction& function = logits == LogitsOf::none   ? none
                                       : logits == LogitsOf::last ? last
                                                                  : all;
    std::vector<array> results = function(std::move(inputs));
    std::optional<array> first;
    if (logits != LogitsOf::none) first = results.front();
    cache.take_back(results, logits == LogitsOf::none ? 0 : 1, count);
    return first;
  }

  void check(std::span<const std::int32_t> tokens) const {
    if (tokens.empty()) throw std::invalid_argument("[model] there are no tokens");
    for (const std::int32_t token : tokens) {
      if (token >= 0 && token < config.vocabulary_size) continue;
      throw std::invalid_argument(fmt::format("[model] token id {} is out of range (vocabulary size {})",
                                              token, config.vocabulary_size));
    }
  }

  DecoderConfig config;
  Activations activations;
  std::optional<Quantization> cache_format;
  Dtype dtype;
  Decoder decoder;
  CompiledFunction none;
  CompiledFunction last;
  CompiledFunction all;
};

CausalModel CausalModel::from_directory(const std::filesystem::path& directory,
                                        std::optional<Activations> activations,
                                        const std::optional<Quantization>& cache) {
  if (!std::filesystem::is_directory(directory)) {
    throw std::runtime_error(fmt::format("[load] {} is no folder", directory.string()));
  }
  return {DecoderConfig::from_directory(directory), Weights::from_directory(directory), activations, cache};
}

CausalModel::CausalModel(const DecoderConfig& config, const Weights& weights,
                         std::optional<Activations> activations, const std::optional<Quantization>& cache) {
  if (cache) KvCache::check(*cache, config.head_dim);
  state_ = std::make_shared<const State>(config, weights, choose_activations(config, activations), cache);
}

const DecoderConfig& CausalModel::config() const {
  return state_->config;
}

Activations CausalModel::activations() const {
  return state_->activations;
}

KvCache CausalModel::make_cache() const {
  const DecoderConfig& config = state_->config;
  return {config.layers, config.kv_heads, config.head_dim, state_->dtype, state_->cache_format};
}

array CausalModel::next_logits(std::span<const std::int32_t> tokens, KvCache& cache) const {
  state_->check(tokens);
  for (; tokens.size() > chunk; tokens = tokens.subspan(chunk)) {
    state_->run(tokens.first(chunk), cache, LogitsOf::none);
  }
  array logits = reshape(*state_->run(tokens, cache, LogitsOf::last), {-1});
  logits.eval();
  return logits;
}

array CausalModel::all_logits(std::span<const std::int32_t> tokens, KvCache& cache) const {
  state_->check(tokens);
  std::vector<array> parts;
  for (std::size_t done = 0; done < tokens.size(); done += chunk) {
    const auto part = tokens.subspan(done, std::min<std::size_t>(chunk, tokens.size() - done));
    parts.push_back(*state_->run(part, cache, LogitsOf::all));
  }
  array logits = reshape(parts.size() == 1 ? parts.front() : concatenate(std::move(parts), 1),
                         {static_cast<int>(tokens.size()), state_->config.vocabulary_size});
  logits.eval();
  return logits;
}

int CausalModel::decode_kernel_count() const {
  return state_->last.kernel_count();
}

int CausalModel::trace_count() const {
  return state_->none.trace_count() + state_->last.trace_count() + state_->all.trace_count();
}

}  // namespace lazuli::lm
