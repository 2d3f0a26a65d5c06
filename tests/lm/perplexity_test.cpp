#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include <lazuli/lm/convert/convert.h>
#include <lazuli/lm/evaluate/perplexity.h>
#include <lazuli/lm/tokenizer/tokenizer.h>

#include "lm/folders.h"
#include "lm/own_text.h"

namespace lazuli::lm {
namespace {

using test::model_folder;
using test::TemporaryFolder;

std::vector<std::int32_t> encode(std::string_view text) {
  return Tokenizer::from_directory(model_folder("bard-8m")).encode(text, false);
}

PerplexityResult measure(const std::filesystem::path& model, std::string_view text,
                         const PerplexityOptions& options) {
  return perplexity(CausalModel::from_directory(model), encode(text), options);
}

/// The text that the models' expected values were measured on, if it is at hand.
std::filesystem::path validation_text() {
  return std::filesystem::path(LAZULI_SHARED) / "text/bard-validation.txt";
}

TEST(Perplexity, OfTheTrainedModelsOnTextOfOurOwn) {
  // Measured once with another implementation, in float32.
  const PerplexityResult large = measure(model_folder("bard-8m"), test::own_text, {.window = 64});
  EXPECT_EQ(large.windows, 7);
  EXPECT_EQ(large.scored_tokens, 7 * 63);
  EXPECT_NEAR(large.mean_nll, 4.463361, 1e-3);
  EXPECT_DOUBLE_EQ(large.perplexity(), std::exp(large.mean_nll));
  EXPECT_NEAR(measure(model_folder("bard-1m"), test::own_text, {.window = 64}).mean_nll, 4.531822, 1e-3);
}

TEST(Perplexity, BundledModelStaysCloseToTheOriginal) {
  const std::filesystem::path bundled = std::filesystem::path(LAZULI_MODELS) / "bard-8m-4bit";
  EXPECT_NEAR(measure(bundled, test::own_text, {.window = 64}).mean_nll, 4.463361, 0.03);
}

TEST(Perplexity, AQuantizedCacheCostsLittle) {
  const std::filesystem::path bundled = std::filesystem::path(LAZULI_MODELS) / "bard-8m-4bit";
  const double exact = measure(bundled, test::own_text, {.window = 128}).mean_nll;
  const auto with_cache = [&](Quantization format) {
    const CausalModel model = CausalModel::from_directory(bundled, std::nullopt, format);
    return perplexity(model, encode(test::own_text), {.window = 128}).mean_nll;
  };
  EXPECT_NEAR(with_cache({64, 8}), exact, 0.01);
  EXPECT_NEAR(with_cache({32, 4}), exact, 0.05);
}

TEST(Perplexity, CutsTextIntoWindows) {
  const CausalModel model = CausalModel::from_directory(model_folder("bard-1m"));
  const std::vector<std::int32_t> ids = encode(test::own_text);
  int seen = 0;
  const auto count = [&](const PerplexityResult&) { ++seen; };
  EXPECT_EQ(perplexity(model, ids, {.window = 100, .max_windows = 3}, count).windows, 3);
  EXPECT_EQ(seen, 3);
  EXPECT_EQ(perplexity(model, ids, {.window = 100}).windows, static_cast<int>(ids.size() / 100));
  // Less than a window counts as one.
  const PerplexityResult one = perplexity(model, std::span(ids).first(10), {.window = 100});
  EXPECT_EQ(one.windows, 1);
  EXPECT_EQ(one.scored_tokens, 9);
  EXPECT_THROW(perplexity(model, std::span(ids).first(1), {}), std::invalid_argument);
  EXPECT_THROW(perplexity(model, ids, {.window = 1}), std::invalid_argument);
}

class Validation : public testing::TestWithParam<const char*> {};

TEST_P(Validation, MatchesTheExpectedLikelihood) {
  if (!std::filesystem::exists(validation_text())) GTEST_SKIP() << "the validation text is not here";
  const nlohmann::json expected = test::read_json(model_folder(GetParam()) / "expected.json");
  const PerplexityResult result =
      measure(model_folder(GetParam()), test::read_file(validation_text()),
              {.window = expected["window_tokens"], .max_windows = expected["windows"]});
  EXPECT_EQ(result.windows, 64);
  EXPECT_NEAR(result.mean_nll, expected["mean_nll_f32"].get<double>(), 1e-3);
  RecordProperty("mean_nll", std::to_string(result.mean_nll));
}

INSTANTIATE_TEST_SUITE_P(Perplexity, Validation, testing::Values("bard-8m", "bard-1m"));

struct Recipe {
  int bits;
  double tolerance;
};

class Quantized : public testing::TestWithParam<Recipe> {};

TEST_P(Quantized, StaysCloseToFloat32) {
  if (!std::filesystem::exists(validation_text())) GTEST_SKIP() << "the validation text is not here";
  TemporaryFolder folder;
  ConvertOptions options;
  options.quantization = Quantization{32, GetParam().bits};
  convert(model_folder("bard-8m"), folder / "quantized", options);
  const double expected = test::read_json(model_folder("bard-8m") / "expected.json")["mean_nll_f32"];
  const std::string text = test::read_file(validation_text());
  const CausalModel model = CausalModel::from_directory(folder / "quantized");
  EXPECT_EQ(model.activations(), Activations::int8);
  EXPECT_NEAR(perplexity(model, encode(text), {.max_windows = 64}).mean_nll, expected, GetParam().tolerance);
}

INSTANTIATE_TEST_SUITE_P(Perplexity, Quantized, testing::Values(Recipe{4, 0.01}, Recipe{8, 0.002}),
                         [](const auto& test) { return std::to_string(test.param.bits) + "bit"; });

}  // namespace
}  // namespace lazuli::lm
