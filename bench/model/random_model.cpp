#include "random_model.h"

#include <stdexcept>

#include <fmt/format.h>

#include <lazuli/compiler/thread_pool.h>
#include <lazuli/lazuli.h>

namespace lazuli::bench {
namespace {

constexpr int group_size = 64;

lm::DecoderConfig llama_1b() {
  lm::DecoderConfig config;
  config.model_type = "llama";
  config.vocabulary_size = 128256;
  config.hidden_size = 2048;
  config.intermediate_size = 8192;
  config.layers = 16;
  config.heads = 32;
  config.kv_heads = 8;
  config.head_dim = 64;
  config.context = 131072;
  config.norm_epsilon = 1e-5f;
  config.rotary.theta = 500000;
  config.rotary.scaling = lm::RotaryConfig::Scaling::llama3;
  config.rotary.factor = 32;
  config.tied_embeddings = true;
  return config;
}

lm::DecoderConfig llama_8b() {
  lm::DecoderConfig config = llama_1b();
  config.hidden_size = 4096;
  config.intermediate_size = 14336;
  config.layers = 32;
  config.head_dim = 128;
  config.rotary.factor = 8;
  config.tied_embeddings = false;
  return config;
}

lm::DecoderConfig qwen3_600m() {
  lm::DecoderConfig config;
  config.model_type = "qwen3";
  config.vocabulary_size = 151936;
  config.hidden_size = 1024;
  config.intermediate_size = 3072;
  config.layers = 28;
  config.heads = 16;
  config.kv_heads = 8;
  config.head_dim = 128;
  config.context = 40960;
  config.norm_epsilon = 1e-6f;
  config.rotary.theta = 1000000;
  config.qk_norm = true;
  config.tied_embeddings = true;
  return config;
}

/// Bits that differ from word to word: splitmix64 of the position (Steele, Lea, Flood 2014).
uint64_t mixed(uint64_t at) {
  uint64_t z = (at + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

array filled(const Shape& shape, Dtype dtype, uint64_t seed, uint64_t (*word)(uint64_t)) {
  size_t count = 1;
  for (const Dim extent : shape) count *= static_cast<size_t>(static_cast<int>(extent));
  const size_t bytes = count * dtype.size();
  Ref<Buffer> buffer = Buffer::allocate((bytes + 7) / 8 * 8);
  auto* words = reinterpret_cast<uint64_t*>(buffer->data());
  const auto total = static_cast<int64_t>((bytes + 7) / 8);
  constexpr int64_t block = 1 << 16;
  parallel_for((total + block - 1) / block, [&](int64_t part) {
    for (int64_t i = part * block; i < std::min(total, (part + 1) * block); ++i) {
      words[i] = word(seed * 0x10001 + static_cast<uint64_t>(i));
    }
  });
  return array(Node::of_data(std::move(buffer), 0, shape, row_major_strides(shape), dtype));
}

/// Four bfloat16 between -1/32 and 1/32.
uint64_t small_weights(uint64_t at) {
  // Sign and mantissa are random, the exponent is that of 1/64.
  return (mixed(at) & 0x807f807f807f807fu) | 0x3c803c803c803c80u;
}

/// Makes the tensors of a model one by one.
class Maker {
 public:
  explicit Maker(int bits) : bits_(bits) {}

  void matrix(const std::string& path, int rows, int columns) {
    ++seed_;
    if (bits_ == 16) {
      tensors_.emplace(path + ".weight", filled({rows, columns}, bfloat16, seed_, small_weights));
      return;
    }
    tensors_.emplace(path + ".weight", filled({rows, columns * bits_ / 32}, uint32, seed_, mixed));
    // Weights of either sign, about 1/64.
    const float scale = 1.0f / static_cast<float>(32 << bits_);
    array scales = full({rows, columns / group_size}, scale, bfloat16);
    array biases = full({rows, columns / group_size}, -1.0f / 64, bfloat16);
    eval(scales, biases);
    tensors_.emplace(path + ".scales", std::move(scales));
    tensors_.emplace(path + ".biases", std::move(biases));
  }

  void ones(const std::string& path, int width) {
    array weight = full({width}, 1.0f, bfloat16);
    weight.eval();
    tensors_.emplace(path + ".weight", std::move(weight));
  }

  lm::Weights take() { return {std::move(tensors_), "random weights"}; }

 private:
  int bits_;
  uint64_t seed_ = 0;
  std::unordered_map<std::string, array> tensors_;
};

}  // namespace

std::vector<std::string> random_model_names() {
  return {"llama-1b", "llama-8b", "qwen3-0.6b"};
}

lm::DecoderConfig random_model_config(const std::string& name) {
  if (name == "llama-1b") return llama_1b();
  if (name == "llama-8b") return llama_8b();
  if (name == "qwen3-0.6b") return qwen3_600m();
  throw std::invalid_argument(fmt::format("[bench] no model shape is called \"{}\"", name));
}

lm::CausalModel random_model(const std::string& name, int bits, std::optional<lm::Activations> activations,
                             const std::optional<lm::Quantization>& cache) {
  lm::DecoderConfig config = random_model_config(name);
  if (bits != 16) config.quantization = lm::Quantization{group_size, bits};
  Maker maker(bits);
  const int hidden = config.hidden_size;
  maker.matrix("model.embed_tokens", config.vocabulary_size, hidden);
  if (!config.tied_embeddings) maker.matrix("lm_head", config.vocabulary_size, hidden);
  maker.ones("model.norm", hidden);
  for (int i = 0; i < config.layers; ++i) {
    const std::string path = fmt::format("model.layers.{}", i);
    maker.matrix(path + ".self_attn.q_proj", config.heads * config.head_dim, hidden);
    maker.matrix(path + ".self_attn.k_proj", config.kv_heads * config.head_dim, hidden);
    maker.matrix(path + ".self_attn.v_proj", config.kv_heads * config.head_dim, hidden);
    maker.matrix(path + ".self_attn.o_proj", hidden, config.heads * config.head_dim);
    maker.matrix(path + ".mlp.gate_proj", config.intermediate_size, hidden);
    maker.matrix(path + ".mlp.up_proj", config.intermediate_size, hidden);
    maker.matrix(path + ".mlp.down_proj", hidden, config.intermediate_size);
    if (config.qk_norm) {
      maker.ones(path + ".self_attn.q_norm", config.head_dim);
      maker.ones(path + ".self_attn.k_norm", config.head_dim);
    }
    maker.ones(path + ".input_layernorm", hidden);
    maker.ones(path + ".post_attention_layernorm", hidden);
  }
  return {config, maker.take(), activations, cache};
}

double operations_a_token(const lm::DecoderConfig& config) {
  const double hidden = config.hidden_size;
  const double attention = hidden * config.head_dim * (2.0 * config.heads + 2.0 * config.kv_heads);
  return 2 * config.layers * (attention + 3 * hidden * config.intermediate_size);
}

double weight_bytes(const lm::DecoderConfig& config, int bits) {
  const double elements =
      operations_a_token(config) / 2 + static_cast<double>(config.vocabulary_size) * config.hidden_size;
  const double bits_a_weight = bits == 16 ? 16 : bits + 2 * 16.0 / group_size;
  return elements * bits_a_weight / 8;
}

double weight_bytes_of_folder(const std::filesystem::path& folder) {
  const bool tied = lm::DecoderConfig::from_directory(folder).tied_embeddings;
  double bytes = 0;
  const lm::Weights weights = lm::Weights::from_directory(folder);
  for (const auto& [name, tensor] : weights.tensors()) {
    if (tied || !name.starts_with("model.embed_tokens.")) bytes += static_cast<double>(tensor.nbytes());
  }
  return bytes;
}

}  // namespace lazuli::bench
