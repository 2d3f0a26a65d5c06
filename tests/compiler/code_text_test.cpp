#include <string>

#include <gtest/gtest.h>

#include <lazuli/compiler/kernel_ir/kernel.h>
#include <lazuli/compiler/llvm/codegen.h>
#include <lazuli/compiler/llvm/target.h>

/// What the code of kernels has to show, for processors other than this one too.
namespace lazuli {
namespace {

bool mentions(const std::string& text, const std::string& what) {
  return text.find(what) != std::string::npos;
}

TEST(CodeText, ConstantsOfWholeRegistersAreLoaded) {
  const kir::Kernel kernel = kir::parse(R"(kernel parallel
a0 input float32 unit
a1 output float32 unit
block
  %0 = load.float32 a0
  %1 = constant.float32 0x40490fdb  # pi
  %2 = constant.float32 0x40000000  # 2
  %3 = mul.float32 %1, %0
  %4 = add.float32 %3, %1
  %5 = mul.float32 %4, %2
  store.float32 a1, %5)");
  const auto text = [&](const char* cpu) { return kernel_text(target_for(cpu), kernel, CodeText::llvm_ir); };
  const std::string pi = "float 0x400921FB60000000";
  // One in memory for all loops; twice a number is better known to be that.
  EXPECT_TRUE(mentions(text("x86-64-v4"), "constant " + pi));
  EXPECT_FALSE(mentions(text("x86-64-v4"), "<" + pi));
  EXPECT_TRUE(mentions(text("x86-64-v4"), "<float 2.0"));
  EXPECT_FALSE(mentions(text("x86-64-v4"), "constant float 2.0"));
  EXPECT_TRUE(mentions(text("x86-64-v3"), "<" + pi));
}

TEST(CodeText, NarrowResultsGoPastTheCaches) {
  for (const char* dtype : {"float16", "bfloat16"}) {
    const std::string name(dtype);
    const kir::Kernel kernel = kir::parse("kernel parallel\na0 input " + name + " unit\na1 output " + name +
                                          R"( unit
block
  %0 = load.float32 a0
  %1 = add.float32 %0, %0
  store.float32 a1, %1)");
    CodegenOptions options;
    options.streaming = true;
    for (const char* cpu : {"sapphirerapids", "znver4", "x86-64-v4", "x86-64-v3"}) {
      EXPECT_TRUE(mentions(kernel_text(target_for(cpu), kernel, CodeText::assembly, options), "vmovnt"))
          << cpu << " " << dtype;
    }
  }
}

}  // namespace
}  // namespace lazuli
