// Reductions of rows of a few elements, which are taken many at a time.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "support/compiled_kernel.h"

namespace lazuli {
namespace {

using testing::Compiled;
using testing::same;

std::string text(const std::string& op, const std::string& dtype, const char* in, const char* out,
                 const char* dims = " parallel reduce") {
  return std::string("kernel") + dims + "\na0 input " + dtype + ' ' + in + "\na1 output " + dtype + ' ' +
         out + "\nblock\n  %0 = load." + dtype + " a0\n  %1 = reduce_" + op + '.' + dtype +
         " %0\npoint_block\n  store." + dtype + " a1, %1";
}

/// Numbers of both signs, and where T has them, some NaNs, infinities and zeros with a sign.
template <typename T>
T value(int64_t i) {
  const int64_t mixed = i * 2654435761 % 1021;
  if constexpr (std::is_floating_point_v<T>) {
    if (mixed == 5) return std::numeric_limits<T>::quiet_NaN();
    if (mixed == 6) return std::numeric_limits<T>::infinity();
    if (mixed == 7) return -std::numeric_limits<T>::infinity();
    if (mixed < 12) return T{-0.0};
    return static_cast<T>(mixed - 510) / T{7};
  } else {
    return static_cast<T>(mixed - 510);
  }
}

/// All rows at once, in two parts, give what each gives by itself.
template <typename T>
void check(const std::string& op, const char* dtype) {
  for (const bool apart : {false, true}) {  // whether results lie apart
    const Compiled reduce(text(op, dtype, "any unit", apart ? "any zero" : "unit zero"));
    for (const int64_t rows : {1, 3, 8, 16, 33, 100}) {
      for (const int64_t columns : {0, 1, 2, 7, 16, 17, 33, 64, 100, 127, 128, 130}) {
        const int64_t pitch = columns + (apart ? 3 : 0), step = apart ? 2 : 1;
        std::vector<T> in(static_cast<size_t>(rows * pitch + 1));
        for (size_t i = 0; i < in.size(); ++i) in[i] = value<T>(static_cast<int64_t>(i));
        std::vector<T> together(static_cast<size_t>(rows * step), T{99}), alone = together;
        const auto bindings = [&](std::vector<T>& out) {
          return std::vector<Compiled::Binding>{{in.data(), {pitch, 1}}, {out.data(), {step, 0}}};
        };
        reduce.run({rows, columns}, bindings(together), 0, -1, 0, rows / 3);
        reduce.run({rows, columns}, bindings(together), 0, -1, rows / 3, rows);
        for (int64_t r = 0; r < rows; ++r) reduce.run({rows, columns}, bindings(alone), 0, -1, r, r + 1);
        for (size_t i = 0; i < together.size(); ++i) {
          ASSERT_TRUE(same(together[i], alone[i]))
              << op << ' ' << dtype << ' ' << rows << " x " << columns << " at " << i << ": " << together[i]
              << " instead of " << alone[i];
        }
      }
    }
  }
}

TEST(ShortRows, GiveWhatEachGivesByItself) {
  for (const std::string op : {"sum", "prod", "min", "max"}) {
    check<float>(op, "float32");
    check<double>(op, "float64");
    check<int32_t>(op, "int32");
    check<int64_t>(op, "int64");
  }
}

TEST(ShortRows, OfTwoOuterDimensions) {
  // The inner one has ends of its own; the other way round, rows overlap.
  const Compiled sum(text("sum", "float32", "any any unit", "any any zero", " parallel parallel reduce"));
  for (const int64_t count : {1, 4}) {
    for (const int64_t rows : {5, 16, 37}) {
      const int64_t columns = 9;
      std::vector<float> in(static_cast<size_t>(count * rows + columns + 8));
      for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i % 19);
      std::vector<float> out(static_cast<size_t>(count * rows), 99.0f);
      const std::vector<Compiled::Binding> bindings = {{in.data(), {rows, 1, 1}},
                                                       {out.data(), {1, count, 0}}};
      const int64_t cut = count * rows / 2 + 1;
      sum.run({count, rows, columns}, bindings, 0, -1, 0, cut);
      sum.run({count, rows, columns}, bindings, 0, -1, cut, count * rows);
      for (int64_t c = 0; c < count; ++c) {
        for (int64_t r = 0; r < rows; ++r) {
          float expected = 0;
          for (int64_t i = 0; i < columns; ++i) expected += in[static_cast<size_t>(c * rows + r + i)];
          ASSERT_EQ(out[static_cast<size_t>(r * count + c)], expected) << c << ", " << r;
        }
      }
    }
  }
}

TEST(ShortRows, SeveralResultsAndWhatIsComputedOfThem) {
  const Compiled kernel(R"(kernel parallel reduce
a0 input float32 any unit
a1 input float32 unit zero
a2 output float32 unit zero
a3 output float32 any zero
block
  %0 = load.float32 a0
  %1 = load.float32 a1
  %2 = mul.float32 %0, %1
  %3 = reduce_sum.float32 %2
  %4 = reduce_max.float32 %0
point_block
  %5 = load.float32 a1
  %6 = sub.float32 %4, %3
  %7 = mul.float32 %6, %5
  store.float32 a2, %7
  store.float32 a3, %4)");
  for (const int64_t rows : {1, 16, 50}) {
    for (const int64_t columns : {1, 8, 20}) {
      std::vector<float> in(static_cast<size_t>(rows * columns)), scale(static_cast<size_t>(rows));
      for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i * 7 % 31) - 15.0f;
      for (size_t i = 0; i < scale.size(); ++i) scale[i] = static_cast<float>(i % 5) - 2.0f;
      std::vector<float> mixed(scale.size(), 99.0f), largest = mixed;
      kernel.run({rows, columns}, {{in.data(), {columns, 1}},
                                   {scale.data(), {1, 0}},
                                   {mixed.data(), {1, 0}},
                                   {largest.data(), {1, 0}}});
      for (size_t r = 0; r < scale.size(); ++r) {
        float sum = 0, most = -100;
        for (size_t c = 0; c < static_cast<size_t>(columns); ++c) {
          const float x = in[r * static_cast<size_t>(columns) + c];
          sum += x * scale[r];
          most = std::max(most, x);
        }
        ASSERT_EQ(largest[r], most) << r;
        ASSERT_EQ(mixed[r], (most - sum) * scale[r]) << r;
      }
    }
  }
}

}  // namespace
}  // namespace lazuli
