#pragma once

#include <lazuli/compiler/settings.h>

namespace lazuli::test {

/// Sets the JIT mode until the end of the scope.
class JitModeScope {
 public:
  explicit JitModeScope(JitMode mode) : before_(jit_mode()) { set_jit_mode(mode); }
  ~JitModeScope() { set_jit_mode(before_); }
  JitModeScope(const JitModeScope&) = delete;
  JitModeScope& operator=(const JitModeScope&) = delete;

 private:
  JitMode before_;
};

/// Sets the number of threads until the end of the scope.
class ThreadsScope {
 public:
  explicit ThreadsScope(int threads) : before_(num_threads()) { set_num_threads(threads); }
  ~ThreadsScope() { set_num_threads(before_); }
  ThreadsScope(const ThreadsScope&) = delete;
  ThreadsScope& operator=(const ThreadsScope&) = delete;

 private:
  int before_;
};

}  // namespace lazuli::test
