#pragma once

#include <optional>
#include <string>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/lm/model/config.h>
#include <lazuli/lm/model/linear.h>
#include <lazuli/lm/model/rotary.h>

namespace lazuli::lm {

/// Of which positions logits are wanted.
enum class LogitsOf : std::uint8_t { none, last, all };

/// A decoder as its description says: a function from tokens and caches to logits and caches, of array
/// operations alone, so that it can be traced and compiled.
class Decoder {
 public:
  /// Throws std::runtime_error `[load] ...` where the weights do not fit the description.
  /// `cache` says how keys and values are quantized, if they are (see KvCache).
  Decoder(const DecoderConfig& config, const Weights& weights, Activations activations,
          const std::optional<Quantization>& cache);

  /// `inputs` are tokens [1, T] (int32), the number of tokens before them and that number plus T (int32
  /// scalars: a length known only when it runs), then keys and values of each layer, in as many parts as the
  /// cache has. Results are the logits, float32 [1, T, vocabulary] or [1, 1, vocabulary], unless none are
  /// wanted, and the updated caches.
  std::vector<array> operator()(const std::vector<array>& inputs, LogitsOf logits) const;

 private:
  struct Norm {
    array weight;
    float epsilon;
    array operator()(const array& x) const;
  };
  struct Layer {
    Layer(const LayerSource& source, const std::string& path);

    Norm attention_norm;
    Linear query_key_value;
    std::optional<Norm> query_norm;
    std::optional<Norm> key_norm;
    Linear output;
    Norm mlp_norm;
    Linear gate_up;
    Linear down;
  };
  /// What one run of the decoder hands from layer to layer.
  struct Step {
    const std::vector<array>& inputs;
    std::vector<array> results;
  };

  static Norm load_norm(const LayerSource& source, const std::string& path, int width);
  array attend(const Layer& layer, std::size_t index, const array& x, Step& step) const;
  array feed_forward(const Layer& layer, const array& x) const;
  array to_logits(const array& x) const;

  std::optional<Quantization> cache_;
  Gate gate_;
  int heads_;
  int kv_heads_;
  int head_dim_;
  Rotary rotary_;
  Linear head_;
  Embedding embedding_;  // may share the head's matrix
  std::vector<Layer> layers_;
  Norm final_norm_;
};

}  // namespace lazuli::lm
