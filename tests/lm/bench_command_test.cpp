#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "lm/folders.h"
#include "lm/run_command.h"

namespace lazuli::lm {
namespace {

using nlohmann::json;
using test::expect_error;
using test::lazuli;
using test::Outcome;
using test::read_file;
using test::read_json;
using test::TemporaryFolder;

/// Rows of three kinds that are measured soon: held against a bandwidth, against a time, and no time at all.
const std::string filter = "^(reductions/sum of all bfloat16|overhead/1,000 dependent adds|memory/two-layer)";

TEST(BenchCommand, WritesTheTableInEveryForm) {
  const TemporaryFolder folder;
  const Outcome outcome =
      lazuli({"bench", "kernels", "--filter", filter, "--seconds", "0.01", "--json", folder / "table.json",
              "--markdown", folder / "table.md", "--chart", folder / "chart.html"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json rows = read_json(folder / "table.json").at("rows");
  ASSERT_EQ(rows.size(), 4u) << rows.dump(2);

  const json& sum = rows.at(0);
  EXPECT_EQ(sum.at("name"), "sum of all bfloat16");
  EXPECT_EQ(sum.at("limit"), "read bandwidth");
  EXPECT_EQ(sum.at("bytes"), 2.0 * (1 << 24));
  EXPECT_GT(sum.at("seconds"), 0.0);
  // The share is taken round by round, so that it agrees with the medians only about.
  const double rate = sum.at("bytes").get<double>() / sum.at("seconds").get<double>();
  const double share = sum.at("share");
  EXPECT_GT(share, 0.2 * rate / sum.at("limit_rate").get<double>());
  EXPECT_LT(share, 5 * rate / sum.at("limit_rate").get<double>());
  EXPECT_EQ(sum.at("met").get<bool>(), share >= sum.at("wanted_share").get<double>());

  const json& adds = rows.at(1);
  EXPECT_EQ(adds.at("met").get<bool>(),
            adds.at("seconds").get<double>() <= adds.at("wanted_seconds").get<double>());
  EXPECT_EQ(rows.at(3).at("value"), 0.0) << "the best order is found for so small a program";

  const std::string markdown = read_file(folder / "table.md");
  const std::string chart = read_file(folder / "chart.html");
  for (const json& row : rows) {
    const std::string name = row.at("name");
    EXPECT_NE(outcome.out.find(name), std::string::npos);
    const std::string title = row.at("group").get<std::string>() + ": " + name;
    EXPECT_NE(markdown.find(row.at("met").get<bool>() ? "| " + title + " |" : "| **" + title + "** |"),
              std::string::npos)
        << markdown;
  }
  EXPECT_NE(chart.find("sum of all bfloat16"), std::string::npos);
  EXPECT_NE(chart.find("<svg"), std::string::npos);
}

TEST(BenchCommand, ChecksWhatIsShort) {
  const TemporaryFolder folder;
  const Outcome outcome = lazuli({"bench", "kernels", "--filter", "^overhead/1,000 dependent adds",
                                  "--seconds", "0.01", "--check", "--json", folder / "table.json"});
  size_t missed = 0;
  const json rows = read_json(folder / "table.json").at("rows");
  EXPECT_EQ(rows.size(), 2u);
  for (const json& row : rows) missed += row.at("met").get<bool>() ? 0 : 1;
  EXPECT_EQ(outcome.status, missed > 0 ? 1 : 0) << outcome.out << outcome.err;
  EXPECT_EQ(outcome.err.find("fall short") != std::string::npos, missed > 0) << outcome.err;
}

TEST(BenchCommand, MeasuresAModel) {
  const Outcome outcome =
      lazuli({"bench", "--model", test::model_folder("bard-1m"), "-p", "16", "-n", "4", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json result = json::parse(outcome.out);
  EXPECT_EQ(result.at("prompt_tokens"), 16);
  EXPECT_EQ(result.at("generation_tokens"), 4);
  EXPECT_GT(result.at("generation_tokens_per_second"), 0.0);
  EXPECT_GT(result.at("weight_bytes"), 1e6);
  EXPECT_GE(result.at("peak_memory_bytes"), result.at("cache_bytes"));
  EXPECT_EQ(result.at("traces_while_decoding"), 0);
  EXPECT_EQ(result.at("compiled_while_decoding"), 0);
  EXPECT_FALSE(result.at("decode_parts").empty());
}

TEST(BenchCommand, RefusesWhatItCannotMeasure) {
  expect_error(lazuli({"bench"}), 2, "give either --model or --random");
  expect_error(lazuli({"bench", "--random", "llama-1b", "--model", "x"}), 2,
               "give either --model or --random");
  expect_error(lazuli({"bench", "kernels", "--filter", "["}), 2, "\"[\" is no regular expression");
  expect_error(lazuli({"bench", "--model", "/nowhere"}), 1, "/nowhere");
}

}  // namespace
}  // namespace lazuli::lm
