// LLVM failing: work goes on without it, and one warning says so.

#include <gtest/gtest.h>

#include <string>

#include <lazuli/compiler/kernel_cache.h>
#include <lazuli/compiler/llvm/jit.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/lazuli.h>

#include "support/child.h"
#include "support/compare.h"
#include "support/settings_scope.h"

namespace lazuli {
namespace {

using Fault = JitEngine::Fault;

size_t count(const std::string& text, const std::string& what) {
  size_t found = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

std::vector<array> compute() {
  const array x = reshape(arange(0, 60, float64), {6, 10}) / 7.0;
  return {softmax(x * x + 1.0, 1), matmul(x, swapaxes(x, 0, 1)), sum(exp(-x), 0)};
}

TEST(JitFaultChild, FallsBack) {
  if (!test::is_child()) GTEST_SKIP() << "runs in child processes only";
  std::vector<array> expected, actual;
  {
    const test::JitModeScope off(JitMode::off);
    expected = compute();
    eval(expected);
  }
  clear_kernel_cache();
  JitEngine& engine = JitEngine::instance();
  engine.inject_fault(std::string(std::getenv("LAZULI_TEST_FAULT")) == "fatal" ? Fault::fatal : Fault::error);
  const uint64_t failures = kernel_cache_statistics().failed_compilations;
  actual = compute();
  eval(actual);
  wait_for_compilations();
  for (int again = 0; again < 2; ++again) {
    actual = compute();
    eval(actual);
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_EQ(test::difference(actual[i], expected[i], 1e-12), "");
  }
  EXPECT_EQ(engine.statistics().compiled, 0);
  EXPECT_GE(kernel_cache_statistics().failed_compilations, failures + 2);

  // The engine itself has come through.
  engine.inject_fault(Fault::none);
  const array x = arange(0, 100, float32);
  const test::JitModeScope sync(JitMode::sync);
  EXPECT_EQ(sum(abs(x - 50.0f) * 2.0f).item<float>(), 5000.0f);
  EXPECT_GE(engine.statistics().compiled, 1);
}

TEST(JitFault, FallsBackWithOneWarning) {
  for (const char* fault : {"error", "fatal"}) {
    for (const char* mode : {"sync", "async"}) {
      const test::ChildOutcome child = test::run_test_in_child(
          "JitFaultChild.FallsBack", {{"LAZULI_TEST_FAULT", fault},
                                      {"LAZULI_JIT", mode},
                                      {"LAZULI_CACHE_DIR", ""},
                                      // What LLVM held when it gave up is lost, whoever catches that.
                                      {"ASAN_OPTIONS", "detect_leaks=0"}});
      EXPECT_EQ(child.status, 0) << fault << " " << mode << "\n" << child.err;
      EXPECT_EQ(count(child.err, "lazuli: code cannot be compiled"), 1u) << fault << " " << mode << "\n"
                                                                         << child.err;
      EXPECT_EQ(count(child.err, "lazuli:"), 1u) << child.err;
    }
  }
}

TEST(JitModeChild, Computes) {
  if (!test::is_child()) GTEST_SKIP() << "runs in child processes only";
  const std::string mode = std::getenv("LAZULI_TEST_EXPECTED_MODE");
  EXPECT_EQ(jit_mode(), mode == "off" ? JitMode::off : mode == "sync" ? JitMode::sync : JitMode::async);
  const array x = arange(0, 100, float32);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(sum(x * 2.0f + 1.0f).item<float>(), 10000.0f);
  const uint64_t compiled = JitEngine::instance().statistics().compiled;
  if (mode == "off") {
    EXPECT_EQ(compiled, 0);
  }
  if (mode == "sync") {
    EXPECT_GE(compiled, 1);
  }
  if (mode == "async") {
    EXPECT_GE(kernel_cache_statistics().interpreted_runs, 1) << "the first run does not wait for LLVM";
    wait_for_compilations();
    EXPECT_GE(JitEngine::instance().statistics().compiled, 1);
  }
}

TEST(JitMode, IsReadFromTheEnvironment) {
  struct Case {
    const char* value;
    const char* expected;
    bool warns;
  };
  for (const Case& c : {Case{"off", "off", false},
                        {"sync", "sync", false},
                        {"async", "async", false},
                        {"", "async", false},
                        {"sometimes", "async", true}}) {
    const test::ChildOutcome child = test::run_test_in_child(
        "JitModeChild.Computes",
        {{"LAZULI_JIT", c.value}, {"LAZULI_TEST_EXPECTED_MODE", c.expected}, {"LAZULI_CACHE_DIR", ""}});
    EXPECT_EQ(child.status, 0) << c.value << "\n" << child.err;
    EXPECT_EQ(count(child.err, "lazuli: LAZULI_JIT is 'sometimes'"), c.warns ? 1u : 0u) << child.err;
  }
}

}  // namespace
}  // namespace lazuli
