// Row kernels that sum up what they make down the columns: against the same operations one by one, and among
// each other on any number of threads.

#include <gtest/gtest.h>

#include <cstring>

#include <lazuli/compiler/fusion/grouping.h>
#include <lazuli/lazuli.h>

#include "support/compare.h"
#include "support/settings_scope.h"

namespace lazuli {
namespace {

using Arrays = std::vector<array>;

array random_array(Shape shape, Dtype dtype, uint64_t seed) {
  return astype(random::normal(shape, float32, 0.0f, 1.0f, random::key(seed)), dtype);
}

/// Rows go through a softmax; columns are summed before, after and beside it, and the sums used again.
Arrays rows_and_sums(const Arrays& in) {
  const array& x = in[0];
  const array wide = astype(x, x.dtype() == float64 ? float64 : float32);
  const array rows = softmax(wide * in[1], -1);
  const array first = sum(wide, 0), second = sum(rows * wide, 0, true);
  return {astype(rows, x.dtype()), first, astype(second, x.dtype()), first * second, sum(rows - second, 0)};
}

Arrays unfused(const ArrayFunction& function, const Arrays& in) {
  set_compile_mode(CompileMode::no_fuse);
  Arrays results = compile(function)(in);
  eval(results);
  set_compile_mode(CompileMode::enabled);
  return results;
}

std::string bits(const array& a) {
  array dense = contiguous(a);
  dense.eval();
  std::string result(dense.nbytes(), '\0');
  std::memcpy(result.data(), dense.data<std::byte>(), result.size());
  return result;
}

class ColumnSums : public testing::TestWithParam<Dtype> {};

TEST_P(ColumnSums, AgreeWithOperationsOneByOne) {
  const Dtype dtype = GetParam();
  const double tolerance = dtype == float64    ? 1e-10
                           : dtype == bfloat16 ? 2e-2
                           : dtype == float16  ? 2e-3
                                               : 1e-4;
  for (const int rows : {1, 2, 63, 64, 65, 127, 129, 200, 1000}) {
    for (const int columns : {1, 2, 15, 16, 17, 31, 32, 33, 64, 70, 131}) {
      SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(columns));
      const Arrays in{random_array({rows, columns}, dtype, 1), random_array({columns}, float32, 2)};
      Arrays expected;
      {
        const test::JitModeScope scope(JitMode::off);
        expected = unfused(rows_and_sums, in);
      }
      for (const JitMode mode : {JitMode::off, JitMode::sync}) {
        const test::JitModeScope scope(mode);
        std::vector<std::string> of_one_thread;
        for (const int threads : {1, 4}) {
          const test::ThreadsScope count(threads);
          const Arrays actual = compile(rows_and_sums)(in);
          for (size_t i = 0; i < actual.size(); ++i) {
            EXPECT_EQ(test::difference(actual[i], expected[i], tolerance), "") << "output " << i;
            if (threads == 1) of_one_thread.push_back(bits(actual[i]));
            // The last one needs a sum before it can be added up, and is a reduction by itself.
            const bool summed_by_rows = i + 1 < actual.size();
            EXPECT_TRUE(!summed_by_rows || bits(actual[i]) == of_one_thread[i]) << "output " << i;
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, ColumnSums, testing::Values(float32, float64, float16, bfloat16));

TEST(ColumnSum, ServeOtherExtentsThanThoseTraced) {
  const CompiledFunction compiled = compile(rows_and_sums);
  for (const int rows : {200, 2, 3, 70, 5000}) {
    const Arrays in{random_array({rows, 40}, float32, 1), random_array({40}, float32, 2)};
    const Arrays actual = compiled(in), expected = rows_and_sums(in);
    for (size_t i = 0; i < actual.size(); ++i) {
      EXPECT_EQ(test::difference(actual[i], expected[i], 1e-4), "") << rows << " rows, output " << i;
    }
  }
}

TEST(ColumnSum, GoOverSeveralOuterAndInnerAxes) {
  const auto function = [](const Arrays& in) {
    const array& x = in[0];
    const array centred = x - mean(x, std::vector<int>{2, 3}, true);
    return Arrays{centred, sum(centred * x, std::vector<int>{0, 1})};
  };
  // Rows of two dimensions that do not lie one after the other.
  const array x = swapaxes(random_array({9, 20, 7, 33}, bfloat16, 1), 2, 3);
  const Arrays in{astype(x, float32)};
  for (const Arrays& of : {in, Arrays{astype(slice(x, {0, 0, 0, 0}, {9, 20, 33, 6}), float32)}}) {
    const CompiledFunction compiled = compile(function);
    const Arrays actual = compiled(of);
    EXPECT_EQ(compiled.kernel_count(), 1);
    const Arrays expected = unfused(function, of);
    for (size_t i = 0; i < actual.size(); ++i) {
      EXPECT_EQ(test::difference(actual[i], expected[i], 1e-4), "") << "output " << i;
    }
  }
}

TEST(ColumnSum, OfManyRowsAreAccurate) {
  // Of rows that are all alike the average is known; one sum after the other would be 1e-4 off.
  const auto function = [](const Arrays& in) {
    const array rows = in[0] / sum(in[0], -1, true);
    return Arrays{rows, sum(rows, 0)};
  };
  const CompiledFunction compiled = compile(function);
  const Arrays result = compiled({full({100'000, 10}, 0.3f)});
  EXPECT_EQ(compiled.kernel_count(), 1);
  EXPECT_TRUE(allclose(result[1], full({10}, 10'000.0f), 2e-6, 0.0).item<bool>());
}

TEST(ColumnSum, LeaveFewRowsAndLongOnesAlone) {
  const auto kernels = [](int rows, int columns) {
    const CompiledFunction compiled = compile([](const Arrays& in) {
      const array shifted = in[0] - max(in[0], -1, true);
      return Arrays{shifted, sum(shifted, 0)};
    });
    (void)compiled({random_array({rows, columns}, float32, 1)});
    return compiled.kernel_count();
  };
  EXPECT_EQ(kernels(64, 100), 1);
  EXPECT_EQ(kernels(20, 100), 2);
  EXPECT_EQ(kernels(64, 100'000), 2);
}

}  // namespace
}  // namespace lazuli
