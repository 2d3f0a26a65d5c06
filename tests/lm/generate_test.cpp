#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include <lazuli/lm/generate/generate.h>
#include <lazuli/lm/generate/sampler.h>

#include "lm/folders.h"

namespace lazuli::lm {
namespace {

using nlohmann::json;
using test::model_folder;
using test::read_json;
using test::TemporaryFolder;
using Ids = std::vector<std::int32_t>;

// The sampler -------------------------------------------------------------------------------------------

std::map<std::int32_t, int> draw(SamplingOptions options, const std::vector<float>& logits, int times) {
  options.seed = options.seed.value_or(1);
  Sampler sampler(options);
  std::map<std::int32_t, int> counts;
  for (int i = 0; i < times; ++i) ++counts[sampler(logits)];
  return counts;
}

TEST(Sampler, TakesTheLargestWithoutTemperature) {
  Sampler sampler;
  EXPECT_EQ(sampler(std::vector<float>{1, 3, 2}), 1);
  EXPECT_EQ(sampler(std::vector<float>{3, 1, 3}), 0);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(sampler(std::vector<float>{nan, -5, nan, -4}), 3);
  EXPECT_EQ(sampler(std::vector<float>{0, infinity, 1}), 1);
  EXPECT_EQ(sampler(std::vector<float>{-infinity, -infinity}), 0);
  EXPECT_THROW(sampler(std::vector<float>{nan, nan}), std::runtime_error);
}

TEST(Sampler, DrawsByProbability) {
  // Probabilities 0.1, 0.2, 0.3, 0.4.
  const std::vector<float> logits = {std::log(1.0f), std::log(2.0f), std::log(3.0f), std::log(4.0f)};
  constexpr int times = 20000;
  auto counts = draw({.temperature = 1}, logits, times);
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(counts[i], times * 0.1 * (i + 1), 300);
  // Half the temperature squares the ratios: 1, 4, 9, 16 of 30.
  counts = draw({.temperature = 0.5f}, logits, times);
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(counts[i], times * (i + 1) * (i + 1) / 30.0, 300);
}

TEST(Sampler, RestrictsWhatItDrawsFrom) {
  const std::vector<float> logits = {std::log(1.0f), std::log(4.0f), std::log(2.0f), std::log(3.0f)};
  const auto keys = [&](const SamplingOptions& options) {
    Ids ids;
    for (const auto& [id, count] : draw(options, logits, 500)) ids.push_back(id);
    return ids;
  };
  EXPECT_EQ(keys({.temperature = 1}), (Ids{0, 1, 2, 3}));
  EXPECT_EQ(keys({.temperature = 1, .top_k = 1}), (Ids{1}));
  EXPECT_EQ(keys({.temperature = 1, .top_k = 2}), (Ids{1, 3}));
  EXPECT_EQ(keys({.temperature = 1, .top_k = 99}), (Ids{0, 1, 2, 3}));
  EXPECT_EQ(keys({.temperature = 1, .top_p = 0.3f}), (Ids{1}));
  EXPECT_EQ(keys({.temperature = 1, .top_p = 0.65f}), (Ids{1, 3}));
  EXPECT_EQ(keys({.temperature = 1, .top_p = 0.8f}), (Ids{1, 2, 3}));
  EXPECT_EQ(keys({.temperature = 1, .min_p = 0.6f}), (Ids{1, 3}));
  EXPECT_EQ(keys({.temperature = 1, .min_p = 1}), (Ids{1}));
  // top_p counts among what top_k has left: 4/7 is above 0.5.
  EXPECT_EQ(keys({.temperature = 1, .top_p = 0.5f, .top_k = 2}), (Ids{1}));
  // Of equals, the first.
  EXPECT_EQ(draw({.temperature = 1, .top_k = 2}, {1, 1, 1, 1}, 100).rbegin()->first, 1);
}

TEST(Sampler, RepeatsItselfWithTheSameSeed) {
  std::vector<float> logits(1000);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = std::sin(static_cast<float>(i));
  const auto sequence = [&](std::uint64_t seed) {
    Sampler sampler({.temperature = 1, .seed = seed});
    Ids ids;
    for (int i = 0; i < 600; ++i) ids.push_back(sampler(logits));
    return ids;
  };
  EXPECT_EQ(sequence(42), sequence(42));
  EXPECT_NE(sequence(42), sequence(43));
}

TEST(Sampler, RefusesOptionsOutOfRange) {
  EXPECT_THROW(Sampler({.temperature = -1}), std::invalid_argument);
  EXPECT_THROW(Sampler({.temperature = std::numeric_limits<float>::quiet_NaN()}), std::invalid_argument);
  EXPECT_THROW(Sampler({.top_p = 0}), std::invalid_argument);
  EXPECT_THROW(Sampler({.top_p = 1.5f}), std::invalid_argument);
  EXPECT_THROW(Sampler({.top_k = -1}), std::invalid_argument);
  EXPECT_THROW(Sampler({.min_p = 2}), std::invalid_argument);
}

// Generation --------------------------------------------------------------------------------------------

struct Loaded {
  explicit Loaded(const std::filesystem::path& folder)
      : tokenizer(Tokenizer::from_directory(folder)), model(CausalModel::from_directory(folder)) {}
  Tokenizer tokenizer;
  CausalModel model;
};

class Greedy : public testing::TestWithParam<const char*> {};

TEST_P(Greedy, ContinuationsAgree) {
  const Loaded loaded(model_folder(GetParam()));
  const json expected = read_json(model_folder(GetParam()) / "expected.json");
  for (const json& entry : expected.is_array() ? expected : expected["greedy"]) {
    if (entry.value("smallest_top2_gap", 1.0) <= 5e-3) continue;
    const Ids prompt = loaded.tokenizer.encode(entry["prompt"].get<std::string>());
    EXPECT_EQ(prompt, entry["input_ids"].get<Ids>());
    const Ids wanted = entry["greedy_ids"];
    const GenerationResult result =
        generate(loaded.model, loaded.tokenizer, prompt, {.max_tokens = static_cast<int>(wanted.size())});
    EXPECT_EQ(result.token_ids, wanted) << entry["prompt"];
    EXPECT_EQ(result.finish_reason, FinishReason::length);
    if (entry.contains("text")) {
      EXPECT_EQ(result.text, entry["text"].get<std::string>());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Generate, Greedy,
                         testing::Values("llama", "codellama", "qwen3", "bard-8m", "bard-1m"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Generate, StreamsWhatItReturns) {
  const Loaded bard(model_folder("bard-1m"));
  const Ids prompt = bard.tokenizer.encode("My fellow citizens,");
  std::string streamed;
  const GenerationOptions options{.max_tokens = 40, .sampling = {.temperature = 0.9f, .seed = 3}};
  const auto result = generate(bard.model, bard.tokenizer, prompt, options,
                               [&](std::string_view piece) { streamed += piece; });
  EXPECT_EQ(streamed, result.text);
  EXPECT_EQ(result.text, bard.tokenizer.decode(result.token_ids, true));
  EXPECT_EQ(generate(bard.model, bard.tokenizer, prompt, options).token_ids, result.token_ids);

  const GenerationStatistics& statistics = result.statistics;
  EXPECT_EQ(statistics.prompt_tokens, static_cast<int>(prompt.size()));
  EXPECT_EQ(statistics.generation_tokens, static_cast<int>(result.token_ids.size()));
  EXPECT_GT(statistics.prompt_tokens_per_second(), 0);
  EXPECT_GT(statistics.generation_tokens_per_second(), 0);
  EXPECT_GT(statistics.peak_memory_bytes, 0u);
}

TEST(Generate, EndsAtStopStrings) {
  const Loaded bard(model_folder("bard-8m"));
  const Ids prompt = bard.tokenizer.encode("To be, or not to be");
  // " done.\n\nMENENIUS:\nI am not..." without a stop string.
  const GenerationResult result =
      generate(bard.model, bard.tokenizer, prompt, {.max_tokens = 64, .stop = {"no such text", "NIUS:"}});
  EXPECT_EQ(result.text, " done.\n\nMENE");
  EXPECT_EQ(result.finish_reason, FinishReason::stop);
  EXPECT_LT(result.token_ids.size(), 12u);
}

TEST(Generate, EndsAtStopTokens) {
  // The third token of the greedy continuation made a stop token.
  TemporaryFolder folder;
  test::copy_model("bard-1m", folder / "model");
  const json expected = read_json(model_folder("bard-1m") / "expected.json")["greedy"][0];
  const Ids greedy = expected["greedy_ids"];
  test::write_file(folder / "model/generation_config.json",
                   json({{"eos_token_id", {4000, greedy[2]}}}).dump());
  const Loaded bard(folder / "model");
  const Ids prompt = expected["input_ids"];
  const GenerationResult result = generate(bard.model, bard.tokenizer, prompt, {});
  const auto end = std::find(greedy.begin(), greedy.end(), greedy[2]) + 1;
  EXPECT_EQ(result.token_ids, Ids(greedy.begin(), end));
  EXPECT_EQ(result.text, bard.tokenizer.decode(Ids(greedy.begin(), end - 1)));
  EXPECT_EQ(result.finish_reason, FinishReason::stop);
}

TEST(Generate, RefusesWhatCannotBe) {
  const Loaded llama(model_folder("llama"));
  EXPECT_THROW(generate(llama.model, llama.tokenizer, Ids{}), std::invalid_argument);
  EXPECT_THROW(generate(llama.model, llama.tokenizer, Ids{5000}), std::invalid_argument);
  EXPECT_THROW(generate(llama.model, llama.tokenizer, Ids{1}, {.max_tokens = -1}), std::invalid_argument);
  EXPECT_THROW(generate(llama.model, llama.tokenizer, Ids{1}, {.stop = {""}}), std::invalid_argument);
  const GenerationResult none = generate(llama.model, llama.tokenizer, Ids{1}, {.max_tokens = 0});
  EXPECT_TRUE(none.token_ids.empty());
  EXPECT_EQ(none.finish_reason, FinishReason::length);
}

}  // namespace
}  // namespace lazuli::lm
