#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <lazuli/compiler/templates/stretches.h>

#include "support/settings_scope.h"

namespace lazuli::templates {
namespace {

TEST(Stretches, EachThreadGoesOverItsOwn) {
  Stretches stretches(100, 3);
  int64_t next = 33;
  for (;;) {
    const Stretches::Piece piece = stretches.take(1, 8);
    if (piece.begin != next) break;
    EXPECT_GE(piece.end - piece.begin, 1);
    EXPECT_LE(piece.end - piece.begin, 8);
    next = piece.end;
  }
  EXPECT_EQ(next, 66);
}

TEST(Stretches, OneThatIsDoneTakesHalfOfTheLongestRest) {
  Stretches stretches(90, 3);
  for (int i = 0; i < 3; ++i) stretches.take(1, 4);  // 18 of 30 are left
  std::vector<Stretches::Piece> pieces;
  for (int i = 0; i < 100; ++i) {
    const Stretches::Piece piece = stretches.take(0, 30);
    if (piece.begin >= 30) {
      pieces.push_back(piece);
      break;
    }
  }
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].begin, 75);
}

TEST(Stretches, NothingIsLeftOutOrDoneTwice) {
  const test::ThreadsScope threads(4);
  for (const int64_t count : {0, 1, 3, 4, 5, 64, 1001}) {
    for (const int64_t most : {1, 7, 16}) {
      std::vector<std::atomic<int>> done(static_cast<size_t>(count));
      share_out_stretches(count, most, [&](int64_t begin, int64_t end) {
        EXPECT_LT(begin, end);
        EXPECT_LE(end - begin, most);
        if (begin == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // others take over
        for (int64_t i = begin; i < end; ++i) ++done[static_cast<size_t>(i)];
      });
      for (const std::atomic<int>& times : done) EXPECT_EQ(times, 1);
    }
  }
}

TEST(Stretches, ThreadsSayWhereTheyStart) {
  for (const int threads : {1, 3}) {
    const test::ThreadsScope scope(threads);
    std::vector<std::atomic<int>> starts(90);
    share_out_stretches(
        90, 4, [](int64_t, int64_t) {}, [&](int64_t begin) { ++starts[static_cast<size_t>(begin)]; });
    EXPECT_EQ(starts[0], 1);
    int all = 0;
    for (const std::atomic<int>& times : starts) all += times;
    EXPECT_GE(all, threads);
  }
}

}  // namespace
}  // namespace lazuli::templates
