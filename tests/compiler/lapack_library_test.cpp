// How OpenBLAS is loaded: what it is told by the environment, and that the environment is as before.

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include <lazuli/compiler/lapack/library.h>

#include "support/child.h"

namespace lazuli {
namespace {

/// In a process of its own, since another test may have loaded the library.
TEST(LapackLibraryChild, IsTold) {
  if (!test::is_child()) GTEST_SKIP() << "runs in child processes only";
  const char* const wanted = std::getenv("LAZULI_TEST_TIMEOUT");
  const auto timeout = reinterpret_cast<int (*)()>(lapack::find_function("openblas_thread_timeout"));
  if (timeout == nullptr) GTEST_SKIP() << "the BLAS is not OpenBLAS";
  EXPECT_EQ(std::to_string(timeout()), wanted);
  const auto core = reinterpret_cast<const char* (*)()>(lapack::find_function("openblas_get_corename"));
  ASSERT_NE(core, nullptr);
#if defined(__x86_64__)
  if (__builtin_cpu_is("intel") && __builtin_cpu_supports("avx2")) {
    EXPECT_STRNE(core(), "Prescott");
  }
#endif
  EXPECT_EQ(std::getenv("OPENBLAS_CORETYPE"), nullptr);
}

TEST(LapackLibrary, TellsOpenBlasHowLongToSpinUnlessTheUserHas) {
  const test::ChildOutcome plain =
      test::run_test_in_child("LapackLibraryChild.IsTold", {{"LAZULI_TEST_TIMEOUT", "18"}});
  EXPECT_EQ(plain.status, 0) << plain.err;
  const test::ChildOutcome set = test::run_test_in_child(
      "LapackLibraryChild.IsTold", {{"LAZULI_TEST_TIMEOUT", "20"}, {"OPENBLAS_THREAD_TIMEOUT", "20"}});
  EXPECT_EQ(set.status, 0) << set.err;
}

}  // namespace
}  // namespace lazuli
