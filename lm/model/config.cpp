#include <lazuli/lm/model/config.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

#include <lazuli/lm/model/family.h>
#include <lazuli/lm/tokenizer/json_node.h>

namespace lazuli::lm {
namespace {

/// Far above any model; products of two still fit into 63 bits.
constexpr std::size_t kMaximumExtent = std::size_t{1} << 24;
/// Bounds what building the graph may cost before a lying config is found out by its weights.
constexpr int kMaximumLayers = 1024;

constexpr std::array kFamilies = {ModelFamily{"llama", describe_llama}, ModelFamily{"qwen3", describe_qwen3}};

int as_extent(const JsonNode& node) {
  const std::size_t value = node.as_size();
  if (value == 0 || value > kMaximumExtent) node.fail(fmt::format("is {}, out of bounds", value));
  return static_cast<int>(value);
}

double as_positive(const JsonNode& node) {
  const double value = node.as_number();
  if (!(value > 0) || !std::isfinite(value)) node.fail("must be a positive number");
  return value;
}

double positive_or(const JsonNode& node, const char* key, double otherwise) {
  const auto found = node.find(key);
  return found ? as_positive(*found) : otherwise;
}

void read_scaling(const JsonNode& node, RotaryConfig& rotary) {
  // "type" is the older of the two names.
  const std::string type = node.string_or("rope_type", node.string_or("type", "default"));
  if (type == "default") return;
  if (type == "linear") {
    rotary.scaling = RotaryConfig::Scaling::linear;
    rotary.factor = as_positive(node.member("factor"));
  } else if (type == "llama3") {
    rotary.scaling = RotaryConfig::Scaling::llama3;
    rotary.factor = as_positive(node.member("factor"));
    rotary.low_frequency_factor = positive_or(node, "low_freq_factor", 1);
    rotary.high_frequency_factor = positive_or(node, "high_freq_factor", 4);
    rotary.original_context = positive_or(node, "original_max_position_embeddings", 8192);
    if (rotary.high_frequency_factor <= rotary.low_frequency_factor) {
      node.fail("must have a high_freq_factor above its low_freq_factor");
    }
  } else {
    node.fail(fmt::format("has rope type \"{}\", which is not known; known: default, linear, llama3", type));
  }
}

/// `rope_parameters` holds everything; before it, `rope_theta` stood beside `rope_scaling`.
RotaryConfig read_rotary(const JsonNode& config) {
  RotaryConfig rotary;
  if (const auto parameters = config.find("rope_parameters")) {
    rotary.theta = positive_or(*parameters, "rope_theta", positive_or(config, "rope_theta", rotary.theta));
    read_scaling(*parameters, rotary);
    return rotary;
  }
  rotary.theta = positive_or(config, "rope_theta", rotary.theta);
  if (const auto scaling = config.find("rope_scaling")) read_scaling(*scaling, rotary);
  return rotary;
}

Gate read_gate(const JsonNode& config) {
  const std::string name = config.string_or("hidden_act", config.string_or("hidden_activation", "silu"));
  if (name == "silu" || name == "swish") return Gate::silu;
  if (name == "gelu") return Gate::gelu;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new") return Gate::gelu_tanh;
  config.fail(
      fmt::format("has activation \"{}\", which is not known; known: silu, gelu, gelu_pytorch_tanh", name));
}

Quantization read_quantization(const JsonNode& node) {
  if (const std::string mode = node.string_or("mode", "affine"); mode != "affine") {
    node.fail(fmt::format("has mode \"{}\", which is not known; known: affine", mode));
  }
  const Quantization read{as_extent(node.member("group_size")), as_extent(node.member("bits"))};
  constexpr std::array group_sizes = {32, 64, 128};
  constexpr std::array bits = {2, 3, 4, 5, 6, 8};
  if (std::find(group_sizes.begin(), group_sizes.end(), read.group_size) == group_sizes.end()) {
    node.fail(fmt::format("has group_size {}; known: 32, 64, 128", read.group_size));
  }
  if (std::find(bits.begin(), bits.end(), read.bits) == bits.end()) {
    node.fail(fmt::format("has bits {}; known: 2, 3, 4, 5, 6, 8", read.bits));
  }
  return read;
}

/// MLX writes the default beside the layers that differ: an object, or false for layers left alone.
void read_quantization(const JsonNode& config, DecoderConfig& description) {
  const auto node = config.find("quantization");
  if (!node) return;
  description.quantization = read_quantization(*node);
  for (const auto& [key, value] : node->value().items()) {
    const JsonNode entry(value, fmt::format("{}.{}", node->path(), key));
    if (value.is_object()) {
      description.quantization_overrides[key] = read_quantization(entry);
    } else if (value.is_boolean()) {
      description.quantization_overrides[key] =
          value.get<bool>() ? description.quantization : std::optional<Quantization>();
    }
  }
}

/// One token or a list of them.
std::vector<std::int32_t> read_token_ids(const JsonNode& config, const char* key) {
  const auto node = config.find(key);
  if (!node) return {};
  if (!node->value().is_array()) return {node->as_token_id()};
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < node->size(); ++i) ids.push_back(node->element(i).as_token_id());
  return ids;
}

const ModelFamily& family_of(const std::string& model_type) {
  std::string known;
  for (const ModelFamily& family : model_families()) {
    if (family.model_type == model_type) return family;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", family.model_type);
  }
  throw std::runtime_error(
      fmt::format("[load] model type \"{}\" is not known; known: {}", model_type, known));
}

}  // namespace

