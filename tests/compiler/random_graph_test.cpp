// Random graphs of operations, computed four ways: fused or every operation on its own, interpreted or
// compiled. LAZULI_TEST_GRAPHS sets how many (5,000 unless set), LAZULI_TEST_PLANS how many without the
// compiler (10,000); a failure names its seed, and LAZULI_TEST_SEED runs that one alone. Other instruction
// sets come in by LAZULI_TARGET, see CMakeLists.txt.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <vector>

#include <lazuli/lazuli.h>

#include "support/compare.h"
#include "support/random_graph.h"
#include "support/settings_scope.h"

namespace lazuli {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::strtoull(value, nullptr, 10) : otherwise;
}

std::vector<array> compute(uint64_t seed, bool one_by_one, JitMode mode) {
  const test::JitModeScope scope(mode);
  std::vector<array> outputs = test::RandomGraph(seed).build(one_by_one);
  eval(outputs);
  return outputs;
}

/// How far two results lie apart at most, where 1 is the unit of `test::difference`.
double distance(const array& a, const array& b) {
  const std::vector<double> x = test::values<double>(a), y = test::values<double>(b);
  double most = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i]) || std::isnan(y[i])) continue;
    most = std::max(most, std::abs(x[i] - y[i]) / std::max({std::abs(x[i]), std::abs(y[i]), 1.0}));
  }
  return most;
}

/// One of the ways to compute a graph.
struct Way {
  const char* name;
  bool one_by_one;
  JitMode mode;
};

/// Empty, or what differs from the graph's operations interpreted one by one.
std::string compare(uint64_t seed, std::initializer_list<Way> ways) {
  test::RandomGraph graph(seed);  // which knows the tolerance once it is built
  std::vector<array> expected;
  {
    const test::JitModeScope scope(JitMode::off);
    expected = graph.build(true);
    eval(expected);
  }
  for (const Way& way : ways) {
    const std::vector<array> actual = compute(seed, way.one_by_one, way.mode);
    for (size_t i = 0; i < expected.size(); ++i) {
      std::string found = test::difference(actual[i], expected[i], graph.tolerance());
      if (!found.empty() && graph.is_narrow()) {
        // Rounding may have been magnified: how much, the same graph in float32 tells.
        const test::JitModeScope scope(JitMode::off);
        const array wide = test::RandomGraph(seed, true).build(false)[i];
        found = test::difference(actual[i], expected[i], graph.tolerance() + 4 * distance(expected[i], wide));
      }
      if (!found.empty()) {
        // Sums that cancel magnify any rounding, and tiers add in different orders: how much, the same graph
        // with results slightly off tells.
        const test::JitModeScope scope(JitMode::off);
        double magnified = 0;
        for (uint64_t shake = 1; shake <= 4; ++shake) {
          magnified = std::max(magnified,
                               distance(expected[i], test::RandomGraph(seed, false, shake).build(true)[i]));
        }
        found = test::difference(actual[i], expected[i], graph.tolerance() + 8 * magnified);
      }
      if (!found.empty()) return "output " + std::to_string(i) + " " + way.name + ": " + found;
    }
  }
  return {};
}

/// Graphs in portions, which ctest can run side by side.
class RandomGraphs : public testing::TestWithParam<int> {
 public:
  static constexpr int portions = 20;
};

TEST_P(RandomGraphs, AreTheSameFusedAndUnfusedInterpretedAndCompiled) {
  const uint64_t only = from_environment("LAZULI_TEST_SEED", 0);
  const uint64_t count = from_environment("LAZULI_TEST_GRAPHS", 5000);
  for (uint64_t seed = 1 + static_cast<uint64_t>(GetParam()); seed <= count; seed += portions) {
    if (only != 0 && seed != only) continue;
    EXPECT_EQ(compare(seed, {{"fused, interpreted", false, JitMode::off},
                             {"fused, compiled", false, JitMode::sync},
                             {"unfused, compiled", true, JitMode::sync}}),
              "")
        << "seed " << seed;
  }
}

/// Many more, without the compiler: what plans get wrong is wrong in the interpreter, too.
class PlannedGraphs : public testing::TestWithParam<int> {
 public:
  static constexpr int portions = 4;
};

TEST_P(PlannedGraphs, AreTheSameFusedAndUnfused) {
  const uint64_t only = from_environment("LAZULI_TEST_SEED", 0);
  const uint64_t count = from_environment("LAZULI_TEST_PLANS", 10000);
  constexpr uint64_t first = 1000001;  // not the same ones as above
  for (uint64_t i = static_cast<uint64_t>(GetParam()); i < count; i += portions) {
    const uint64_t seed = first + i;
    if (only != 0 && seed != only) continue;
    EXPECT_EQ(compare(seed, {{"fused, interpreted", false, JitMode::off}}), "") << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Portion, RandomGraphs, testing::Range(0, RandomGraphs::portions));
INSTANTIATE_TEST_SUITE_P(Portion, PlannedGraphs, testing::Range(0, PlannedGraphs::portions));

}  // namespace
}  // namespace lazuli
