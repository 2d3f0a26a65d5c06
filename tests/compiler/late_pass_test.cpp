// Rows that are written while the next one is computed: compiled kernels against double precision and against
// each row by itself.

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <lazuli/compiler/kernel_ir/kernel.h>
#include <lazuli/compiler/llvm/schedule.h>
#include <lazuli/compiler/llvm/target.h>
#include <lazuli/lazuli.h>

#include "support/settings_scope.h"

namespace lazuli {
namespace {

using Function = std::function<array(const array&, const array&)>;

struct Case {
  const char* name;
  Function function;
};

array plain_softmax(const array& x) {
  const array e = exp(x - max(x, -1, true));
  return e / sum(e, -1, true);
}

array softmax_gradient(const array& x, const array& cotangent) {
  return vjp([](const std::vector<array>& in) { return std::vector<array>{softmax(in[0], -1)}; }, {x},
             {cotangent})
      .second[0];
}

/// The last pass uses what stands once a row, in memory and computed, and what stands at the same place of
/// each.
array scaled(const array& x, const array& y) {
  const array last = slice(x, {0, static_cast<int>(x.shape(-1).hint()) - 1},
                           {static_cast<int>(x.shape(0).hint()), static_cast<int>(x.shape(-1).hint())});
  const array e = exp(x - max(x, -1, true));
  const array f = exp(y * array(0.25f, y.dtype()) - e);
  return e * last / sum(e * f, -1, true) + f * mean(f, -1, true) + take(y, 0, 0);
}

array plain_layer_norm(const array& x, const array& y) {
  const array bias = take(y, 0, 0);
  return (x - mean(x, -1, true)) * rsqrt(var(x, -1, true) + array(1e-5f, x.dtype())) * take(y, 0, 0) + bias;
}

/// The pass that writes the row also reads what no pass before it has read.
array norm_beside_another(const array& x, const array& y) {
  return fast::rms_norm(x, take(y, 0, 0), 1e-5f) * flip(y, -1) + y;
}

const Case cases[] = {
    {"RMSNorm", [](const array& x, const array& y) { return fast::rms_norm(x, take(y, 0, 0), 1e-5f); }},
    {"LayerNorm",
     [](const array& x, const array& y) {
       return fast::layer_norm(x, take(y, 0, 0), take(y, 0, 0) + array(1.0f, y.dtype()), 1e-5f);
     }},
    {"LayerNorm from plain operations", plain_layer_norm},
    {"norm beside another input", norm_beside_another},
    {"norm of reversed rows",
     [](const array& x, const array& y) { return fast::rms_norm(flip(x, -1), take(y, 0, 0), 1e-5f); }},
    {"norm of rows in reverse",
     [](const array& x, const array& y) { return fast::rms_norm(flip(x, 0), take(y, 0, 0), 1e-5f); }},
    {"softmax", [](const array& x, const array&) { return softmax(x, -1); }},
    {"softmax from plain operations", [](const array& x, const array&) { return plain_softmax(x); }},
    {"log-softmax", [](const array& x, const array&) { return x - logsumexp(x, -1, true); }},
    {"gradient of softmax", softmax_gradient},
    {"rows with scalars of their own", scaled},
};

array computed(const Function& f, const array& x, const array& y) {
  auto function = compile([f](const std::vector<array>& in) { return std::vector<array>{f(in[0], in[1])}; });
  array result = function({x, y})[0];
  result.eval();
  return result;
}

array values(const Shape& shape, int key) {
  return random::normal(shape, float32, 0.0f, 2.0f, random::key(static_cast<uint64_t>(key)));
}

TEST(LlvmLatePass, RowsAgreeWithDoublePrecision) {
  const test::JitModeScope jit(JitMode::sync);
  for (const Case& c : cases) {
    for (const int rows : {1, 2, 5}) {
      for (const int size : {1, 16, 33, 127, 300}) {
        for (const Dtype dtype : {float32, float16, bfloat16, float64}) {
          SCOPED_TRACE(std::string(c.name) + ", " + std::to_string(rows) + " x " + std::to_string(size) +
                       " " + std::string(dtype_name(dtype)));
          const array x = astype(values({rows, size}, 1), dtype), y = astype(values({rows, size}, 2), dtype);
          const array exact = c.function(astype(x, float64), astype(y, float64));
          const array found = astype(computed(c.function, x, y), float64);
          const double tolerance = dtype == float64    ? 1e-12
                                   : dtype == float32  ? 2e-5
                                   : dtype == bfloat16 ? 2e-2
                                                       : 3e-3;
          EXPECT_TRUE(allclose(found, exact, tolerance, tolerance, true).item<bool>());
        }
      }
    }
  }
}

TEST(LlvmLatePass, ARowDoesNotDependOnThoseBesideIt) {
  const test::JitModeScope jit(JitMode::sync);
  constexpr int rows = 5, size = 200;
  const float infinity = std::numeric_limits<float>::infinity();
  for (const Case& c : cases) {
    for (const float outlier : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN(), 1e30f}) {
      const array is_third = equal(reshape(arange(rows), {rows, 1}), array(2));
      const array x = values({rows, size}, 3), y = values({rows, size}, 4);
      const array plain = computed(c.function, x, y);
      const array found = computed(c.function, where(is_third, array(outlier), x), y);
      for (const int row : {0, 1, 3, 4}) {
        EXPECT_TRUE(array_equal(take(found, row, 0), take(plain, row, 0)).item<bool>())
            << c.name << " row " << row << " beside " << outlier;
      }
    }
  }
}

TEST(LlvmLatePass, ResultsMayTakeThePlaceOfAnInput) {
  const test::JitModeScope jit(JitMode::sync);
  const array exact = plain_softmax(astype(values({6, 500}, 5), float64));
  array x = values({6, 500}, 5) + array(0.0f);
  x.eval();
  auto function =
      compile([](const std::vector<array>& in) { return std::vector<array>{plain_softmax(in[0])}; });
  std::vector<array> in{std::move(x)};
  array result = function(std::move(in))[0];
  EXPECT_TRUE(allclose(astype(result, float64), exact, 2e-5, 1e-7).item<bool>());
}

/// A pass that is busy (of many instructions), with a pass before and one after.
std::string kernel_text(const std::string& first, const std::string& last) {
  std::string busy = "  %2 = load.float32 a0\n  %3 = sub.float32 %2, %1\n";
  int id = 3;
  for (; id < 28; ++id) {
    busy += "  %" + std::to_string(id + 1) + " = mul.float32 %" + std::to_string(id) + ", %2\n";
  }
  return "kernel parallel reduce\na0 input float32 any unit\na1 scratch float32 zero unit\n"
         "a2 output float32 any unit\npoint_block\nblock\n" +
         first + "point_block\nblock\n" + busy +
         "  store.float32 a1, %28\n  %30 = reduce_sum.float32 %28\npoint_block\nblock\n" + last;
}

TEST(LlvmLatePass, OnlyARowThatIsKeptIsWrittenLate) {
  const std::string first = "  %0 = load.float32 a0\n  %1 = reduce_max.float32 %0\n";
  const std::string last = "  %31 = load.float32 a1\n  %32 = mul.float32 %30, %31\n  store.float32 a2, %32\n";
  const Target target = target_for("x86-64-v4");
  const Schedule late = make_schedule(kir::parse(kernel_text(first, last)), target);
  ASSERT_TRUE(late.late);
  EXPECT_EQ(late.late->values, std::vector<kir::ValueId>{30});
  EXPECT_EQ(late.unroll[late.late->block], late.unroll[late.late->within]);
  // A pass that reduces has to be over before the row is.
  const Schedule reduces =
      make_schedule(kir::parse(kernel_text(first, last + "  %34 = reduce_max.float32 %31\n")), target);
  EXPECT_FALSE(reduces.late);
}

}  // namespace
}  // namespace lazuli
