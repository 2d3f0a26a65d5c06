// Kernels under GDB: their names, and their text as source lines. Skipped where GDB is not installed or may
// not run programs.

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <lazuli/compiler/settings.h>
#include <lazuli/lazuli.h>

#include "support/child.h"

namespace lazuli {
namespace {

namespace fs = std::filesystem;

TEST(DebuggerChild, Computes) {
  if (!test::is_child()) GTEST_SKIP() << "runs in child processes only";
  const array x = arange(0, 100, float32);
  EXPECT_EQ(sum(abs(x * 3.0f)).item<float>(), 14850.0f);
}

/// Folder for kernels' text, removed in the end.
class Debugger : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "lazuli-debugger-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string text_of(const fs::path& file) {
    std::stringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
  }

  fs::path folder_;
};

TEST_F(Debugger, StepsThroughKernels) {
  const test::ChildOutcome child = test::run_test_in_child(
      "DebuggerChild.Computes", {{"LAZULI_DEBUG_KERNELS", folder_ / "kernels"}, {"LAZULI_JIT", "sync"}});
  ASSERT_EQ(child.status, 0) << child.err;
  std::string kernel;
  for (const auto& entry : fs::directory_iterator(folder_ / "kernels")) {
    EXPECT_EQ(entry.path().extension(), ".kir");
    EXPECT_EQ(text_of(entry.path()).rfind("kernel ", 0), 0u);
    if (entry.path().stem().string().rfind("rows_mul_abs_reduce_sum_", 0) == 0) kernel = entry.path().stem();
  }
  ASSERT_FALSE(kernel.empty());

  if (std::system("command -v gdb >/dev/null 2>&1") != 0) GTEST_SKIP() << "gdb is not installed";
  std::ofstream(folder_ / "commands")
      << "set pagination off\nset breakpoint pending on\nset confirm off\nbreak " << kernel
      << "\nrun\nbt 1\nnext\nnext\ninfo source\nkill\n";
  const std::string command =
      "LAZULI_TEST_CHILD=1 LAZULI_JIT=sync LAZULI_DEBUG_KERNELS='" + (folder_ / "kernels").string() +
      "' gdb -nx -batch -x '" + (folder_ / "commands").string() + "' --args '" +
      fs::read_symlink("/proc/self/exe").string() + "' --gtest_filter=DebuggerChild.Computes >'" +
      (folder_ / "log").string() + "' 2>&1 </dev/null";
  static_cast<void>(std::system(command.c_str()));  // its status says nothing
  const std::string log = text_of(folder_ / "log");
  if (log.find("ptrace") != std::string::npos || log.find("Couldn't get") != std::string::npos) {
    GTEST_SKIP() << "gdb may not run programs here: " << log;
  }
  EXPECT_NE(log.find("#0  " + kernel + " () at " + kernel + ".kir:1"), std::string::npos) << log;
  EXPECT_NE(log.find("Located in " + fs::canonical(folder_).string() + "/kernels/" + kernel + ".kir"),
            std::string::npos)
      << log;
  EXPECT_NE(log.find("load.float32 a0"), std::string::npos) << "a line of the kernel was shown\n" << log;
}

}  // namespace
}  // namespace lazuli
