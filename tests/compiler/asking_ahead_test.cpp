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

using Accesses = std::vector<size_t>;

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
  EXPECT_EQ(make_schedule(kir::parse(sum_of_rows), target).asked_ahead, Accesses{0});
  const char* const backwards = R"(kernel parallel
a0 input float32 any
a1 input float32 unit
a2 output float32 unit
block
  %0 = load.float32 a0
  %1 = load.float32 a1
  %2 = add.float32 %0, %1
  store.float32 a2, %2)";
  EXPECT_EQ(make_schedule(kir::parse(backwards), target).asked_ahead, Accesses{1});
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

}  // namespace
}  // namespace lazuli
