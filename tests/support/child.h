#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace lazuli::test {

/// What a process did.
struct ChildOutcome {
  int status = -1;  ///< the exit status; negative for a signal
  std::string err;  ///< standard error
  pid_t pid = 0;
};

/// Runs one test of this program in a process of its own, under some environment variables: for what is
/// settled once a process. A variable tells the test that it is the child.
inline ChildOutcome run_test_in_child(const std::string& test,
                                      const std::vector<std::pair<std::string, std::string>>& environment) {
  std::string file = (std::filesystem::temp_directory_path() / "lazuli-child-XXXXXX").string();
  const int descriptor = mkstemp(file.data());
  const pid_t child = fork();
  if (child == 0) {
    for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
    setenv("LAZULI_TEST_CHILD", "1", 1);
    dup2(descriptor, STDERR_FILENO);
    const std::string filter = "--gtest_filter=" + test;
    execl("/proc/self/exe", "child", filter.c_str(), "--gtest_brief=1", nullptr);
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  close(descriptor);
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  std::filesystem::remove(file);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), text.str(), child};
}

inline bool is_child() {
  return std::getenv("LAZULI_TEST_CHILD") != nullptr;
}

}  // namespace lazuli::test
