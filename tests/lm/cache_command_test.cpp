#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "lm/run_command.h"

namespace lazuli::lm {
namespace {

using nlohmann::json;
using test::expect_error;
using test::lazuli;
using test::Outcome;
using test::TemporaryFolder;

TEST(CacheCommand, ShowsAndEmptiesTheFolder) {
  const TemporaryFolder folder;
  const std::vector<std::string> here = {"LAZULI_CACHE_DIR=" + (folder / "kernels").string(),
                                         "LAZULI_CACHE_LIMIT=3M", "LAZULI_JIT=sync"};
  const auto info = [&] {
    const Outcome outcome = lazuli({"cache", "info", "--json"}, "", here);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return json::parse(outcome.out);
  };
  json before = info();
  EXPECT_EQ(before["directory"], (folder / "kernels").string());
  EXPECT_EQ(before["entries"], 0);
  EXPECT_EQ(before["bytes"], 0);
  EXPECT_EQ(before["limit"], 3 << 20);

  const Outcome work = lazuli({"explain", "x * 2 + 1", "--input", "x=f32[100]", "--stage", "cost"}, "", here);
  ASSERT_EQ(work.status, 0) << work.err;
  const json after = info();
  EXPECT_GE(after["entries"], 1);
  EXPECT_GT(after["bytes"], 100);
  const Outcome shown = lazuli({"cache"}, "", here);
  EXPECT_EQ(shown.status, 0);
  EXPECT_NE(shown.out.find((folder / "kernels").string()), std::string::npos);
  EXPECT_NE(shown.out.find("of at most 3 MB"), std::string::npos) << shown.out;

  test::write_file(folder / "kernels/notes.txt", "mine");
  const Outcome cleared = lazuli({"cache", "clear"}, "", here);
  EXPECT_EQ(cleared.out, std::to_string(after["entries"].get<int>()) + " files removed\n");
  EXPECT_EQ(info()["entries"], 0);
  EXPECT_EQ(test::read_file(folder / "kernels/notes.txt"), "mine") << "what is not the cache's stays";
}

TEST(CacheCommand, SaysWhereNothingIsKept) {
  const Outcome outcome = lazuli({"cache", "info"}, "", {"LAZULI_CACHE_DIR="});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.out.find("not kept on disk"), std::string::npos);
  EXPECT_EQ(lazuli({"cache", "clear"}, "", {"LAZULI_CACHE_DIR="}).out, "0 files removed\n");
}

TEST(CacheCommand, WrongUsage) {
  expect_error(lazuli({"cache", "shrink"}), 2, "shrink");
  expect_error(lazuli({"cache", "info", "--loud"}), 2, "--loud");
  const Outcome outcome = lazuli({"cache", "info", "--json"}, "", {"LAZULI_CACHE_LIMIT=much"});
  EXPECT_EQ(json::parse(outcome.out)["limit"], 256 << 20);
  EXPECT_NE(outcome.err.find("LAZULI_CACHE_LIMIT is 'much'"), std::string::npos);
}

}  // namespace
}  // namespace lazuli::lm
