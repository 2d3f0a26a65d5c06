#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/tile_tuner.h>
#include <lazuli/lazuli.h>

#include "support/compare.h"

namespace lazuli::templates {
namespace {

/// A kernel cache of its own.
class TileTunerTest : public testing::Test {
 protected:
  void SetUp() override {
    before_ = kernel_cache_directory();
    directory_ = std::filesystem::temp_directory_path() / ("lazuli-tiles-" + std::to_string(getpid()));
    set_kernel_cache_directory(directory_);
  }
  void TearDown() override {
    set_kernel_cache_directory(before_);
    std::filesystem::remove_all(directory_);
  }

  /// Calls with these times until the class is settled; the way that is taken then.
  static int settle(TileTuner& tuner, const std::string& key, const std::vector<double>& seconds) {
    const int ways = static_cast<int>(seconds.size());
    for (int call = 0; call < 100 && !tuner.is_settled(key); ++call) {
      const int way = tuner.next(key, ways);
      tuner.record(key, way, seconds[static_cast<size_t>(way)]);
    }
    EXPECT_TRUE(tuner.is_settled(key));
    return tuner.next(key, ways);
  }

  std::filesystem::path directory_, before_;
};

TEST_F(TileTunerTest, TakesTheFastestWay) {
  TileTuner tuner;
  EXPECT_EQ(settle(tuner, "a", {3, 2, 1, 4}), 2);
  EXPECT_EQ(settle(tuner, "b", {1, 2, 3}), 0);
  EXPECT_EQ(tuner.next("a", 4), 2);
}

TEST_F(TileTunerTest, KeepsToTheModelWhereLittleIsGained) {
  TileTuner tuner;
  EXPECT_EQ(settle(tuner, "a", {1, 0.99}), 0);
}

TEST_F(TileTunerTest, OneSlowCallDoesNotDecide) {
  TileTuner tuner;
  tuner.next("a", 2);
  tuner.record("a", 0, 100);
  EXPECT_EQ(settle(tuner, "a", {1, 2}), 0);
}

TEST_F(TileTunerTest, OthersFindItOnDisk) {
  TileTuner first;
  EXPECT_EQ(settle(first, "a", {3, 1}), 1);
  TileTuner second;
  EXPECT_EQ(second.next("a", 2), 1);
  EXPECT_TRUE(second.is_settled("a"));
  // A value that is no way there is, as of another version, is passed over.
  TileTuner third;
  EXPECT_EQ(third.next("a", 1), 0);
  EXPECT_FALSE(third.is_settled("a"));
}

TEST_F(TileTunerTest, DamagedFilesArePassedOver) {
  TileTuner first;
  EXPECT_EQ(settle(first, "a", {3, 1}), 1);
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    std::ofstream(entry.path(), std::ios::binary) << "nothing of use";
  }
  TileTuner second;
  EXPECT_EQ(second.next("a", 2), 0);
  EXPECT_FALSE(second.is_settled("a"));
}

TEST_F(TileTunerTest, EveryWayGivesTheSameBits) {
  const array a = random::normal({300, 400}, float32, 0.0f, 1.0f, random::key(1));
  const array b = random::normal({400, 350}, float32, 0.0f, 1.0f, random::key(2));
  eval(a, b);
  TileTuner::instance().clear();
  set_tile_tuning(false);
  const std::vector<float> expected = test::values<float>(matmul(a, b));
  set_tile_tuning(true);
  for (int call = 0; call < 20; ++call) EXPECT_EQ(test::values<float>(matmul(a, b)), expected);
}

}  // namespace
}  // namespace lazuli::templates
