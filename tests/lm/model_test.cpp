#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_map>
#include <vector>

#include <lazuli/array/evaluator.h>
#include <lazuli/array/io/safetensors.h>
#include <lazuli/lm/convert/quantizer.h>
#include <lazuli/lm/model/causal_model.h>
#include <lazuli/lm/model/config.h>
#include <lazuli/lm/model/linear.h>
#include <lazuli/lm/model/weights.h>
#include <lazuli/ops/ops.h>

#include "lm/folders.h"

namespace lazuli::lm {
namespace {

using nlohmann::json;
using test::model_folder;
using test::read_json;
using test::TemporaryFolder;
using Ids = std::vector<std::int32_t>;

/// What the message of the exception that `f` throws is; empty if it throws none.
template <typename F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

/// The largest distance between two arrays of float32, relative to the largest value of the second.
float distance(const array& a, const array& b) {
  EXPECT_EQ(a.shape(), b.shape());
  return max(abs(a - b)).item<float>() / max(abs(b)).item<float>();
}

json small_config() {
  return {{"model_type", "llama"},  {"vocab_size", 96},         {"hidden_size", 64},
          {"num_hidden_layers", 2}, {"num_attention_heads", 4}, {"num_key_value_heads", 2},
          {"head_dim", 32},         {"intermediate_size", 128}, {"tie_word_embeddings", false},
          {"rms_norm_eps", 1e-5},   {"rope_theta", 10000.0}};
}

/// Random weights for a config, float32.
std::unordered_map<std::string, array> random_weights(const DecoderConfig& config) {
  std::unordered_map<std::string, array> tensors;
  std::uint64_t seed = 1;
  const auto add = [&](const std::string& name, Shape shape, float scale, float center) {
    array tensor = array(center) + array(scale) * random::normal(shape, float32, random::key(seed++));
    tensor.eval();
    tensors.emplace(name, tensor);
  };
  const int queries = config.heads * config.head_dim;
  const int keys = config.kv_heads * config.head_dim;
  const auto layer = [&](const std::string& path, int outputs, int inputs, bool bias) {
    add(path + ".weight", {outputs, inputs}, 0.15f, 0);
    if (bias) add(path + ".bias", {outputs}, 0.3f, 0);
  };
  layer("model.embed_tokens", config.vocabulary_size, config.hidden_size, false);
  if (!config.tied_embeddings) layer("lm_head", config.vocabulary_size, config.hidden_size, false);
  add("model.norm.weight", {config.hidden_size}, 0.1f, 1);
  for (int i = 0; i < config.layers; ++i) {
    const std::string path = "model.layers." + std::to_string(i);
    add(path + ".input_layernorm.weight", {config.hidden_size}, 0.1f, 1);
    add(path + ".post_attention_layernorm.weight", {config.hidden_size}, 0.1f, 1);
    layer(path + ".self_attn.q_proj", queries, config.hidden_size, config.attention_bias);
    layer(path + ".self_attn.k_proj", keys, config.hidden_size, config.attention_bias);
    layer(path + ".self_attn.v_proj", keys, config.hidden_size, config.attention_bias);
    layer(path + ".self_attn.o_proj", config.hidden_size, queries, config.output_bias);
    layer(path + ".mlp.gate_proj", config.intermediate_size, config.hidden_size, config.mlp_bias);
    layer(path + ".mlp.up_proj", config.intermediate_size, config.hidden_size, config.mlp_bias);
    layer(path + ".mlp.down_proj", config.hidden_size, config.intermediate_size, config.mlp_bias);
  }
  return tensors;
}

// The description ---------------------------------------------------------------------------------------

TEST(Config, ReadsWhatTransformersWrites) {
  const DecoderConfig config = DecoderConfig::from_directory(model_folder("llama"));
  EXPECT_EQ(config.model_type, "llama");
  EXPECT_EQ(config.vocabulary_size, 2048);
  EXPECT_EQ(config.layers, 3);
  EXPECT_EQ(config.kv_heads, 2);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_TRUE(config.tied_embeddings);
  EXPECT_FALSE(config.attention_bias);
  EXPECT_EQ(config.rotary.scaling, RotaryConfig::Scaling::llama3);
  EXPECT_EQ(config.rotary.theta, 500000);
  EXPECT_EQ(config.rotary.factor, 8);
  EXPECT_EQ(config.rotary.original_context, 64);
  EXPECT_EQ(config.eos_token_ids, Ids{4});
}

TEST(Config, ReadsTheOlderSpellingOfRotaryParameters) {
  json config = small_config();
  config["rope_theta"] = 500000.0;
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 32.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 8192}};
  const RotaryConfig rotary = DecoderConfig::from_json(config).rotary;
  EXPECT_EQ(rotary.theta, 500000);
  EXPECT_EQ(rotary.scaling, RotaryConfig::Scaling::llama3);
  EXPECT_EQ(rotary.factor, 32);
  EXPECT_EQ(rotary.original_context, 8192);

