#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <lazuli/array/evaluator.h>
#include <lazuli/array/io/safetensors.h>
#include <lazuli/lm/convert/convert.h>
#include <lazuli/lm/convert/quantizer.h>
#include <lazuli/lm/model/causal_model.h>
#include <lazuli/ops/ops.h>

#include "lm/folders.h"

namespace lazuli::lm {
namespace {

namespace fs = std::filesystem;
using test::model_folder;
using test::read_file;
using test::read_json;
using test::TemporaryFolder;

float mean_square(const array& a) {
  return mean(square(a), false).item<float>();
}

array random_matrix(int rows, int columns, std::uint64_t seed) {
  array w = random::normal({rows, columns}, float32, random::key(seed));
  w.eval();
  return w;
}

/// Names of what lies in a folder, sorted.
std::vector<std::string> listing(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

array run_model(const fs::path& folder, std::optional<Activations> activations = std::nullopt) {
  const CausalModel model = CausalModel::from_directory(folder, activations);
  KvCache cache = model.make_cache();
  return model.all_logits(std::vector<std::int32_t>{1, 20, 300, 4, 55}, cache);
}

float distance(const array& a, const array& b) {
  return max(abs(a - b), false).item<float>() / max(abs(b), false).item<float>();
}

class Quantizer : public testing::TestWithParam<int> {};

TEST_P(Quantizer, LeavesLessErrorThanSpanningTheExtremes) {
  const int bits = GetParam();
  const array w = random_matrix(24, 256, static_cast<std::uint64_t>(bits));
  for (const int group_size : {32, 64, 128}) {
    const QuantizedMatrixArrays close = quantize_closely(w, {group_size, bits}, float32);
    EXPECT_EQ(close.codes.shape(), (Shape{24, 256 * bits / 32}));
    EXPECT_EQ(close.scales.shape(), (Shape{24, 256 / group_size}));
    const std::vector<array> plain = quantize(w, group_size, bits);
    const float error =
        mean_square(w - dequantize(close.codes, close.scales, close.biases, group_size, bits));
    const float plain_error = mean_square(w - dequantize(plain[0], plain[1], plain[2], group_size, bits));
    EXPECT_LT(error, (bits <= 4 ? 0.95f : 1.0f) * plain_error) << group_size;
  }
}

INSTANTIATE_TEST_SUITE_P(Convert, Quantizer, testing::Values(2, 3, 4, 5, 6, 8));

TEST(QuantizerOfEdges, KeepsWhatTheFormatHoldsExactly) {
  // Constant groups, zeros, and values that lie on 16 evenly spaced levels.
  std::vector<float> values;
  for (int i = 0; i < 32; ++i) values.push_back(0.75f);
  for (int i = 0; i < 32; ++i) values.push_back(0);
  for (int i = 0; i < 32; ++i) values.push_back(0.25f * static_cast<float>(i % 16) - 1);
  for (int i = 0; i < 32; ++i) values.push_back(i == 5 ? -3.0f : 0);
  array w(values.begin(), {1, 128}, float32);
  const QuantizedMatrixArrays q = quantize_closely(w, {32, 4}, float32);
  EXPECT_LT(max(abs(w - dequantize(q.codes, q.scales, q.biases, 32, 4)), false).item<float>(), 1e-6);
}

TEST(QuantizerOfEdges, RefusesWhatIsNotFinite) {
  std::vector<float> values(64, 1.0f);
  values[40] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(quantize_closely(array(values.begin(), {1, 64}, float32), {32, 4}, float32),
               std::invalid_argument);
}

TEST(Convert, WritesWhatMlxReads) {
  TemporaryFolder folder;
  ConvertOptions options;
  options.quantization = Quantization{32, 4};
  const ConvertReport report = convert(model_folder("llama"), folder / "out", options);
  EXPECT_TRUE(report.notices.empty());
  EXPECT_EQ(report.quantized, 1 + 3 * 7);
  EXPECT_NEAR(report.bits_per_weight(), 5, 0.1);
  EXPECT_EQ(listing(folder.path()), std::vector<std::string>{"out"});
  EXPECT_EQ(listing(folder / "out"),
            (std::vector<std::string>{"config.json", "generation_config.json", "model.safetensors",
                                      "tokenizer.json", "tokenizer_config.json"}));
  EXPECT_EQ(read_file(folder / "out/tokenizer.json"), read_file(model_folder("llama") / "tokenizer.json"));

  const nlohmann::json config = read_json(folder / "out/config.json");
  EXPECT_EQ(config["quantization"], (nlohmann::json{{"group_size", 32}, {"bits", 4}, {"mode", "affine"}}));
  EXPECT_EQ(config["quantization_config"], config["quantization"]);
  EXPECT_EQ(config["hidden_size"], 64);

  const auto [tensors, metadata] = load_safetensors((folder / "out/model.safetensors").string());
  EXPECT_EQ(metadata.at("format"), "mlx");
  const std::string layer = "model.layers.0.mlp.down_proj";
  EXPECT_EQ(tensors.at(layer + ".weight").dtype(), uint32);
  EXPECT_EQ(tensors.at(layer + ".weight").shape(), (Shape{64, 160 * 4 / 32}));
  EXPECT_EQ(tensors.at(layer + ".scales").dtype(), bfloat16);
  EXPECT_EQ(tensors.at(layer + ".biases").shape(), (Shape{64, 160 / 32}));
  EXPECT_EQ(tensors.at("model.norm.weight").dtype(), bfloat16);
  EXPECT_TRUE(tensors.contains("model.embed_tokens.scales"));
  EXPECT_FALSE(tensors.contains("lm_head.weight"));

  EXPECT_LT(distance(run_model(folder / "out"), run_model(model_folder("llama"))), 0.5);
}

TEST(Convert, EightBitsAreClose) {
  TemporaryFolder folder;
  ConvertOptions options;
  options.quantization = Quantization{32, 8};
  convert(model_folder("codellama"), folder / "out", options);
  EXPECT_LT(distance(run_model(folder / "out", Activations::float32), run_model(model_folder("codellama"))),
            0.03);
}

TEST(Convert, LeavesLayersThatTheGroupDoesNotDivide) {
  TemporaryFolder folder;
  ConvertOptions options;
  options.quantization = Quantization{64, 4};
  const ConvertReport report = convert(model_folder("llama"), folder / "out", options);
  ASSERT_EQ(report.notices.size(), 3u);
  EXPECT_EQ(report.notices[0],
            "model.layers.0.mlp.down_proj stays as it is: its width 160 is no multiple of the group size 64");
  EXPECT_EQ(run_model(folder / "out").shape(), (Shape{5, 2048}));
}

TEST(Convert, ChangesTheDtype) {
  TemporaryFolder folder;
  ConvertOptions options;
  options.dtype = float16;
  EXPECT_EQ(convert(model_folder("llama"), folder / "out", options).quantized, 0);
  const auto tensors = load_safetensors((folder / "out/model.safetensors").string()).first;
  for (const auto& [name, tensor] : tensors) EXPECT_EQ(tensor.dtype(), float16) << name;
  EXPECT_EQ(read_json(folder / "out/config.json")["dtype"], "float16");
  EXPECT_LT(distance(run_model(folder / "out"), run_model(model_folder("llama"))), 1e-3);
}

TEST(Convert, TakesAnEmptyFolderAndNoOther) {
  TemporaryFolder folder;
  fs::create_directory(folder / "empty");
  convert(model_folder("llama"), (folder / "empty").string() + "/", {});
  EXPECT_TRUE(fs::exists(folder / "empty/config.json"));
  const auto modified = fs::last_write_time(folder / "empty/model.safetensors");
  EXPECT_THROW(convert(model_folder("llama"), folder / "empty", {}), std::runtime_error);
  EXPECT_EQ(fs::last_write_time(folder / "empty/model.safetensors"), modified);
}

TEST(Convert, LeavesNothingBehindWhereItFails) {
  TemporaryFolder folder;
  test::copy_model("llama", folder / "in");
  // A tensor with a value that is not finite: found when the new folder is already being written.
  auto tensors = load_safetensors((folder / "in/model.safetensors").string()).first;
  std::unordered_map<std::string, array> changed(tensors);
  changed.insert_or_assign("model.layers.2.mlp.up_proj.weight",
                           full({160, 64}, std::numeric_limits<float>::infinity(), float32));
  save_safetensors((folder / "changed.safetensors").string(), changed);
  fs::rename(folder / "changed.safetensors", folder / "in/model.safetensors");
  ConvertOptions options;
  options.quantization = Quantization{32, 4};
  try {
    convert(folder / "in", folder / "out", options);
    ADD_FAILURE() << "it did not fail";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("model.layers.2.mlp.up_proj.weight"), std::string::npos)
        << error.what();
  }
  EXPECT_EQ(listing(folder.path()), std::vector<std::string>{"in"});
}

TEST(Convert, RefusesToQuantizeTwice) {
  TemporaryFolder folder;
  ConvertOptions options;
  options.quantization = Quantization{32, 4};
  convert(model_folder("llama"), folder / "once", options);
  EXPECT_THROW(convert(folder / "once", folder / "twice", options), std::runtime_error);
  // Copying is fine.
  convert(folder / "once", folder / "copy", {});
  EXPECT_EQ(distance(run_model(folder / "copy"), run_model(folder / "once")), 0);
}

}  // namespace
}  // namespace lazuli::lm
