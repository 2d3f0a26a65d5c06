#pragma once

#include <gtest/gtest.h>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "lm/folders.h"

extern char** environ;

/// The `lazuli` command, run as a process.
namespace lazuli::lm::test {

struct Outcome {
  int status = -1;  ///< the exit status; negative for a signal
  std::string out;
  std::string err;
};

/// Runs the command with arguments, text on standard input, and settings "NAME=value" beside the environment.
inline Outcome lazuli(std::vector<std::string> arguments, const std::string& input = "",
                      const std::vector<std::string>& environment = {}) {
  const TemporaryFolder folder;
  write_file(folder / "in", input);
  arguments.insert(arguments.begin(), LAZULI_COMMAND);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::vector<std::string> variables = environment;
  for (char** variable = environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
  std::vector<char*> envp;  // of two settings of a variable, the first counts
  for (std::string& variable : variables) envp.push_back(variable.data());
  envp.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, (folder / "in").c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, (folder / "out").c_str(), O_WRONLY | O_CREAT,
                                   0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, (folder / "err").c_str(), O_WRONLY | O_CREAT,
                                   0600);
  pid_t child = 0;
  const int error = posix_spawn(&child, LAZULI_COMMAND, &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error(std::string("cannot run the command: ") + std::strerror(error));
  int status = 0;
  ::waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read_file(folder / "out"),
          read_file(folder / "err")};
}

/// A failure: nothing on standard output, the status, and an error that says `what`.
inline void expect_error(const Outcome& outcome, int status, const std::string& what) {
  EXPECT_EQ(outcome.status, status) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err.rfind("lazuli: error: ", 0), 0u) << outcome.err;
  EXPECT_NE(outcome.err.find(what), std::string::npos) << outcome.err;
}

}  // namespace lazuli::lm::test