  config["rope_scaling"] = {{"type", "linear"}, {"factor", 4.0}};
  EXPECT_EQ(DecoderConfig::from_json(config).rotary.scaling, RotaryConfig::Scaling::linear);
}

TEST(Config, ReadsQuantizationAsMlxWritesIt) {
  json config = small_config();
  config["quantization"] = {{"group_size", 32},
                            {"bits", 4},
                            {"mode", "affine"},
                            {"lm_head", {{"group_size", 64}, {"bits", 6}}},
                            {"model.layers.0.mlp.down_proj", false}};
  const DecoderConfig read = DecoderConfig::from_json(config);
  EXPECT_EQ(read.quantization, (Quantization{32, 4}));
  EXPECT_EQ(read.quantization_of("model.embed_tokens"), (Quantization{32, 4}));
  EXPECT_EQ(read.quantization_of("lm_head"), (Quantization{64, 6}));
  EXPECT_EQ(read.quantization_of("model.layers.0.mlp.down_proj"), std::nullopt);
}

TEST(Config, RefusesWhatItDoesNotKnow) {
  const auto error_with = [](const char* key, json value) {
    json config = small_config();
    config[key] = std::move(value);
    return error_of([&] { DecoderConfig::from_json(config); });
  };
  EXPECT_EQ(error_with("model_type", "mystery"),
            "[load] model type \"mystery\" is not known; known: llama, qwen3");
  EXPECT_NE(error_with("hidden_size", nullptr).find("hidden_size"), std::string::npos);
  EXPECT_NE(error_with("hidden_size", "64").find("hidden_size"), std::string::npos);
  EXPECT_NE(error_with("vocab_size", 0).find("vocab_size"), std::string::npos);
  EXPECT_NE(error_with("vocab_size", 1e30).find("vocab_size"), std::string::npos);
  EXPECT_NE(error_with("num_hidden_layers", 1000000).find("layers"), std::string::npos);
  EXPECT_NE(error_with("num_key_value_heads", 3).find("key-value heads"), std::string::npos);
  EXPECT_NE(error_with("head_dim", 7).find("even"), std::string::npos);
  EXPECT_NE(error_with("hidden_act", "mish").find("mish"), std::string::npos);
  EXPECT_NE(error_with("rope_scaling", {{"type", "yarn"}, {"factor", 2.0}}).find("yarn"), std::string::npos);
  EXPECT_NE(error_with("quantization", {{"group_size", 48}, {"bits", 4}}).find("48"), std::string::npos);
  EXPECT_NE(error_with("quantization", {{"group_size", 32}, {"bits", 7}}).find("7"), std::string::npos);
  EXPECT_NE(error_of([] { DecoderConfig::from_json(json::array()); }).find("object"), std::string::npos);
}

