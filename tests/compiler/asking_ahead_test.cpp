// What single passes ask for in advance, and where.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <lazuli/compiler/kernel_ir/kernel.h>
#include <lazuli/compiler/llvm/codegen.h>
#include <lazuli/compiler/llvm/schedule.h>
#include <lazuli/compiler/llvm/target.h>

namespace lazuli {
namespace {

using Accesses = std::vector<std::vector<size_t>>;

const char* const sum_of_rows = R"(kernel parallel reduce
a0 input float32 any unit
a1 input float32 zero zero
a2 output float32 unit zero
block
  %0 = load.float32 a0
  %1 = load.float32 a1
  %2 = mul.float32 %0, %1
  %3 = reduce_sum.float32 %2
point_block
  store.float32 a2, %3)";

TEST(AskingAhead, IsForWhatOnePassReadsInOrder) {
  const Target target = target_for("sapphirerapids");
  ASSERT_GT(target.bytes_ahead, 0);
  EXPECT_EQ(make_schedule(kir::parse(sum_of_rows), target).asked_ahead, (Accesses{{0}, {}}));
  const char* const backwards = R"(kernel parallel
a0 input float32 any
a1 input float32 unit
a2 output float32 unit
block
  %0 = load.float32 a0
  %1 = load.float32 a1
  %2 = add.float32 %0, %1
  store.float32 a2, %2)";
  EXPECT_EQ(make_schedule(kir::parse(backwards), target).asked_ahead, Accesses{{1}});
}

/// A norm: the pass over a row that writes it may run while the next row is read.
const char* const norm_of_rows = R"(kernel parallel reduce
a0 input float32 any unit
a1 input float32 zero unit
a2 input float32 any unit
a3 output float32 any unit
block
  %0 = load.float32 a0
  %1 = mul.float32 %0, %0
  %2 = reduce_sum.float32 %1
point_block
  %3 = rsqrt.float32 %2
block
  %4 = load.float32 a0
  %5 = mul.float32 %4, %3
  %6 = load.float32 a1
  %7 = mul.float32 %5, %6
  %8 = load.float32 a2
  %9 = add.float32 %7, %8
  store.float32 a3, %9)";

TEST(AskingAhead, IsForRowsThatAreWrittenWhileTheNextIsRead) {
  const Schedule schedule = make_schedule(kir::parse(norm_of_rows), target_for("sapphirerapids"));
  ASSERT_TRUE(schedule.late);
  EXPECT_EQ(schedule.late->within, 0);
  EXPECT_EQ(schedule.late->block, 2);
  // The weights stay in the caches.
  EXPECT_EQ(schedule.asked_ahead, (Accesses{{0}, {}, {2}}));
  EXPECT_EQ(schedule.prefetched, Accesses(3));
  const Schedule elsewhere = make_schedule(kir::parse(norm_of_rows), target_for("znver4"));
  EXPECT_FALSE(elsewhere.late);
  EXPECT_EQ(elsewhere.asked_ahead, Accesses(3));
}

TEST(AskingAhead, IsForProcessorsThatFetchLate) {
  const auto prefetches = [](const char* cpu) {
    const std::string code = kernel_text(target_for(cpu), kir::parse(sum_of_rows), CodeText::llvm_ir);
    int count = 0;
    for (size_t at = code.find("call void @llvm.prefetch"); at != std::string::npos;
         at = code.find("call void @llvm.prefetch", at + 1)) {
      ++count;
    }
    return count;
  };
  // Short rows that are taken together ask for some lines everywhere.
  EXPECT_GT(prefetches("sapphirerapids"), prefetches("znver4"));
  EXPECT_EQ(target_for("znver4").bytes_ahead, 0);
  EXPECT_EQ(target_for("x86-64-v3").bytes_ahead, 0);
}

TEST(AskingAhead, IsForColumnsOfRowsThatFollowEachOther) {
  const char* const columns = R"(kernel reduce parallel
a0 input float32 any unit
a1 output float32 zero unit
block
  %0 = load.float32 a0
  %1 = reduce_sum.float32 %0
point_block
  store.float32 a1, %1)";
  // As an address: where rows do not follow each other, it is the one at hand.
  const auto asks = [&](const char* cpu) {
    const std::string code = kernel_text(target_for(cpu), kir::parse(columns), CodeText::llvm_ir);
    return code.find("i64 16384, i64 0") != std::string::npos;
  };
  EXPECT_TRUE(asks("sapphirerapids"));
  EXPECT_FALSE(asks("znver4"));
}

}  // namespace
}  // namespace lazuli
