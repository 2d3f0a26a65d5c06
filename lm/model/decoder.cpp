#include <lazuli/lm/model/decoder.h>

#include <cmath>
#include <numbers>
#include <utility>

#include <fmt/format.h>

#include <lazuli/lm/model/kv_cache.h>
#include <lazuli/ops/ops.h>

namespace lazuli::lm {
namespace {

/// Places in the inputs.
enum : std::size_t { kTokens, kOffset, kLength, kCaches };

/// A number of x's dtype, so that it does not widen what it meets.
array number(float value, const array& x) {
  return array(value, x.dtype());
}

array activate(Gate gate, const array& x) {
  switch (gate) {
    case Gate::silu:
      return x * sigmoid(x);
    case Gate::gelu:
      return x * (erf(x * number(1 / std::numbers::sqrt2_v<float>, x)) + number(1, x)) * number(0.5f, x);
    case Gate::gelu_tanh:
      break;
  }
  const float root = std::sqrt(2 / std::numbers::pi_v<float>);
  const array inner = number(root, x) * (x + number(0.044715f, x) * x * x * x);
  return number(0.5f, x) * x * (number(1, x) + tanh(inner));
}

}  // namespace

array Decoder::Norm::operator()(const array& x) const {
  // A weight of another dtype than x would set the result's.
  return fast::rms_norm(x, astype(weight, x.dtype()), epsilon);
}

Decoder::Norm Decoder::load_norm(const LayerSource& source, const std::string& path, int width) {
  return {source.weights.get_floating(path + ".weight", {width}), source.config.norm_epsilon};
}

Decoder::Layer::Layer(const LayerSource& source, const std::string& path)
    : attention_norm(load_norm(source, path + ".input_layernorm", source.config.hidden_size)),
      query_key_value(
          source, {path + ".self_attn.q_proj", path + ".self_attn.k_proj", path + ".self_attn.v_proj"},
          source.config.hidden_size,
          {source.config.heads * source.config.head_dim, source.config.kv_heads * source.config.head_dim,
           source.config.kv_heads * source.config.head_dim},
          source.config.attention_bias),
      output(source, {path + ".self_attn.o_proj"}, source.config.heads * source.config.head_dim,
             {source.config.hidden_size}, source.config.output_bias),
      mlp_norm(load_norm(source, path + ".post_attention_layernorm", source.config.hidden_size)),
      gate_up(source, {path + ".mlp.gate_proj", path + ".mlp.up_proj"}, source.config.hidden_size,
              {source.config.intermediate_size, source.config.intermediate_size}, source.config.mlp_bias),
      down(source, {path + ".mlp.down_proj"}, source.config.intermediate_size, {source.config.hidden_size},
           source.config.mlp_bias) {
  if (!source.config.qk_norm) return;
  query_norm = load_norm(source, path + ".self_attn.q_norm", source.config.head_dim);
  key_norm = load_norm(source, path + ".self_attn.k_norm", source.config.head_dim);
}

Decoder::Decoder(const DecoderConfig& config, const Weights& weights, Activations activations,
                 const std::optional<Quantization>& cache)
    : cache_(cache),
      gate_(config.gate),
      heads_(config.heads),
      kv_heads_(config.kv_heads),
      head_dim_(config.head_dim),
      rotary_(config.rotary, config.head_dim),
      head_({weights, config, activations}, {config.tied_embeddings ? "model.embed_tokens" : "lm_head"},
            config.hidden_size, {config.vocabulary_size}, false),
      embedding_({weights, config, activations}, "model.embed_tokens", config.vocabulary_size,
                 config.hidden_size, config.tied_embeddings ? &head_ : nullptr),
      final_norm_(load_norm({weights, config, activations}, "model.norm", config.hidden_size)) {
  const LayerSource source{weights, config, activations};
  for (int i = 0; i < config.layers; ++i) layers_.emplace_back(source, fmt::format("model.layers.{}", i));
}

array Decoder::attend(const Layer& layer, std::size_t index, const array& x, Step& step) const {
  const std::vector<array>& inputs = step.inputs;
  const array& offset = inputs[kOffset];
  const Dim length = x.shape(1);
  const auto by_head = [&](const array& projected, int heads, const std::optional<Norm>& norm) {
    const array split = reshape(projected, {1, length, heads, head_dim_});
    return transpose(norm ? (*norm)(split) : split, {0, 2, 1, 3});
  };
  const std::vector<array> projected = layer.query_key_value(layer.attention_norm(x));
  const array queries = rotary_(by_head(projected[0], heads_, layer.query_norm), offset);
  const array new_keys = rotary_(by_head(projected[1], kv_heads_, layer.key_norm), offset);
  const array new_values = by_head(projected[2], kv_heads_, std::nullopt);

  const array start = reshape(offset, {1});
  std::size_t place = kCaches + 2 * index * static_cast<std::size_t>(KvCache::parts_of(cache_));
  const auto append = [&](const array& rows) {
    const std::vector<array> parts =
        cache_ ? quantize(rows, cache_->group_size, cache_->bits) : std::vector<array>{rows};
    std::vector<array> caches;
    for (const array& part : parts) caches.push_back(slice_update(inputs[place++], part, start, {2}));
    step.results.insert(step.results.end(), caches.begin(), caches.end());
    return caches;
  };
  const std::vector<array> keys = append(new_keys);
  const std::vector<array> values = append(new_values);
  const float scale = 1 / std::sqrt(static_cast<float>(head_dim_));
  const array& key_length = inputs[kLength];
  const array attended =
      cache_ ? fast::attention_over_quantized_cache(queries, keys, values, key_length, scale, {},
                                                    cache_->group_size, cache_->bits)
             : fast::attention_over_cache(queries, keys.front(), values.front(), key_length, scale);
  return layer.output.single(reshape(transpose(attended, {0, 2, 1, 3}), {1, length, heads_ * head_dim_}));
}

array Decoder::feed_forward(const Layer& layer, const array& x) const {
  const std::vector<array> projected = layer.gate_up(layer.mlp_norm(x));
  return layer.down.single(activate(gate_, projected[0]) * projected[1]);
}

array Decoder::to_logits(const array& x) const {
  return astype(head_.single(final_norm_(x)), float32);
}

std::vector<array> Decoder::operator()(const std::vector<array>& inputs, LogitsOf logits) const {
  Step step{inputs, {}};
  array x = embedding_(inputs[kTokens]);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    x = x + attend(layers_[i], i, x, step);
    x = x + feed_forward(layers_[i], x);
  }
  if (logits == LogitsOf::none) return std::move(step.results);
  if (logits == LogitsOf::last) {
    const Dim length = x.shape(1);
    x = slice(x, Shape{0, length - 1, 0}, Shape{1, length, x.shape(2)});
  }
  step.results.insert(step.results.begin(), to_logits(x));
  return std::move(step.results);
}

}  // namespace lazuli::lm