TEST(Config, TakesStopTokensFromGenerationConfigFirst) {
  TemporaryFolder folder;
  json config = small_config();
  config["eos_token_id"] = 7;
  test::write_file(folder / "config.json", config.dump());
  EXPECT_EQ(DecoderConfig::from_directory(folder.path()).eos_token_ids, Ids{7});
  test::write_file(folder / "generation_config.json", R"({"eos_token_id": [3, 5]})");
  EXPECT_EQ(DecoderConfig::from_directory(folder.path()).eos_token_ids, (Ids{3, 5}));
  test::write_file(folder / "generation_config.json", R"({"temperature": 0.6})");
  EXPECT_EQ(DecoderConfig::from_directory(folder.path()).eos_token_ids, Ids{7});
  test::write_file(folder / "generation_config.json", R"({"eos_token_id": "</s>"})");
  EXPECT_NE(error_of([&] { DecoderConfig::from_directory(folder.path()); }).find("generation_config.json"),
            std::string::npos);
}

// Weights -----------------------------------------------------------------------------------------------

TEST(Weights, AreFoundThroughTheIndex) {
  TemporaryFolder folder;
  save_safetensors((folder / "a.safetensors").string(), {{"x", array({1.0f, 2.0f})}});
  save_safetensors((folder / "b.safetensors").string(), {{"y", array({3.0f})}});
  const auto write_index = [&](const json& map) {
    test::write_file(folder / "model.safetensors.index.json", json({{"weight_map", map}}).dump());
  };
  write_index({{"x", "a.safetensors"}, {"y", "b.safetensors"}});
  const Weights weights = Weights::from_directory(folder.path());
  EXPECT_EQ(weights.names(), (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(array(weights.get("y")).item<float>(), 3);

  const auto error = [&] { return error_of([&] { Weights::from_directory(folder.path()); }); };
  write_index({{"x", "a.safetensors"}, {"z", "b.safetensors"}});
  EXPECT_NE(error().find("\"z\""), std::string::npos);
  write_index({{"x", "missing.safetensors"}});
  EXPECT_NE(error().find("missing.safetensors"), std::string::npos);
  write_index({{"x", "../a.safetensors"}});
  EXPECT_NE(error().find("no file name"), std::string::npos);
  write_index({{"x", 1}});
  EXPECT_NE(error().find("string"), std::string::npos);
}

TEST(Weights, NamesWhatDoesNotFit) {
  const Weights weights({{"x", array({1.0f, 2.0f})}, {"i", array({1, 2}, int32)}}, "here");
  EXPECT_EQ(error_of([&] { weights.get("y"); }), "[load] here lacks tensor \"y\"");
  EXPECT_EQ(error_of([&] { weights.get_floating("x", {3}); }),
            "[load] tensor \"x\" has shape (2,), where the config asks for (3,)");
  EXPECT_NE(error_of([&] { weights.get_floating("i", {2}); }).find("int32"), std::string::npos);
  EXPECT_NE(error_of([&] { weights.get("x", {2}, uint32); }).find("uint32"), std::string::npos);
  EXPECT_NE(error_of([] { Weights::from_directory("/nowhere/at/all"); }).find("/nowhere/at/all"),
            std::string::npos);
}

// Layers ------------------------------------------------------------------------------------------------

TEST(Linear, MultipliesAndAddsBias) {
  const DecoderConfig config = DecoderConfig::from_json(small_config());
  const array w1 = random::normal({5, 64}, float32, random::key(1));
  const array w2 = astype(random::normal({3, 64}, float32, random::key(2)), bfloat16);
  const array b1 = random::normal({5}, float32, random::key(3));
  const array b2 = random::normal({3}, float32, random::key(4));
  eval(w1, w2, b1, b2);
  const Weights weights({{"one.weight", w1}, {"one.bias", b1}, {"two.weight", w2}, {"two.bias", b2}}, "here");
  const LayerSource source{weights, config, Activations::float32};
  const Linear linear(source, {"one", "two"}, 64, {5, 3}, true);
  const array x = random::normal({1, 7, 64}, float32, random::key(5));
  const std::vector<array> results = linear(x);
  ASSERT_EQ(results.size(), 2u);
  EXPECT_LT(distance(results[0], matmul(x, transpose(w1)) + b1), 1e-5);
  EXPECT_LT(distance(results[1], matmul(x, transpose(astype(w2, float32))) + b2), 1e-5);
}

TEST(Linear, ReadsLayersOfOneFormatTogether) {
  json description = small_config();
  description["quantization"] = {{"group_size", 32}, {"bits", 4}, {"two", {{"group_size", 64}, {"bits", 8}}}};
  const DecoderConfig config = DecoderConfig::from_json(description);
  for (const bool alike : {true, false}) {
    std::unordered_map<std::string, array> tensors;
    std::vector<array> expected;
    const array x = random::normal({1, 3, 64}, float32, random::key(9));
    const std::vector<std::string> paths = {"one", alike ? "three" : "two"};
    for (std::size_t i = 0; i < paths.size(); ++i) {
      array w = random::normal({32, 64}, float32, random::key(i));
      w.eval();
      const Quantization format = *config.quantization_of(paths[i]);
      const QuantizedMatrixArrays q = quantize_closely(w, format, float32);
      tensors.insert({{paths[i] + ".weight", q.codes},
                      {paths[i] + ".scales", q.scales},
                      {paths[i] + ".biases", q.biases}});
      const array back = dequantize(q.codes, q.scales, q.biases, format.group_size, format.bits);
      expected.push_back(matmul(x, transpose(back)));
    }
    const Weights weights(std::move(tensors), "here");
    const LayerSource source{weights, config, Activations::float32};
    const std::vector<array> results = Linear(source, paths, 64, {32, 32}, false)(x);
    EXPECT_LT(distance(results[0], expected[0]), 1e-5);
    EXPECT_LT(distance(results[1], expected[1]), 1e-5);
  }
}

// The decoder -------------------------------------------------------------------------------------------

class Reference : public testing::TestWithParam<const char*> {};

TEST_P(Reference, LogitsAgree) {
  const CausalModel model = CausalModel::from_directory(model_folder(GetParam()));
  EXPECT_EQ(model.activations(), Activations::float32);
  const json expected = read_json(model_folder(GetParam()) / "expected.json");
  const auto logits = load_safetensors((model_folder(GetParam()) / "expected.safetensors").string()).first;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const Ids ids = expected[i]["input_ids"];
    KvCache cache = model.make_cache();
    array wanted = logits.at("logits_" + std::to_string(i));
    const array computed = model.all_logits(ids, cache);
    EXPECT_LT(distance(computed, reshape(astype(wanted, float32), computed.shape())), 2e-3) << "prompt " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Model, Reference, testing::Values("llama", "codellama", "qwen3"));

TEST(CausalModel, GivesTheSameHoweverTheTextIsCut) {
  const CausalModel model = CausalModel::from_directory(model_folder("llama"));
  Ids ids;
  for (int i = 0; i < 600; ++i) ids.push_back((i * 37 + 11) % 2048);
  KvCache whole = model.make_cache();
  const array all = model.all_logits(ids, whole);  // in two chunks
  EXPECT_EQ(all.shape(), (Shape{600, 2048}));
  EXPECT_EQ(whole.length(), 600);
  EXPECT_EQ(whole.capacity(), 768);

  // A long part, single tokens across the step at which the cache grows, another part.
  KvCache cache = model.make_cache();
  const auto check = [&](std::size_t count) {
    const auto begin = static_cast<std::size_t>(cache.length());
    const array logits = model.next_logits(std::span(ids).subspan(begin, count), cache);
    EXPECT_LT(distance(logits, take(all, static_cast<int>(begin + count) - 1, 0)), 1e-4)
        << begin << " + " << count;
  };
  check(250);
  for (int i = 0; i < 10; ++i) check(1);
  EXPECT_EQ(cache.capacity(), 512);
  check(17);
  check(1);
  check(322);
  EXPECT_EQ(cache.length(), 600);

  // One program for all positions, one for the last of several, one for single tokens.
  EXPECT_EQ(model.trace_count(), 3);

  // The text as far as it was kept.
  cache.cut(1000);
  EXPECT_EQ(cache.length(), 600);
  cache.cut(300);
  check(50);
  EXPECT_EQ(cache.length(), 350);

  cache.clear();
  const array again = model.next_logits(std::span(ids).first(250), cache);
  EXPECT_LT(distance(again, take(all, 249, 0)), 1e-4);
}

TEST(CausalModel, ExtendsTheCacheInPlace) {
  json description = small_config();
  const DecoderConfig config = DecoderConfig::from_json(description);
  const Weights weights(random_weights(config), "here");
  for (const bool is_quantized : {false, true}) {
    const CausalModel model(config, weights, std::nullopt,
                            is_quantized ? std::optional(Quantization{32, 4}) : std::nullopt);
    KvCache cache = model.make_cache();
    const Ids ids = {1, 2, 3};
    model.next_logits(ids, cache);
    const auto places = [&] {
      std::vector<array> arrays;
      cache.give_up(arrays);
      std::vector<const void*> data;
      for (const array& each : arrays) data.push_back(each.data<std::byte>());
      cache.take_back(arrays, 0, 0);
      return data;
    };
    const std::vector<const void*> before = places();
    EXPECT_EQ(before.size(), is_quantized ? 12u : 4u);
    for (const std::int32_t id : ids) model.next_logits(std::span(&id, 1), cache);
    EXPECT_EQ(places(), before);
  }
}

TEST(CausalModel, KeepsAQuantizedCache) {
  json description = small_config();
  description["head_dim"] = 64;
  const DecoderConfig config = DecoderConfig::from_json(description);
  const Weights weights(random_weights(config), "here");
  const CausalModel exact(config, weights);
  Ids ids;
  for (int i = 0; i < 300; ++i) ids.push_back((i * 37 + 11) % 96);
  KvCache exact_cache = exact.make_cache();
  const array expected = exact.all_logits(ids, exact_cache);
  EXPECT_EQ(exact_cache.bytes_a_token(), 2u * 2 * 2 * 64 * 4);
  for (const Quantization& format : {Quantization{64, 8}, Quantization{32, 8}, Quantization{32, 4}}) {
    const CausalModel model(config, weights, std::nullopt, format);
    KvCache cache = model.make_cache();
    EXPECT_EQ(cache.bytes_a_token(),
              2u * 2 * 2 * static_cast<std::size_t>(64 * format.bits / 8 + 64 / format.group_size * 8));
    const array all = model.all_logits(ids, cache);
    const float bound = format.bits == 8 ? 0.02f : 0.3f;
    EXPECT_LT(distance(all, expected), bound) << format.bits << " bits";
    // The same however the text is cut, across the step at which the cache grows. (The queries of single
    // tokens are rounded.)
    KvCache other = model.make_cache();
    const auto check = [&](std::size_t count) {
      const auto begin = static_cast<std::size_t>(other.length());
      const array logits = model.next_logits(std::span(ids).subspan(begin, count), other);
      EXPECT_LT(distance(logits, take(all, static_cast<int>(begin + count) - 1, 0)), 2e-2f)
          << begin << " + " << count;
    };
    check(250);
    for (int i = 0; i < 10; ++i) check(1);
    check(40);
    EXPECT_EQ(other.capacity(), 512);
    EXPECT_EQ(model.trace_count(), 3);
  }
}

TEST(CausalModel, RefusesCachesThatHeadsDoNotGoInto) {
  const auto error = [](Quantization format) {
    return error_of([&] { CausalModel::from_directory(model_folder("llama"), std::nullopt, format); });
  };
  EXPECT_EQ(error({64, 8}), "[cache] heads of 16 elements are no whole groups of 64");
  EXPECT_EQ(error({48, 8}), "[cache] groups have 32, 64 or 128 elements, not 48");
  EXPECT_EQ(error({32, 7}), "[cache] keys and values have 2, 3, 4, 5, 6 or 8 bits, not 7");
}

TEST(CausalModel, RefusesTokensOutOfRange) {
  const CausalModel model = CausalModel::from_directory(model_folder("llama"));
  KvCache cache = model.make_cache();
  EXPECT_EQ(error_of([&] {
              model.next_logits(Ids{1, 2048}, cache);
            }),
            "[model] token id 2048 is out of range (vocabulary size 2048)");
  EXPECT_NE(error_of([&] { model.next_logits(Ids{-1}, cache); }), "");
  EXPECT_NE(error_of([&] { model.all_logits(Ids{}, cache); }), "");
  EXPECT_EQ(cache.length(), 0);
}

TEST(CausalModel, ActivationsOfLessPrecisionComeClose) {
  const Ids ids = {5, 17, 100, 3, 999, 42, 7, 8};
  const CausalModel exact = CausalModel::from_directory(model_folder("llama"));
  KvCache exact_cache = exact.make_cache();
  const array expected = exact.all_logits(ids, exact_cache);
  const CausalModel rounded = CausalModel::from_directory(model_folder("llama"), Activations::bfloat16);
  KvCache cache = rounded.make_cache();
  const float difference = distance(rounded.all_logits(ids, cache), expected);
  EXPECT_LT(difference, 0.05);
  EXPECT_GT(difference, 1e-5);
  EXPECT_NE(error_of([] { CausalModel::from_directory(model_folder("llama"), Activations::int8); }), "");
}

TEST(CausalModel, QuantizedWeightsMeanWhatTheyDequantizeTo) {
  for (const bool tied : {true, false}) {
    json description = small_config();
    description["tie_word_embeddings"] = tied;
    const DecoderConfig plain = DecoderConfig::from_json(description);
    description["quantization"] = {{"group_size", 32}, {"bits", 4}};
    const DecoderConfig config = DecoderConfig::from_json(description);
    std::unordered_map<std::string, array> dense, quantized;
    for (const auto& [name, tensor] : random_weights(plain)) {
      if (tensor.ndim() != 2) {
        dense.emplace(name, tensor);
        quantized.emplace(name, tensor);
        continue;
      }
      const QuantizedMatrixArrays q = quantize_closely(tensor, {32, 4}, float16);
      const std::string layer = name.substr(0, name.rfind('.'));
      quantized.insert({{name, q.codes}, {layer + ".scales", q.scales}, {layer + ".biases", q.biases}});
      array back = dequantize(q.codes, astype(q.scales, float32), astype(q.biases, float32), 32, 4);
      back.eval();
      dense.emplace(name, back);
    }
    const CausalModel expected_model(plain, Weights(dense, "here"));
    const Ids ids = {1, 5, 95, 0, 33, 34, 35};
    KvCache expected_cache = expected_model.make_cache();
    const array expected = expected_model.all_logits(ids, expected_cache);
    const Weights weights(quantized, "here");
    const auto distance_with = [&](Activations activations) {
      const CausalModel model(config, weights, activations);
      KvCache cache = model.make_cache();
      return distance(model.all_logits(ids, cache), expected);
    };
    EXPECT_LT(distance_with(Activations::float32), 1e-4);
    EXPECT_LT(distance_with(Activations::int8), 0.05);
    EXPECT_EQ(CausalModel(config, weights).activations(), Activations::int8);
  }
}

/// The model in plain loops.
class PlainLlama {
 public:
  PlainLlama(const DecoderConfig& config, const std::unordered_map<std::string, array>& tensors)
      : config_(config) {
    for (const auto& [name, tensor] : tensors) {
      tensors_[name].assign(tensor.data<float>(), tensor.data<float>() + tensor.size());
    }
  }

  std::vector<double> logits(const Ids& ids) {
    const auto hidden = static_cast<std::size_t>(config_.hidden_size);
    std::vector<std::vector<double>> rows;
    for (const std::int32_t id : ids) {
      const float* row = tensors_["model.embed_tokens.weight"].data() + static_cast<std::size_t>(id) * hidden;
      rows.emplace_back(row, row + hidden);
    }
    for (int i = 0; i < config_.layers; ++i) run_layer("model.layers." + std::to_string(i), rows);
    return linear("lm_head", norm("model.norm", rows.back()));
  }

 private:
  using Row = std::vector<double>;

  Row linear(const std::string& path, const Row& x) {
    const std::vector<float>& w = tensors_[path + ".weight"];
    const std::vector<float>& bias = tensors_[path + ".bias"];
    Row y(w.size() / x.size());
    for (std::size_t i = 0; i < y.size(); ++i) {
      y[i] = bias.empty() ? 0 : bias[i];
      for (std::size_t k = 0; k < x.size(); ++k) y[i] += double{w[i * x.size() + k]} * x[k];
    }
    return y;
  }
  Row norm(const std::string& path, Row x) {
    double sum = 0;
    for (double value : x) sum += value * value;
    const double factor = 1 / std::sqrt(sum / static_cast<double>(x.size()) + double{config_.norm_epsilon});
    for (std::size_t i = 0; i < x.size(); ++i) x[i] *= factor * double{tensors_[path + ".weight"][i]};
    return x;
  }
  void rotate(Row& x, std::size_t position) const {
    const auto dim = static_cast<std::size_t>(config_.head_dim);
    for (std::size_t head = 0; head < x.size(); head += dim) {
      for (std::size_t i = 0; i < dim / 2; ++i) {
        const double angle =
            static_cast<double>(position) *
            std::pow(config_.rotary.theta, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
        const double a = x[head + i];
        const double b = x[head + i + dim / 2];
        x[head + i] = a * std::cos(angle) - b * std::sin(angle);
        x[head + i + dim / 2] = b * std::cos(angle) + a * std::sin(angle);
      }
    }
  }
  void run_layer(const std::string& path, std::vector<Row>& rows) {
    const auto dim = static_cast<std::size_t>(config_.head_dim);
    const auto shared = static_cast<std::size_t>(config_.heads / config_.kv_heads);
    std::vector<Row> keys, values;
    for (std::size_t t = 0; t < rows.size(); ++t) {
      const Row x = norm(path + ".input_layernorm", rows[t]);
      Row query = linear(path + ".self_attn.q_proj", x);
      keys.push_back(linear(path + ".self_attn.k_proj", x));
      values.push_back(linear(path + ".self_attn.v_proj", x));
      rotate(query, t);
      rotate(keys.back(), t);
      Row attended(query.size());
      for (std::size_t head = 0; head < static_cast<std::size_t>(config_.heads); ++head) {
        const std::size_t from = head / shared * dim;
        Row weights(t + 1);
        double total = 0;
        for (std::size_t s = 0; s <= t; ++s) {
          double score = 0;
          for (std::size_t i = 0; i < dim; ++i) score += query[head * dim + i] * keys[s][from + i];
          total += weights[s] = std::exp(score / std::sqrt(static_cast<double>(dim)));
        }
        for (std::size_t s = 0; s <= t; ++s) {
          for (std::size_t i = 0; i < dim; ++i)
            attended[head * dim + i] += weights[s] / total * values[s][from + i];
        }
      }
      const Row y = linear(path + ".self_attn.o_proj", attended);
      for (std::size_t i = 0; i < y.size(); ++i) rows[t][i] += y[i];
    }
    for (Row& row : rows) {
      const Row x = norm(path + ".post_attention_layernorm", row);
      Row gate = linear(path + ".mlp.gate_proj", x);
      const Row up = linear(path + ".mlp.up_proj", x);
      for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
      const Row y = linear(path + ".mlp.down_proj", gate);
      for (std::size_t i = 0; i < y.size(); ++i) row[i] += y[i];
    }
  }

  DecoderConfig config_;
  std::unordered_map<std::string, std::vector<float>> tensors_;
};

TEST(CausalModel, BiasesAndWideHeadsAgreeWithPlainLoops) {
  json description = small_config();
  description["attention_bias"] = true;
  description["mlp_bias"] = true;
  const DecoderConfig config = DecoderConfig::from_json(description);
  const auto tensors = random_weights(config);
  const Ids ids = {1, 94, 7, 7, 23, 60};
  const std::vector<double> expected = PlainLlama(config, tensors).logits(ids);
  const CausalModel model(config, Weights(tensors, "here"));
  KvCache cache = model.make_cache();
  const array logits = model.next_logits(ids, cache);
  ASSERT_EQ(logits.size(), expected.size());
  const double largest = std::abs(*std::max_element(
      expected.begin(), expected.end(), [](double a, double b) { return std::abs(a) < std::abs(b); }));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(logits.data<float>()[i], expected[i], 1e-4 * largest) << i;
  }
}

}  // namespace
}  // namespace lazuli::lm
