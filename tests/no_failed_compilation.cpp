// Part of every test program: a test fails where LLVM could not compile something meanwhile. The work is then
// done by the interpreter, so that its results would show nothing.

#include <gtest/gtest.h>

#include <cstdlib>

#include <lazuli/compiler/llvm/jit.h>

namespace lazuli {
namespace {

class NoFailedCompilation : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo& /*test*/) override { before_ = failed(); }
  void OnTestEnd(const testing::TestInfo& /*test*/) override {
    // (Those that inject failures run in a child process that is told which.)
    if (std::getenv("LAZULI_TEST_FAULT") != nullptr) return;
    if (failed() > before_) ADD_FAILURE() << failed() - before_ << " compilations failed, see stderr";
  }

  static uint64_t failed() { return JitEngine::instance().statistics().failed; }

  uint64_t before_ = 0;
};

[[maybe_unused]] const bool is_listening = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new NoFailedCompilation);
  return true;
}();

}  // namespace
}  // namespace lazuli
