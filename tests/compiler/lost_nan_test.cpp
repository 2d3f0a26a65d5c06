// Extrema in which NaN may be lost: which they are, and that whoever asks still sees it.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <lazuli/compiler/kernel_ir/kernel.h>
#include <lazuli/compiler/kernel_ir/lost_nan.h>
#include <lazuli/lazuli.h>

#include "support/settings_scope.h"

namespace lazuli {
namespace {

/// Of a kernel that has one maximum, the third instruction at most, whether that may lose NaN.
bool loses_nan(const std::string& after) {
  const std::string text =
      "kernel parallel reduce\na0 input float32 any unit\na1 scratch float32 zero unit\n"
      "a2 output float32 any unit\na3 output float32 unit zero\npoint_block\nblock\n"
      "  %0 = load.float32 a0\n  %1 = reduce_max.float32 %0\npoint_block\n" +
      after;
  return kir::may_lose_nan(kir::parse(text))[1];
}

const std::string exponentials =
    "block\n  %2 = load.float32 a0\n  %3 = sub.float32 %2, %1\n  %4 = exp.float32 %3\n"
    "  store.float32 a1, %4\n  %6 = reduce_sum.float32 %4\npoint_block\n";

TEST(LostNan, MayBeWhereASumHasIt) {
  EXPECT_TRUE(
      loses_nan(exponentials + "  %7 = log.float32 %6\n  %8 = add.float32 %7, %1\n  store.float32 a3, %8\n"));
  EXPECT_TRUE(loses_nan(exponentials + "block\n  %7 = load.float32 a1\n  %8 = div.float32 %7, %6\n"
                                       "  store.float32 a2, %8\n"));
}

TEST(LostNan, MayNotBeWhereAnythingElseIsStored) {
  EXPECT_FALSE(loses_nan("  store.float32 a3, %1\n"));
  // The sum itself does, but not the exponentials: each other element of the row would be a number.
  EXPECT_FALSE(loses_nan(exponentials + "block\n  %7 = load.float32 a1\n  store.float32 a2, %7\n"
                                        "point_block\n  store.float32 a3, %6\n"));
  // What is selected by comparing need not be NaN.
  EXPECT_FALSE(loses_nan(exponentials + "  %7 = lt.bool %6, %1\n  %8 = select.float32 %7, %6, %1\n"
                                        "  store.float32 a3, %8\n"));
  // A sum of something else.
  EXPECT_FALSE(
      loses_nan("block\n  %2 = load.float32 a0\n  %3 = mul.float32 %1, %1\n"
                "  %4 = lt.bool %2, %3\n  %5 = select.float32 %4, %2, %3\n"
                "  %6 = reduce_sum.float32 %5\npoint_block\n  store.float32 a3, %6\n"));
}

TEST(LostNan, IsToldByText) {
  const std::string text =
      "kernel parallel reduce\na0 input float32 any unit\na1 output float32 unit zero\nblock\n"
      "  %0 = load.float32 a0\n  %1 = reduce_max.float32 of_numbers, %0\npoint_block\n"
      "  store.float32 a1, %1\n";
  const kir::Kernel kernel = kir::parse(text);
  EXPECT_EQ(kernel.instructions[1].imm, 1u);
  EXPECT_NE(kir::to_text(kernel).find("reduce_max.float32 of_numbers, %0"), std::string::npos);
  EXPECT_EQ(kir::parse(kir::to_text(kernel)), kernel);
}

using Function = std::function<array(const array&)>;

TEST(LostNan, IsSeenByThoseWhoAsk) {
  const float nan = std::nanf(""), infinity = std::numeric_limits<float>::infinity();
  const std::vector<Function> functions{
      [](const array& x) { return softmax(x, -1); },
      [](const array& x) { return logsumexp(x, -1, true); },
      [](const array& x) { return x - logsumexp(x, -1, true); },
      [](const array& x) { return exp(x - max(x, -1, true)); },
      [](const array& x) { return x - max(x, -1, true); },
      [](const array& x) { return exp(min(x, -1, true) - x) / sum(exp(min(x, -1, true) - x), -1, true); },
  };
  for (const int size : {1, 17, 33, 200}) {
    for (const Dtype dtype : {float32, float16, bfloat16}) {
      array x = random::normal({7, size}, float32, 0.0f, 3.0f, random::key(1));
      const array row = reshape(arange(7), {7, 1}), place = reshape(arange(size), {1, size});
      const auto put = [&](int r, int at, float value) {
        x = where(logical_and(equal(row, array(r)), equal(place, array(at))), array(value), x);
      };
      put(1, 0, nan);
      put(2, size - 1, nan);
      put(3, 0, infinity);
      put(3, size / 2, nan);
      put(4, size / 2, infinity);
      put(5, size / 2, -infinity);
      x = astype(x, dtype);
      eval(x);
      for (size_t f = 0; f < functions.size(); ++f) {
        SCOPED_TRACE(std::to_string(f) + ", " + std::to_string(size) + " " + std::string(dtype_name(dtype)));
        std::vector<array> results;
        for (const JitMode mode : {JitMode::off, JitMode::sync}) {
          const test::JitModeScope scope(mode);
          auto function =
              compile([&](const std::vector<array>& in) { return std::vector<array>{functions[f](in[0])}; });
          results.push_back(function({x})[0]);
          results.back().eval();
        }
        const double tolerance = dtype == float32 ? 1e-5 : dtype == float16 ? 2e-3 : 2e-2;
        EXPECT_TRUE(allclose(astype(results[1], float64), astype(results[0], float64), tolerance, tolerance,
                             /*equal_nan=*/true)
                        .item<bool>());
        if (f < 3) {
          const array lost = isnan(take(results[1], array({1, 2, 3}), 0));
          EXPECT_TRUE(all(lost).item<bool>());
        }
      }
    }
  }
}

TEST(LostNan, SumsOfExponentialsAreAccurate) {
  const test::JitModeScope jit(JitMode::sync);
  for (const float spread : {0.1f, 1.0f, 10.0f, 60.0f}) {
    const array x = random::normal({16, 5000}, float32, 100.0f, spread, random::key(2));
    auto function =
        compile([](const std::vector<array>& in) { return std::vector<array>{logsumexp(in[0], -1)}; });
    array found = function({x})[0];
    const array exact = logsumexp(astype(x, float64), -1);
    EXPECT_LT(max(abs(astype(found, float64) - exact) / abs(exact)).item<double>(), 2e-7) << spread;
  }
}

TEST(LostNan, LogarithmsOfSumsKeepWhatIsNotFinite) {
  const test::JitModeScope jit(JitMode::sync);
  const float infinity = std::numeric_limits<float>::infinity();
  const float not_a_number = std::numeric_limits<float>::quiet_NaN();
  const float largest = std::numeric_limits<float>::max();
  // Each row as it is found alone, in any order of rows and for rows of any length.
  for (const int columns : {1, 15, 64, 100, 1000}) {
    const array rows = random::normal({9, columns}, float32, 0.0f, 3.0f, random::key(3));
    const array last = arange(columns) == columns - 1;
    const auto with = [&](int row, float value) {
      return where(last, array(value), slice(rows, {row, 0}, {row + 1, columns}));
    };
    const array x = concatenate({with(0, infinity), with(1, 1), with(2, -infinity), with(3, not_a_number),
                                 full({1, columns}, -infinity), with(5, largest), with(6, -largest),
                                 maximum(with(7, infinity), 200.0f), with(8, 2)},
                                0);
    auto function =
        compile([](const std::vector<array>& in) { return std::vector<array>{logsumexp(in[0], -1)}; });
    array found = function({x})[0];
    const array exact = astype(logsumexp(astype(x, float64), -1), float32);
    const array near = isclose(found, exact, 1e-5, 1e-5, true);
    EXPECT_TRUE(all(near).item<bool>()) << columns << ": " << found << " and " << exact;
  }
}

}  // namespace
}  // namespace lazuli