std::span<const ModelFamily> model_families() {
  return kFamilies;
}

int read_extent(const JsonNode& config, const char* key) {
  return as_extent(config.member(key));
}

int read_extent_or(const JsonNode& config, const char* key, int otherwise) {
  const auto found = config.find(key);
  return found ? as_extent(*found) : otherwise;
}

DecoderConfig read_common(const JsonNode& config) {
  DecoderConfig description;
  description.vocabulary_size = read_extent(config, "vocab_size");
  description.hidden_size = read_extent(config, "hidden_size");
  description.intermediate_size = read_extent(config, "intermediate_size");
  description.layers = read_extent(config, "num_hidden_layers");
  if (description.layers > kMaximumLayers) {
    config.fail(fmt::format("has {} layers; at most {} are supported", description.layers, kMaximumLayers));
  }
  description.heads = read_extent(config, "num_attention_heads");
  description.kv_heads = read_extent_or(config, "num_key_value_heads", description.heads);
  if (description.heads % description.kv_heads != 0) {
    config.fail(fmt::format("has {} attention heads, no multiple of its {} key-value heads",
                            description.heads, description.kv_heads));
  }
  description.head_dim = read_extent_or(config, "head_dim", description.hidden_size / description.heads);
  if (description.head_dim < 2 || description.head_dim % 2 != 0) {
    config.fail(fmt::format("has heads of {} elements, no even number", description.head_dim));
  }
  description.context = read_extent_or(config, "max_position_embeddings", 0);
  description.norm_epsilon = static_cast<float>(positive_or(config, "rms_norm_eps", 1e-6));
  description.gate = read_gate(config);
  description.rotary = read_rotary(config);
  description.tied_embeddings = config.bool_or("tie_word_embeddings", false);
  return description;
}

std::optional<Quantization> DecoderConfig::quantization_of(const std::string& path) const {
  const auto found = quantization_overrides.find(path);
  return found == quantization_overrides.end() ? quantization : found->second;
}

DecoderConfig DecoderConfig::from_json(const nlohmann::json& config) {
  const JsonNode node(config, "");
  const std::string model_type = node.member("model_type").as_string();
  DecoderConfig description = family_of(model_type).describe(node);
  description.model_type = model_type;
  read_quantization(node, description);
  description.eos_token_ids = read_token_ids(node, "eos_token_id");
  return description;
}

DecoderConfig DecoderConfig::from_directory(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / "config.json";
  const std::filesystem::path generation_file = directory / "generation_config.json";
  const std::filesystem::path* reading = &file;
  const nlohmann::json config = read_json_file(file);
  try {
    DecoderConfig description = from_json(config);
    if (std::filesystem::exists(generation_file)) {
      reading = &generation_file;
      const nlohmann::json generation = read_json_file(generation_file);
      auto ids = read_token_ids(JsonNode(generation, ""), "eos_token_id");
      if (!ids.empty()) description.eos_token_ids = std::move(ids);
    }
    return description;
  } catch (const std::runtime_error& error) {
    const std::string message = error.what();
    if (message.starts_with("[load]")) throw;
    throw std::runtime_error(fmt::format("[load] {}: {}", reading->string(), message));
  }
}

Activations activations_from_name(const std::string& name) {
  if (name == "float32") return Activations::float32;
  if (name == "bfloat16") return Activations::bfloat16;
  if (name == "int8") return Activations::int8;
  throw std::invalid_argument(
      fmt::format("[load] activations \"{}\" are not known; known: float32, bfloat16, int8", name));
}

nlohmann::ordered_json read_json_file(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw std::runtime_error(fmt::format("[load] {} cannot be read", file.string()));
  try {
    return nlohmann::ordered_json::parse(stream);
  } catch (const nlohmann::json::exception& error) {
    throw std::runtime_error(fmt::format("[load] {}: {}", file.string(), error.what()));
  }
}

}  // namespace lazuli::lm
