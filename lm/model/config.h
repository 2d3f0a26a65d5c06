#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace lazuli::lm {

/// How wide activations are where weights meet them.
enum class Activations : std::uint8_t {
  float32,
  bfloat16,
  int8,  ///< float32, quantized to int8 a group at a time in front of quantized weights
};

/// "float32", "bfloat16" or "int8"; throws std::invalid_argument for anything else.
Activations activations_from_name(const std::string& name);

/// How positions turn queries and keys.
struct RotaryConfig {
  enum class Scaling : std::uint8_t {
    none,
    linear,  ///< positions divided by `factor`
    llama3,  ///< long wavelengths stretched by `factor`, short ones kept
  };
  double theta = 10000;
  Scaling scaling = Scaling::none;
  double factor = 1;
  double low_frequency_factor = 1;
  double high_frequency_factor = 4;
  double original_context = 8192;
};

/// MLX's affine quantization: codes of `bits` bits with a scale and a bias for each `group_size` elements.
struct Quantization {
  int group_size = 64;
  int bits = 4;
  bool operator==(const Quantization&) const = default;
};

/// What stands between the gate's projection and the product.
enum class Gate : std::uint8_t { silu, gelu, gelu_tanh };

/// A decoder as a description: a model family maps its config.json to these choices.
struct DecoderConfig {
  std::string model_type;

  int vocabulary_size = 0;
  int hidden_size = 0;
  int intermediate_size = 0;
  int layers = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int context = 0;  ///< the longest text it was trained on; 0 where the config does not say

  float norm_epsilon = 1e-6f;
  Gate gate = Gate::silu;
  RotaryConfig rotary;
  bool attention_bias = false;  ///< of the projections to queries, keys and values
  bool output_bias = false;     ///< of the projection that ends attention
  bool mlp_bias = false;
  bool qk_norm = false;  ///< RMS norms of each head's queries and keys, before positions turn them
  bool tied_embeddings = false;

  std::optional<Quantization> quantization;
  /// Layers that are quantized otherwise, by their path; none: not at all.
  std::map<std::string, std::optional<Quantization>> quantization_overrides;

  std::vector<std::int32_t> eos_token_ids;

  /// How the layer of that path is quantized, where its weights are.
  std::optional<Quantization> quantization_of(const std::string& path) const;

  /// Maps a parsed config.json. Throws std::runtime_error `[load] ...` where a field is missing, of the wrong
  /// type or out of bounds, and where the model type is not known.
  static DecoderConfig from_json(const nlohmann::json& config);
  /// Reads config.json, and generation_config.json for the stop tokens, in a folder.
  static DecoderConfig from_directory(const std::filesystem::path& directory);
};

/// Parses a JSON file; throws std::runtime_error `[load] FILE: ...` where it cannot be read or is malformed.
nlohmann::ordered_json read_json_file(const std::filesystem::path& file);

}  // namespace lazuli::lm
