#pragma once

#include <vector>

#include <gtest/gtest.h>

#include <lazuli/lazuli.h>

#include "support/compare.h"
#include "support/settings_scope.h"

namespace lazuli::test {

/// Expects a function, compiled, to give what is expected in so many steps of its program, by both tiers and
/// on one thread and several.
template <typename F>
void expect_compiled(const F& function, const std::vector<array>& inputs, const std::vector<array>& expected,
                     int steps, double tolerance) {
  for (JitMode mode : {JitMode::sync, JitMode::off}) {
    const JitModeScope jit(mode);
    for (int threads : {1, 3}) {
      const ThreadsScope scope(threads);
      const CompiledFunction compiled = compile(function);
      const std::vector<array> actual = compiled(inputs);
      ASSERT_EQ(actual.size(), expected.size());
      for (size_t i = 0; i < actual.size(); ++i) {
        EXPECT_EQ(difference(actual[i], expected[i], tolerance), "") << "output " << i;
      }
      EXPECT_EQ(compiled.kernel_count(), steps);
    }
  }
}

}  // namespace lazuli::test
