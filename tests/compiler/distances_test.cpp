// Sums of distances from a mean (variances, gradients of norms), which compiled kernels of rows make in the
// pass that finds the mean: against double precision, where that is exact and where it has to give up.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <lazuli/compiler/kernel_ir/kernel.h>
#include <lazuli/compiler/llvm/codegen.h>
#include <lazuli/lazuli.h>

#include "support/settings_scope.h"

namespace lazuli {
namespace {

constexpr int rows = 9;

using Function = std::function<std::vector<array>(const array&)>;

std::vector<array> compiled(const Function& f, const array& x) {
  auto function = compile([f](const std::vector<array>& in) { return f(in[0]); });
  std::vector<array> results = function({x});
  eval(results);
  return results;
}

std::vector<array> statistics(const array& x) {
  return {mean(x, -1), var(x, -1), std(x, -1, false, 1), var(x * x, -1)};
}

/// Rows of every kind: around zero, far from it, with first elements that lie far from all others, the same
/// everywhere, rising.
std::vector<array> inputs(int size) {
  const array noise = random::normal({rows, size}, float32, 0.0f, 1.0f, random::key(3));
  const array place = arange(size);
  const array first = astype(less(place, array(40)), float32);
  return {noise, noise * array(0.01f) + array(100.0f), noise + first * array(100.0f),
          full({rows, size}, 0.75f), noise + astype(place, float32) * array(0.02f)};
}

TEST(LlvmDistances, VariancesOfRowsAgreeWithDoublePrecision) {
  const test::JitModeScope jit(JitMode::sync);
  for (const int size : {1, 2, 15, 16, 17, 63, 127, 128, 129, 255, 1000, 4099}) {
    for (const array& x : inputs(size)) {
      for (const Dtype dtype : {float32, float16, bfloat16, float64}) {
        SCOPED_TRACE(std::to_string(size) + " " + std::string(dtype_name(dtype)));
        const array typed = astype(x, dtype);
        const std::vector<array> found = compiled(statistics, typed);
        const std::vector<array> exact = statistics(astype(typed, float64));
        const double tolerance = dtype == float64    ? 1e-12
                                 : dtype == float32  ? 2e-5
                                 : dtype == bfloat16 ? 1e-2
                                                     : 2e-3;
        for (size_t i = 0; i < found.size(); ++i) {
          if (dtype == float16 && i == 3) continue;  // squares beyond its range
          if (i == 2 && size == 1) continue;         // nothing to divide by
          const array actual = astype(found[i], float64);
          // What is left of elements that are all the same depends on how their mean is rounded.
          EXPECT_TRUE(allclose(actual, exact[i], tolerance, 1e-6, true).item<bool>()) << i;
        }
      }
    }
  }
}

TEST(LlvmDistances, OneRowThatCancelsDoesNotTouchOthers) {
  const test::JitModeScope jit(JitMode::sync);
  constexpr int size = 1024;
  const array noise = random::normal({rows, size}, float32, 0.0f, 1.0f, random::key(5));
  const array is_fourth = equal(reshape(arange(rows), {rows, 1}), array(4));
  const array begins = less(arange(size), array(16));
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<array> plain = compiled(statistics, noise);
  for (const float outlier : {1e6f, infinity, -infinity, std::nanf("")}) {
    const array x = where(logical_and(is_fourth, begins), array(outlier), noise);
    const std::vector<array> found = compiled(statistics, x);
    const std::vector<array> exact = statistics(astype(x, float64));
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_TRUE(allclose(astype(found[i], float64), exact[i], 1e-5, 1e-7, true).item<bool>()) << outlier;
      for (const int row : {0, 3, 5, rows - 1}) {
        EXPECT_EQ(take(found[i], row).item<float>(), take(plain[i], row).item<float>()) << outlier;
      }
    }
  }
}

std::vector<array> norm_gradients(const array& x, const array& weight, const array& cotangent) {
  const auto norm = [](const std::vector<array>& in) {
    return std::vector<array>{fast::layer_norm(in[0], in[1], in[1], 1e-3f)};
  };
  return vjp(norm, {x, weight}, {cotangent}).second;
}

TEST(LlvmDistances, GradientsOfLayerNormAgreeWithDoublePrecision) {
  const test::JitModeScope jit(JitMode::sync);
  for (const int size : {1, 31, 128, 130, 1000, 2048}) {
    const array weight = random::normal({size}, float32, 1.0f, 0.3f, random::key(1));
    const array cotangent = random::normal({rows, size}, float32, 0.0f, 1.0f, random::key(2));
    for (const array& x : inputs(size)) {
      for (const Dtype dtype : {float32, bfloat16}) {
        const std::vector<array> typed{astype(x, dtype), astype(weight, dtype), astype(cotangent, dtype)};
        auto function =
            compile([](const std::vector<array>& in) { return norm_gradients(in[0], in[1], in[2]); });
        std::vector<array> found = function(typed);
        eval(found);
        const std::vector<array> exact =
            norm_gradients(astype(typed[0], float64), astype(typed[1], float64), astype(typed[2], float64));
        for (size_t i = 0; i < found.size(); ++i) {
          const double scale = max(abs(exact[i])).item<double>();
          const array error = max(abs(astype(found[i], float64) - exact[i]));
          EXPECT_LE(error.item<double>(), (dtype == float32 ? 2e-3 : 4e-2) * scale + 1e-6)
              << size << " " << i << " " << dtype_name(dtype);
        }
      }
    }
  }
}

TEST(LlvmDistances, ReadsRowsThatThePassBeforeMade) {
  const test::JitModeScope jit(JitMode::sync);
  const array x = random::normal({rows, 1000}, float32, 0.0f, 1.0f, random::key(3));
  const array y = random::normal({rows, 1000}, float32, 5.0f, 1.0f, random::key(4));
  auto function = compile([](const std::vector<array>& in) {
    const array sum = exp(in[0]) + in[1];
    return std::vector<array>{sum, mean(sum, -1), var(sum, -1)};
  });
  std::vector<array> found = function({x, y});
  eval(found);
  const array exact = exp(astype(x, float64)) + astype(y, float64);
  EXPECT_TRUE(allclose(astype(found[0], float64), exact, 1e-5).item<bool>());
  EXPECT_TRUE(allclose(astype(found[1], float64), mean(exact, -1), 1e-5).item<bool>());
  EXPECT_TRUE(allclose(astype(found[2], float64), var(exact, -1), 1e-5).item<bool>());
}

/// A mean and a variance of rows, of which the second pass is made in the first.
TEST(LlvmDistances, GoesOverARowOnce) {
  const kir::Kernel kernel = kir::parse(R"(kernel parallel reduce
a0 input float32 any unit
a1 output float32 any zero
block
  %0 = load.float32 a0
  %1 = reduce_sum.float32 %0
point_block
  %2 = constant.float32 0x3a800000
  %3 = mul.float32 %1, %2
block
  %4 = load.float32 a0
  %5 = sub.float32 %4, %3
  %6 = mul.float32 %5, %5
  %7 = reduce_sum.float32 %6
point_block
  store.float32 a1, %7
)");
  const std::string code = kernel_text(host_target(), kernel, CodeText::llvm_ir);
  EXPECT_NE(code.find("again"), std::string::npos) << code;
}

}  // namespace
}  // namespace lazuli
