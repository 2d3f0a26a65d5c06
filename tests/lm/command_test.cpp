#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <lazuli/array/io/safetensors.h>
#include <lazuli/ops/ops.h>

#include "lm/folders.h"
#include "lm/own_text.h"
#include "lm/run_command.h"

namespace lazuli::lm {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::expect_error;
using test::lazuli;
using test::model_folder;
using test::Outcome;
using test::read_file;
using test::read_json;
using test::TemporaryFolder;
using test::write_file;
using Ids = std::vector<std::int32_t>;

std::string joined(const Ids& ids) {
  std::string text;
  for (const std::int32_t id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
  return text;
}

const std::string bard = model_folder("bard-1m").string();

// What it is for ----------------------------------------------------------------------------------------

TEST(Command, HelpsAtEveryLevel) {
  const Outcome top = lazuli({"--help"});
  EXPECT_EQ(top.status, 0);
  for (const char* name : {"generate", "tokenize", "logits", "perplexity", "convert"}) {
    EXPECT_NE(top.out.find(name), std::string::npos);
    const Outcome help = lazuli({name, "--help"});
    EXPECT_EQ(help.status, 0);
    EXPECT_EQ(help.err, "");
    EXPECT_NE(help.out.find("--model DIR"), std::string::npos) << help.out;
  }
  const Outcome version = lazuli({"--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_EQ(version.out.rfind("lazuli ", 0), 0u);
}

TEST(Command, GeneratesTextAsItComesAndStatisticsBeside) {
  const json expected = read_json(model_folder("bard-1m") / "expected.json")["greedy"][0];
  const Outcome outcome =
      lazuli({"generate", "--model", bard, "--prompt", expected["prompt"], "--max-tokens", "64"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, expected["text"].get<std::string>() + "\n");
  EXPECT_NE(outcome.err.find("tokens/s"), std::string::npos);
}

TEST(Command, GeneratesJson) {
  const json expected = read_json(model_folder("bard-1m") / "expected.json")["greedy"][1];
  const Ids prompt = expected["input_ids"];
  const Outcome outcome = lazuli({"generate", "--model", bard, "--prompt-ids", joined(prompt), "--max-tokens",
                                  "64", "--json", "--threads", "1", "--activations", "float32"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const json result = json::parse(outcome.out);
  EXPECT_EQ(result["text"], expected["text"]);
  EXPECT_EQ(result["token_ids"], expected["greedy_ids"]);
  EXPECT_EQ(result["prompt_ids"], expected["input_ids"]);
  EXPECT_EQ(result["finish_reason"], "length");
  EXPECT_EQ(result["prompt_tokens"], prompt.size());
  EXPECT_EQ(result["generation_tokens"], 64);
  EXPECT_GT(result["prompt_tokens_per_second"].get<double>(), 0);
  EXPECT_GT(result["generation_tokens_per_second"].get<double>(), 0);
  EXPECT_GT(result["peak_memory_bytes"].get<std::int64_t>(), 0);
}

TEST(Command, SamplesRepeatablyAndStops) {
  const std::vector<std::string> arguments = {
      "generate", "--model", bard,   "--prompt", "KING HENRY:", "--max-tokens",
      "40",       "--temp",  "0.8",  "--top-p",  "0.9",         "--top-k",
      "50",       "--min-p", "0.02", "--seed",   "11",          "--json"};
  const json first = json::parse(lazuli(arguments).out);
  EXPECT_EQ(json::parse(lazuli(arguments).out)["token_ids"], first["token_ids"]);

  const std::string text = first["text"];
  ASSERT_GT(text.size(), 12u);
  std::vector<std::string> stopping = arguments;
  stopping.insert(stopping.end(), {"--stop", "not in there", text.substr(8, 4)});
  const json stopped = json::parse(lazuli(stopping).out);
  EXPECT_EQ(stopped["finish_reason"], "stop");
  EXPECT_EQ(stopped["text"], text.substr(0, text.find(text.substr(8, 4))));
}

TEST(Command, ChatAppliesTheTemplate) {
  const Outcome outcome = lazuli(
      {"generate", "--model", bard, "--prompt", "Good morrow", "--chat", "--max-tokens", "4", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Outcome prompt =
      lazuli({"tokenize", "--model", bard, "--decode", json::parse(outcome.out)["prompt_ids"].dump()});
  EXPECT_EQ(prompt.out,
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nGood morrow<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n\n");
}

TEST(Command, Tokenizes) {
  const json expected = read_json(model_folder("bard-1m") / "expected.json")["greedy"][0];
  const std::string text = expected["prompt"];
  Ids ids = expected["input_ids"];
  EXPECT_EQ(json::parse(lazuli({"tokenize", "--model", bard, text}).out), ids);
  EXPECT_EQ(json::parse(lazuli({"tokenize", "--model", bard, "-"}, text).out), ids);
  EXPECT_EQ(json::parse(lazuli({"tokenize", "--model", bard}, text).out), ids);
  EXPECT_EQ(lazuli({"tokenize", "--model", bard, "--decode", json(ids).dump()}).out,
            "<|begin_of_text|>" + text + "\n");
  EXPECT_EQ(lazuli({"tokenize", "--model", bard, "--decode", "--no-special-tokens", joined(ids)}).out,
            text + "\n");
  ids.erase(ids.begin());
  EXPECT_EQ(json::parse(lazuli({"tokenize", "--model", bard, "--no-special-tokens", text}).out), ids);
  EXPECT_EQ(json::parse(lazuli({"tokenize", "--model", bard, "--no-special-tokens", ""}).out), Ids{});
}

TEST(Command, WritesLogits) {
  TemporaryFolder folder;
  const json expected = read_json(model_folder("llama") / "expected.json")[0];
  const fs::path file = folder / "logits.safetensors";
  const Outcome outcome = lazuli({"logits", "--model", model_folder("llama").string(), "--prompt-ids",
                                  joined(expected["input_ids"].get<Ids>()), "--out", file.string()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto tensors = load_safetensors(file.string()).first;
  ASSERT_EQ(tensors.size(), 1u);
  const array logits = tensors.at("logits");
  EXPECT_EQ(logits.dtype(), float32);
  EXPECT_EQ(logits.shape(), (Shape{static_cast<int>(expected["input_ids"].size()), 2048}));
  const auto reference = load_safetensors((model_folder("llama") / "expected.safetensors").string()).first;
  const array wanted = reshape(reference.at("logits_0"), logits.shape());
  EXPECT_LT(max(abs(logits - wanted), false).item<float>() / max(abs(wanted), false).item<float>(), 2e-3);
}

TEST(Command, MeasuresPerplexity) {
  TemporaryFolder folder;
  write_file(folder / "text", test::own_text);
  const Outcome outcome = lazuli(
      {"perplexity", "--model", bard, "--file", (folder / "text").string(), "--window", "64", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json result = json::parse(outcome.out);
  EXPECT_NEAR(result["mean_nll"].get<double>(), 4.531822, 1e-3);
  EXPECT_NEAR(result["perplexity"].get<double>(), std::exp(4.531822), 0.1);
  EXPECT_EQ(result["windows"], 7);
  const Outcome plain =
      lazuli({"perplexity", "--model", bard, "--file", "-", "--window", "64", "--max-windows", "2"},
             std::string(test::own_text));
  EXPECT_EQ(plain.status, 0);
  EXPECT_NE(plain.out.find("2 windows"), std::string::npos);
}

TEST(Command, ConvertsAndRunsWhatItConverted) {
  TemporaryFolder folder;
  const std::string out = (folder / "4bit").string();
  const Outcome outcome = lazuli({"convert", "--model", model_folder("llama").string(), "--out", out,
                                  "--quantize", "--group-size", "64"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_NE(outcome.err.find("lazuli: note: model.layers.0.mlp.down_proj stays as it is"), std::string::npos);
  EXPECT_EQ(read_json(fs::path(out) / "config.json")["quantization"]["bits"], 4);
  for (const char* activations : {"float32", "bfloat16", "int8"}) {
    const Outcome run = lazuli({"generate", "--model", out, "--prompt-ids", "1,2,3", "--max-tokens", "3",
                                "--json", "--activations", activations});
    ASSERT_EQ(run.status, 0) << run.err;
    EXPECT_EQ(json::parse(run.out)["token_ids"].size(), 3u);
  }
  for (const char* bits : {"4", "8"}) {
    const Outcome run = lazuli({"generate", "--model", bard, "--prompt-ids", "1,2,3", "--max-tokens", "5",
                                "--json", "--kv-bits", bits});
    ASSERT_EQ(run.status, 0) << run.err;
    EXPECT_EQ(json::parse(run.out)["token_ids"].size(), 5u);
  }
  expect_error(lazuli({"convert", "--model", model_folder("llama").string(), "--out", out}), 1,
               "exists already");
}

TEST(Command, BundledModelSpeaks) {
  const fs::path bundled = fs::path(LAZULI_MODELS) / "bard-8m-4bit";
  std::uintmax_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(bundled)) bytes += entry.file_size();
  EXPECT_LE(bytes, 5'000'000u);
  const Outcome outcome = lazuli(
      {"generate", "--model", bundled.string(), "--prompt", "To be, or not to be", "--max-tokens", "12"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_GT(outcome.out.size(), 10u);
}

// Wrong usage -------------------------------------------------------------------------------------------

TEST(CommandUsage, IsReportedWithStatusTwo) {
  expect_error(lazuli({}), 2, "subcommand");
  expect_error(lazuli({"dance"}), 2, "dance");
  expect_error(lazuli({"generate"}), 2, "--model");
  expect_error(lazuli({"generate", "--model", bard}), 2, "prompt");
  expect_error(lazuli({"generate", "--model", bard, "--prompt", "a", "--prompt-ids", "1"}), 2, "prompt");
  expect_error(lazuli({"generate", "--model", bard, "--prompt-ids", "1", "--chat"}), 2, "--chat");
  expect_error(lazuli({"generate", "--model", bard, "--prompt-ids", "1,x"}), 2, "x");
  expect_error(lazuli({"generate", "--model", bard, "--prompt-ids", "1,,2"}), 2, "token id");
  expect_error(lazuli({"generate", "--model", bard, "--prompt-ids", "99999999999"}), 2, "99999999999");
  expect_error(lazuli({"generate", "--model", bard, "--prompt", "a", "--temp", "hot"}), 2, "hot");
  expect_error(lazuli({"generate", "--model", bard, "--prompt", "a", "--temp", "-1"}), 2, "--temp");
  expect_error(lazuli({"generate", "--model", bard, "--prompt", "a", "--top-p", "2"}), 2, "--top-p");
  expect_error(lazuli({"generate", "--model", bard, "--prompt", "a", "--max-tokens", "-1"}), 2,
               "--max-tokens");
  expect_error(lazuli({"generate", "--model", bard, "--prompt", "a", "--seed", "x"}), 2, "--seed");
  expect_error(lazuli({"generate", "--model", bard, "--prompt", "a", "--activations", "int3"}), 2, "int3");
  expect_error(lazuli({"generate", "--model", bard, "--prompt", "a", "--threads", "0"}), 2, "--threads");
  expect_error(lazuli({"generate", "--model", bard, "--prompt", "a", "--kv-bits", "5"}), 2, "--kv-bits");
  expect_error(lazuli({"generate", "--model", bard, "--prompt", "a", "--kv-group-size", "64"}), 2,
               "--kv-bits");
  expect_error(
      lazuli({"generate", "--model", bard, "--prompt", "a", "--kv-bits", "8", "--kv-group-size", "128"}), 1,
      "[cache]");
  expect_error(lazuli({"generate", "--model", bard, "--prompt", "a", "--loud"}), 2, "--loud");
  expect_error(lazuli({"logits", "--model", bard, "--prompt-ids", "1"}), 2, "--out");
  expect_error(lazuli({"perplexity", "--model", bard}), 2, "--file");
  expect_error(lazuli({"perplexity", "--model", bard, "--file", "x", "--window", "1"}), 2, "--window");
  expect_error(lazuli({"convert", "--model", bard, "--out", "x", "--bits", "4"}), 2, "--quantize");
  expect_error(lazuli({"convert", "--model", bard, "--out", "x", "--quantize", "--bits", "7"}), 2, "--bits");
  expect_error(lazuli({"convert", "--model", bard, "--out", "x", "--dtype", "int8"}), 2, "--dtype");
}

// Bad input ---------------------------------------------------------------------------------------------

class BadInput : public testing::Test {
 protected:
  BadInput() { test::copy_model("llama", path()); }

  fs::path path() const { return folder_ / "model"; }
  Outcome run() const {
    return lazuli({"generate", "--model", path().string(), "--prompt-ids", "1,2", "--max-tokens", "2"});
  }
  /// Rewrites the header of model.safetensors; the data stays.
  template <typename F>
  void change_header(F&& change) const {
    const std::string file = read_file(path() / "model.safetensors");
    std::uint64_t length = 0;
    std::memcpy(&length, file.data(), sizeof(length));
    json header = json::parse(file.substr(8, length));
    change(header);
    const std::string text = header.dump();
    length = text.size();
    std::string changed(reinterpret_cast<const char*>(&length), sizeof(length));
    std::uint64_t old_length = 0;
    std::memcpy(&old_length, file.data(), sizeof(old_length));
    write_file(path() / "model.safetensors", changed + text + file.substr(8 + old_length));
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(BadInput, MissingFiles) {
  expect_error(lazuli({"generate", "--model", "/no/such/model", "--prompt", "a"}), 1, "/no/such/model");
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"}) {
    fs::rename(path() / name, path() / "elsewhere");
    expect_error(run(), 1, name);
    fs::rename(path() / "elsewhere", path() / name);
  }
  EXPECT_EQ(run().status, 0);
  expect_error(lazuli({"perplexity", "--model", bard, "--file", "/no/such/text"}), 1, "/no/such/text");
  expect_error(lazuli({"perplexity", "--model", bard, "--file", "/"}), 1, "cannot be read");
  expect_error(
      lazuli({"logits", "--model", bard, "--prompt-ids", "1", "--out", "/no/such/folder/x.safetensors"}), 1,
      "/no/such/folder");
  expect_error(lazuli({"convert", "--model", "/no/such/model", "--out", (path() / "out").string()}), 1,
               "/no/such/model");
}

TEST_F(BadInput, BrokenConfig) {
  const json config = read_json(path() / "config.json");
  const auto expect_with = [&](const std::string& key, const json& value, const std::string& what) {
    json changed = config;
    changed[key] = value;
    write_file(path() / "config.json", changed.dump());
    expect_error(run(), 1, what);
  };
  expect_with("model_type", "mystery", "[load] model type \"mystery\" is not known; known: llama, qwen3");
  expect_with("hidden_size", "big", "hidden_size");
  expect_with("hidden_size", 128, "model.");
  expect_with("num_hidden_layers", 4, "model.layers.3");
  expect_with("num_hidden_layers", -1, "num_hidden_layers");
  expect_with("vocab_size", 4096, "model.embed_tokens.weight");
  expect_with("tie_word_embeddings", false, "lm_head.weight");
  write_file(path() / "config.json", "{\"model_type\": ");
  expect_error(run(), 1, "config.json");
  write_file(path() / "config.json", "[]");
  expect_error(run(), 1, "config.json");
}

TEST_F(BadInput, BrokenTokenizer) {
  write_file(path() / "tokenizer.json", read_file(path() / "tokenizer.json").substr(0, 5000));
  expect_error(run(), 1, "tokenizer.json");
  write_file(path() / "tokenizer.json", R"({"model": {"type": "Mystery"}})");
  expect_error(run(), 1, "tokenizer.json");
  expect_error(lazuli({"tokenize", "--model", path().string(), "a"}), 1, "tokenizer.json");
}

TEST_F(BadInput, TruncatedWeights) {
  const std::string whole = read_file(path() / "model.safetensors");
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, std::size_t{8}, std::size_t{100},
                                 whole.size() / 2, whole.size() - 1}) {
    write_file(path() / "model.safetensors", whole.substr(0, size));
    expect_error(run(), 1, "model.safetensors");
  }
  std::string huge = whole;
  std::memset(huge.data(), 0xff, 8);
  write_file(path() / "model.safetensors", huge);
  expect_error(run(), 1, "model.safetensors");
}

TEST_F(BadInput, LyingHeader) {
  const std::string whole = read_file(path() / "model.safetensors");
  const auto expect_with = [&](auto change, const std::string& what) {
    write_file(path() / "model.safetensors", whole);
    change_header([&](json& header) { change(header["model.norm.weight"]); });
    expect_error(run(), 1, what);
  };
  expect_with([](json& tensor) { tensor["data_offsets"][1] = 1u << 31; }, "model.safetensors");
  expect_with([](json& tensor) { tensor["data_offsets"] = {128, 0}; }, "model.safetensors");
  expect_with([](json& tensor) { tensor["data_offsets"] = {-128, 0}; }, "model.safetensors");
  expect_with([](json& tensor) { tensor["shape"] = {1u << 31, 1u << 31, 1u << 31}; }, "model.safetensors");
  expect_with([](json& tensor) { tensor["shape"] = {65}; }, "model.safetensors");
  expect_with([](json& tensor) { tensor["dtype"] = "Q7"; }, "model.safetensors");
  expect_with([](json& tensor) { tensor = 5; }, "model.safetensors");
}

TEST_F(BadInput, WrongDtypesAndShapes) {
  const std::string whole = read_file(path() / "model.safetensors");
  const auto expect_with = [&](auto change, const std::string& what) {
    write_file(path() / "model.safetensors", whole);
    change_header([&](json& header) { change(header); });
    expect_error(run(), 1, what);
  };
  expect_with([](json& header) { header["model.norm.weight"]["dtype"] = "I16"; },
              "\"model.norm.weight\" is int16");
  expect_with(
      [](json& header) {
        json& tensor = header["model.layers.1.mlp.up_proj.weight"];
        std::swap(tensor["shape"][0], tensor["shape"][1]);
      },
      "\"model.layers.1.mlp.up_proj.weight\" has shape (64,160), where the config asks for (160,64)");
  expect_with(
      [](json& header) {
        header["else"] = header["model.norm.weight"];
        header.erase("model.norm.weight");
      },
      "\"model.norm.weight\"");
}

TEST_F(BadInput, QuantizedWeightsThatDoNotFit) {
  TemporaryFolder folder;
  ASSERT_EQ(lazuli({"convert", "--model", path().string(), "--out", (folder / "q").string(), "--quantize",
                    "--bits", "4", "--group-size", "32"})
                .status,
            0);
  const auto run_with = [&](const json& quantization) {
    json config = read_json(folder / "q/config.json");
    config["quantization"] = quantization;
    write_file(folder / "q/config.json", config.dump());
    return lazuli({"generate", "--model", (folder / "q").string(), "--prompt-ids", "1", "--max-tokens", "1"});
  };
  expect_error(run_with({{"group_size", 64}, {"bits", 4}}), 1, "model.embed_tokens");
  expect_error(run_with({{"group_size", 32}, {"bits", 8}}), 1, "model.embed_tokens");
  expect_error(run_with({{"group_size", 32}, {"bits", 4}, {"mode", "mystery"}}), 1, "mystery");
  expect_error(run_with(nullptr), 1, "quantized");
  EXPECT_EQ(run_with({{"group_size", 32}, {"bits", 4}}).status, 0);
}

TEST_F(BadInput, TokensOutOfRange) {
  const std::string model = path().string();
  expect_error(lazuli({"generate", "--model", model, "--prompt-ids", "1,2048"}), 1,
               "token id 2048 is out of range");
  expect_error(lazuli({"generate", "--model", model, "--prompt-ids=-1"}), 1, "token id -1 is out of range");
  expect_error(lazuli({"logits", "--model", model, "--prompt-ids", "2048", "--out", (path() / "x").string()}),
               1, "out of range");
  expect_error(lazuli({"tokenize", "--model", model, "--decode", "[99999]"}), 1, "out of range");
  expect_error(lazuli({"generate", "--model", model, "--prompt-ids", ""}), 1, "empty");
  expect_error(lazuli({"generate", "--model", model, "--prompt-ids", "1", "--activations", "int8"}), 1,
               "quantized");
}

TEST_F(BadInput, ChatWithoutTemplate) {
  expect_error(lazuli({"generate", "--model", path().string(), "--prompt", "a", "--chat"}), 1,
               "chat template");
}

}  // namespace
}  // namespace lazuli::lm
