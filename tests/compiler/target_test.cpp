#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include <lazuli/compiler/llvm/codegen.h>
#include <lazuli/compiler/llvm/target.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/lazuli.h>

#include "support/child.h"

namespace lazuli {
namespace {

#if defined(__x86_64__)
TEST(Target, LevelsOfTheArchitectureAreDescribed) {
  const Target v2 = target_for("x86-64-v2");
  EXPECT_EQ(v2.vector_bits, 128);
  EXPECT_FALSE(v2.fma);
  const Target v3 = target_for("x86-64-v3");
  EXPECT_EQ(v3.vector_bits, 256);
  EXPECT_TRUE(v3.fma && v3.half && v3.masked_words);
  EXPECT_FALSE(v3.masks || v3.vnni || v3.bf16);
  const Target v4 = target_for("x86-64-v4");
  EXPECT_EQ(v4.vector_bits, 512);
  EXPECT_EQ(v4.vector_registers, 32);
  EXPECT_TRUE(v4.masks);
  EXPECT_FALSE(v4.vnni || v4.bf16);
  EXPECT_TRUE(target_for("x86-64-v4", "+avx512bf16").bf16);
  EXPECT_TRUE(target_for("sapphirerapids").gathers);
  EXPECT_FALSE(target_for("znver4").gathers);
  EXPECT_NE(v3.key, v4.key);
}
#endif

TEST(Target, DescribesNeon) {
  const Target neon = target_for("cortex-a72", "", "aarch64-linux-gnu");
  EXPECT_EQ(neon.vector_bits, 128);
  EXPECT_EQ(neon.vector_registers, 32);
  EXPECT_TRUE(neon.fma && neon.half);
  EXPECT_FALSE(neon.masks);
}

TEST(Target, UnknownNamesAreErrors) {
  EXPECT_THROW(target_for("x86-65"), std::runtime_error);
  EXPECT_THROW(target_for("generic", "", "mystery-linux-gnu"), std::runtime_error);
  EXPECT_THROW(set_target("x86-65"), std::invalid_argument);
  EXPECT_THROW(set_target(""), std::invalid_argument);
}

TEST(Target, IsSettledWhenCodeIsMade) {
  const std::string key = host_target().key;
  set_target("host");  // what it is already
#if defined(__x86_64__)
  try {
    set_target("x86-64");
    FAIL() << "the target changed under code that was made";
  } catch (const std::logic_error& error) {
    EXPECT_EQ(std::string(error.what()).rfind("[set_target] ", 0), 0u);
  }
#endif
  EXPECT_EQ(host_target().key, key);
}

#if defined(__x86_64__)
/// What the child computes, by interpreter, generated kernels and templates.
TEST(TargetChild, Computes) {
  if (!test::is_child()) GTEST_SKIP() << "runs in child processes only";
  const char* by_api = std::getenv("LAZULI_TEST_TARGET");
  if (by_api != nullptr) set_target(by_api);
  const char* expected_bits = std::getenv("LAZULI_TEST_VECTOR_BITS");
  EXPECT_EQ(std::to_string(host_target().vector_bits), expected_bits);
  EXPECT_EQ(static_cast<int>(instruction_set()), std::string(expected_bits) == "512"   ? 2
                                                 : std::string(expected_bits) == "256" ? 1
                                                                                       : 0);
  const array x = reshape(arange(0, 77 * 35, float32), {77, 35}) / 1000.0f;
  for (const JitMode mode : {JitMode::off, JitMode::sync}) {
    set_jit_mode(mode);
    const array rows = sum(softmax(x, 1), 1);
    EXPECT_LT(max(abs(rows - 1.0f), false).item<float>(), 1e-6f);
    const array product = matmul(x, swapaxes(x, 0, 1));
    const array by_hand = sum(expand_dims(x, 1) * expand_dims(x, 0), 2);
    EXPECT_LT(max(abs(product - by_hand), false).item<float>(), 1e-2f);
  }
}

TEST(Target, ALowerOneCanBeForced) {
  struct Case {
    const char* name;
    int bits;
  };
  for (const Case& c :
       {Case{"x86-64-v4", 512}, Case{"x86-64-v3", 256}, Case{"x86-64-v2", 128}, Case{"x86-64", 128}}) {
    if (c.bits > host_target().vector_bits) continue;
    for (const char* variable : {"LAZULI_TARGET", "LAZULI_TEST_TARGET"}) {
      const test::ChildOutcome child = test::run_test_in_child(
          "TargetChild.Computes", {{variable, c.name},
                                   {"LAZULI_TEST_VECTOR_BITS", std::to_string(c.bits)},
                                   {"LAZULI_CACHE_DIR", ""}});
      EXPECT_EQ(child.status, 0) << variable << "=" << c.name << "\n" << child.err;
    }
  }
}

TEST(Target, WhatCannotRunIsRefused) {
  const test::ChildOutcome child = test::run_test_in_child(
      "TargetChild.Computes", {{"LAZULI_TARGET", "x86-65"},
                               {"LAZULI_TEST_VECTOR_BITS", std::to_string(host_target().vector_bits)},
                               {"LAZULI_CACHE_DIR", ""}});
  EXPECT_EQ(child.status, 0) << child.err;
  EXPECT_NE(child.err.find("lazuli: LAZULI_TARGET: [set_target] 'x86-65' is no target"), std::string::npos)
      << child.err;
  // Bulldozer alone had these instructions.
  EXPECT_THROW(set_target("bdver4"), std::invalid_argument);
}
#endif

}  // namespace
}  // namespace lazuli
