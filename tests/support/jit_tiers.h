#pragma once

#include <gtest/gtest.h>

#include "settings_scope.h"

namespace lazuli::test {

/// Runs each test with both kinds of kernels: those that work everywhere, and generated ones.
class JitTiersTest : public testing::TestWithParam<JitMode> {
 private:
  JitModeScope mode_{GetParam()};
};

inline auto jit_tiers() {
  return testing::Values(JitMode::off, JitMode::sync);
}

inline std::string jit_tier_name(const testing::TestParamInfo<JitMode>& tier) {
  return tier.param == JitMode::off ? "Portable" : "Generated";
}

}  // namespace lazuli::test
