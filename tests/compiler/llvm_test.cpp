#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lazuli/array/half.h>
#include <lazuli/compiler/kernel_ir/kernel.h>
#include <lazuli/compiler/llvm/code_image.h>
#include <lazuli/compiler/llvm/codegen.h>
#include <lazuli/compiler/llvm/target.h>

#include "support/compiled_kernel.h"

namespace lazuli {
namespace {

using kir::Kernel;
using testing::Compiled;
using testing::same;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> ramp(size_t n, float start = 0, float step = 1) {
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = start + step * static_cast<float>(i);
  return values;
}

// ---- Loops ----

TEST(Llvm, AddAtEverySmallSizeWritesNothingElse) {
  const Compiled add(R"(kernel parallel
a0 input float32 unit
a1 input float32 unit
a2 output float32 unit
block
  %0 = load.float32 a0
  %1 = load.float32 a1
  %2 = add.float32 %0, %1
  store.float32 a2, %2)");
  const std::vector<float> a = ramp(200), b = ramp(200, 0.5F, 2);
  for (int64_t n = 0; n <= 130; ++n) {
    std::vector<float> c(200, -1);
    add.run({n}, {{a.data(), {1}}, {b.data(), {1}}, {c.data(), {1}}});
    for (size_t i = 0; i < 200; ++i) {
      ASSERT_EQ(c[i], i < static_cast<size_t>(n) ? a[i] + b[i] : -1) << i << " of " << n;
    }
  }
}

TEST(Llvm, PartsOfTheSpaceMakeTheWhole) {
  const Compiled add(R"(kernel parallel parallel parallel
a0 input float32 any any unit
a1 input float32 zero any zero
a2 output float32 any any unit
block
  %0 = load.float32 a0
  %1 = load.float32 a1
  %2 = add.float32 %0, %1
  store.float32 a2, %2)");
  const int64_t n0 = 3, n1 = 4, n2 = 37;
  const std::vector<float> a = ramp(n0 * n1 * n2), b = ramp(n1, 100, 100);
  std::vector<float> c(n0 * n1 * n2, -1);
  const std::vector<Compiled::Binding> bindings = {
      {a.data(), {n1 * n2, n2, 1}}, {b.data(), {0, 1, 0}}, {c.data(), {n1 * n2, n2, 1}}};
  for (const auto& [outer_begin, outer_end] : {std::pair(0, 5), std::pair(5, 6), std::pair(6, 12)}) {
    for (const auto& [inner_begin, inner_end] : {std::pair(0, 9), std::pair(9, 37)}) {
      add.run({n0, n1, n2}, bindings, inner_begin, inner_end, outer_begin, outer_end);
    }
  }
  for (int64_t i = 0; i < n0 * n1 * n2; ++i) ASSERT_EQ(c[i], a[i] + b[i / n2 % n1]) << i;
}

TEST(Llvm, StridedAndReversedAccesses) {
  const Compiled copy(R"(kernel parallel parallel
a0 input float32 any any
a1 output float32 any any
block
  %0 = load.float32 a0
  store.float32 a1, %0)");
  const int64_t rows = 5, columns = 43;
  const std::vector<float> a = ramp(rows * columns);
  std::vector<float> transposed(rows * columns), reversed(rows * columns, -1);
  copy.run({rows, columns}, {{a.data(), {columns, 1}}, {transposed.data(), {1, rows}}});
  copy.run({rows, columns},
           {{a.data() + rows * columns - 1, {-columns, -1}}, {reversed.data(), {columns, 1}}});
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      ASSERT_EQ(transposed[j * rows + i], a[i * columns + j]);
      ASSERT_EQ(reversed[i * columns + j], a[(rows - 1 - i) * columns + columns - 1 - j]);
    }
  }
}

TEST(Llvm, RankZero) {
  const Compiled kernel(R"(kernel
a0 input float32
a1 output float32
block
  %0 = load.float32 a0
  %1 = add.float32 %0, %0
  store.float32 a1, %1)");
  const float a = 21;
  float b = 0;
  kernel.run({}, {{&a, {}}, {&b, {}}});
  EXPECT_EQ(b, 42);
}

TEST(Llvm, OutputMayBeTheInput) {
  const Compiled kernel(R"(kernel parallel
a0 input float32 unit
a1 output float32 unit
block
  %0 = load.float32 a0
  %1 = mul.float32 %0, %0
  store.float32 a1, %1)");
  std::vector<float> a = ramp(101);
  kernel.run({101}, {{a.data(), {1}}, {a.data(), {1}}});
  for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i], static_cast<float>(i * i));
}

TEST(Llvm, StreamingStores) {
  const std::string text = R"(kernel parallel
a0 input float32 unit
a1 output float32 unit
a2 output float16 unit
block
  %0 = load.float32 a0
  %1 = neg.float32 %0
  store.float32 a1, %1
  store.float32 a2, %0)";
  const Compiled kernel(text, true);
  const std::vector<float> a = ramp(1003);
  struct alignas(64) Outputs {
    float single[1024];
    uint16_t half[1024];
  };
  auto outputs = std::make_unique<Outputs>();
  std::fill(std::begin(outputs->single), std::end(outputs->single), 5.0F);
  kernel.run({1003}, {{a.data(), {1}}, {outputs->single, {1}}, {outputs->half, {1}}});
  for (size_t i = 0; i < 1003; ++i) {
    ASSERT_EQ(outputs->single[i], -a[i]);
    ASSERT_EQ(outputs->half[i], half_detail::float_to_float16_bits(a[i]));
  }
  EXPECT_EQ(outputs->single[1003], 5.0F);
}

TEST(Llvm, IndexAlongEveryDimension) {
  const Compiled kernel(R"(kernel parallel parallel
a0 output int64 any unit
block
  %0 = index.int64 0
  %1 = index.int64 1
  %2 = constant.int64 1000
  %3 = mul.int64 %0, %2
  %4 = add.int64 %3, %1
  store.int64 a0, %4)");
  std::vector<int64_t> out(4 * 21);
  kernel.run({4, 21}, {{out.data(), {21, 1}}});
  for (int64_t i = 0; i < 4 * 21; ++i) EXPECT_EQ(out[i], i / 21 * 1000 + i % 21);
}

TEST(Llvm, DynamicIndices) {
  // Rows picked by one index for each row, and single elements by one for each element.
  const Compiled rows(R"(kernel parallel parallel
a0 input int64 any zero
a1 input float32 zero unit dynamic=1
a2 output float32 any unit
block
  %0 = load.int64 a0
  %1 = load.float32 a1, %0
  store.float32 a2, %1)");
  const Compiled elements(R"(kernel parallel
a0 input int32 unit
a1 input float32 zero dynamic=1
a2 output float32 zero dynamic=1
block
  %0 = load.int32 a0
  %1 = cast.int64 %0
  %2 = load.float32 a1, %1
  store.float32 a2, %2, %1)");
  const std::vector<float> table = ramp(7 * 19);
  const std::vector<int64_t> picks = {6, 0, 3, 3};
  std::vector<float> out(4 * 19);
  rows.run({4, 19}, {{picks.data(), {1, 0}}, {table.data(), {0, 1, 19}}, {out.data(), {19, 1}}});
  for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(out[i], table[picks[i / 19] * 19 + i % 19]);

  std::vector<int32_t> order(77);
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i * 30 % 77);
  std::vector<float> scattered(77, -1);
  elements.run({77}, {{order.data(), {1}}, {table.data(), {0, 1}}, {scattered.data(), {0, 1}}});
  for (size_t i = 0; i < scattered.size(); ++i) EXPECT_EQ(scattered[i], table[i]);
}

TEST(Llvm, ComplexContiguousAndStrided) {
  for (const bool contiguous : {true, false}) {
    const std::string stride = contiguous ? "unit" : "any";
    const Compiled conjugate("kernel parallel\na0 input complex64 " + stride + "\na1 output complex64 " +
                             stride +
                             R"(
block
  %0 = load.float32 a0
  %1 = load_imag.float32 a0
  %2 = neg.float32 %1
  store_complex.float32 a1, %0, %2)");
    for (int64_t n : {1, 2, 7, 8, 45}) {
      const int64_t step = contiguous ? 1 : 3;
      std::vector<std::complex<float>> a(n * step), b(n * step + 1, {-1, -1});
      for (size_t i = 0; i < a.size(); ++i) a[i] = {static_cast<float>(i), static_cast<float>(i) + 0.5F};
      conjugate.run({n}, {{a.data(), {step}}, {b.data(), {step}}});
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(b[i * step], std::conj(a[i * step]));
      ASSERT_EQ(b.back(), std::complex<float>(-1, -1));
    }
  }
}

// ---- Reductions ----

TEST(Llvm, RowSumsOfEveryLength) {
  const Compiled sum(R"(kernel parallel reduce
a0 input float32 any unit
a1 output float32 unit zero
block
  %0 = load.float32 a0
  %1 = reduce_sum.float32 %0
point_block
  store.float32 a1, %1)");
  const std::vector<float> a = ramp(3 * 150);
  for (int64_t n = 0; n <= 150; ++n) {
    std::vector<float> out(4, -1);
    sum.run({3, n}, {{a.data(), {150, 1}}, {out.data(), {1, 0}}});
    for (int64_t row = 0; row < 3; ++row) {
      const float* begin = a.data() + row * 150;
      ASSERT_EQ(out[row], std::accumulate(begin, begin + n, 0.0F)) << n;
    }
    ASSERT_EQ(out[3], -1);
  }
}

TEST(Llvm, SeveralReduceDimensions) {
  const Compiled mean(R"(kernel parallel reduce reduce
a0 input float64 any any unit
a1 output float64 unit zero zero
block
  %0 = load.float64 a0
  %1 = reduce_sum.float64 %0
  %2 = reduce_max.float64 %0
point_block
  %4 = add.float64 %1, %2
  store.float64 a1, %4)");
  std::vector<double> a(2 * 3 * 11);
  std::iota(a.begin(), a.end(), -7.0);
  std::vector<double> out(2);
  mean.run({2, 3, 11}, {{a.data(), {33, 11, 1}}, {out.data(), {1, 0, 0}}});
  for (int64_t row = 0; row < 2; ++row) {
    const auto begin = a.begin() + row * 33;
    EXPECT_EQ(out[row], std::accumulate(begin, begin + 33, 0.0) + *std::max_element(begin, begin + 33));
  }
}

TEST(Llvm, StagesShareAScratchRow) {
  // (x - min) / sum(x - min), the difference kept in scratch.
  const Compiled kernel(R"(kernel parallel reduce
a0 input float32 any unit
a1 scratch float32 zero unit
a2 output float32 any unit
block
  %0 = load.float32 a0
  %1 = reduce_min.float32 %0
block
  %2 = load.float32 a0
  %3 = sub.float32 %2, %1
  store.float32 a1, %3
  %5 = reduce_sum.float32 %3
point_block
  %6 = constant.float32 0x3f800000
  %7 = div.float32 %6, %5
block
  %8 = load.float32 a1
  %9 = mul.float32 %8, %7
  store.float32 a2, %9)");
  for (int64_t n : {1, 5, 8, 64, 77}) {
    std::vector<float> a(4 * n), out(4 * n);
    for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i * 37 % 11) + (i % 5 == 0 ? 0.5F : 0);
    kernel.run({4, n}, {{a.data(), {n, 1}}, {nullptr, {0, 1}}, {out.data(), {n, 1}}});
    for (int64_t row = 0; row < 4; ++row) {
      const float* begin = a.data() + row * n;
      const float least = *std::min_element(begin, begin + n);
      float sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += begin[i] - least;
      for (int64_t i = 0; i < n; ++i) {
        const float wanted = (begin[i] - least) * (1.0F / sum);
        ASSERT_TRUE(same(out[row * n + i], wanted)) << out[row * n + i] << " " << wanted << " n " << n;
      }
    }
  }
}

TEST(Llvm, ColumnSumsAndPositions) {
  const Compiled kernel(R"(kernel parallel reduce parallel
a0 input float32 any any unit
a1 output float32 any zero unit
a2 output int64 any zero unit
a3 output float32 any zero unit
block
  %0 = load.float32 a0
  %1 = reduce_sum.float32 %0
  %2 = reduce_max.float32 %0
  %3 = reduce_argmax.int64 %0
point_block
  store.float32 a1, %1
  store.int64 a2, %3
  store.float32 a3, %2)");
  // Few rows are taken all at once, more of them some at a time; more columns than a tile has.
  const int64_t outer = 2;
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>(9, 1),
                                      {9, 8},
                                      {9, 31},
                                      {9, 100},
                                      {1, 33},
                                      {0, 33},
                                      {32, 40},
                                      {33, 40},
                                      {16, 9000},
                                      {35, 5000}}) {
    std::vector<float> a(outer * rows * columns + 1);
    for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i * 7919 % 13);
    std::vector<float> sums(outer * columns);
    std::vector<int64_t> positions(outer * columns);
    std::vector<float> greatest(outer * columns);
    kernel.run({outer, rows, columns}, {{a.data(), {rows * columns, columns, 1}},
                                        {sums.data(), {columns, 0, 1}},
                                        {positions.data(), {columns, 0, 1}},
                                        {greatest.data(), {columns, 0, 1}}});
    for (int64_t p = 0; p < outer * columns; ++p) {
      const auto at = [&, rows = rows, columns = columns](int64_t r) {
        return a[p / columns * rows * columns + r * columns + p % columns];
      };
      float sum = 0;
      int64_t best = 0;
      for (int64_t r = 0; r < rows; ++r) {
        sum += at(r);
        if (at(r) > at(best)) best = r;
      }
      ASSERT_EQ(sums[p], sum) << rows << " x " << columns;
      ASSERT_EQ(positions[p], best);
      ASSERT_EQ(greatest[p], rows > 0 ? at(best) : -inf);
    }
  }
}

TEST(Llvm, ColumnsInStages) {
  // Twice the weighted sum over the rows and whether any element is large; then each element less half that
  // sum, where none is. Weights are made of a row, the same for all rows.
  const Compiled kernel(R"(kernel parallel reduce reduce parallel
a0 input float32 any any any unit
a1 input float32 zero zero zero unit
a2 input float32 zero any any zero
a3 output float32 any any any unit
a4 output float32 any zero zero unit
block
  %0 = load.float32 a0
  %1 = load.float32 a1
  %2 = mul.float32 %1, %1
  %3 = add.float32 %2, %1
  %4 = load.float32 a2
  %5 = mul.float32 %3, %4
  %6 = mul.float32 %5, %0
  %7 = reduce_sum.float32 %6
  %8 = constant.float32 0x42f00000
  %9 = lt.bool %8, %0
  %10 = reduce_or.bool %9
  %11 = reduce_min.float32 %3
point_block
  %12 = add.float32 %7, %7
  %13 = select.float32 %10, %11, %12
  store.float32 a4, %12
block
  %15 = load.float32 a0
  %16 = sub.float32 %15, %13
  %17 = load.float32 a1
  %18 = neg.float32 %17
  %19 = select.float32 %10, %18, %16
  store.float32 a3, %19)");
  const int64_t outer = 2, n1 = 3, n2 = 2;
  for (int64_t columns : {1, 8, 31, 64, 100, 700, 5000}) {
    const int64_t rows = n1 * n2;
    std::vector<float> a(outer * rows * columns), w(columns), v(rows);
    for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i * 7919 % 127);
    for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i % 5);
    for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(i % 3);
    std::vector<float> out(a.size()), sums(outer * columns);
    kernel.run({outer, n1, n2, columns}, {{a.data(), {rows * columns, n2 * columns, columns, 1}},
                                          {w.data(), {0, 0, 0, 1}},
                                          {v.data(), {0, n2, 1, 0}},
                                          {out.data(), {rows * columns, n2 * columns, columns, 1}},
                                          {sums.data(), {columns, 0, 0, 1}}});
    for (int64_t p = 0; p < outer * columns; ++p) {
      const int64_t o = p / columns, j = p % columns;
      const auto at = [&](int64_t r) { return (o * rows + r) * columns + j; };
      const float weight = w[j] * w[j] + w[j];
      float sum = 0;
      bool large = false;
      for (int64_t r = 0; r < rows; ++r) {
        sum += weight * v[r] * a[at(r)];
        large = large || a[at(r)] > 120;
      }
      ASSERT_EQ(sums[p], 2 * sum) << columns;
      for (int64_t r = 0; r < rows; ++r) {
        ASSERT_EQ(out[at(r)], large ? -w[j] : a[at(r)] - 2 * sum) << columns;
      }
    }
  }
}

TEST(Llvm, RowPositionsOfTiesAndNan) {
  const Compiled kernel(R"(kernel parallel reduce
a0 input float32 any unit
a1 output int64 unit zero
a2 output int64 unit zero
a3 output float32 unit zero
a4 output float32 unit zero
block
  %0 = load.float32 a0
  %1 = reduce_argmin.int64 %0
  %2 = reduce_argmax.int64 %0
  %3 = reduce_min.float32 %0
  %4 = reduce_max.float32 %0
point_block
  store.int64 a1, %1
  store.int64 a2, %2
  store.float32 a3, %3
  store.float32 a4, %4)");
  const auto check = [&](const std::vector<float>& row, int64_t least, int64_t greatest) {
    int64_t results[2] = {-1, -1};
    float extrema[2] = {-1, -1};
    kernel.run({1, static_cast<int64_t>(row.size())}, {{row.data(), {0, 1}},
                                                       {&results[0], {1, 0}},
                                                       {&results[1], {1, 0}},
                                                       {&extrema[0], {1, 0}},
                                                       {&extrema[1], {1, 0}}});
    EXPECT_EQ(results[0], least);
    EXPECT_EQ(results[1], greatest);
    const auto expect_element = [&](float extremum, int64_t at) {
      const float element = row[static_cast<size_t>(at)];
      EXPECT_TRUE(extremum == element || (std::isnan(extremum) && std::isnan(element))) << extremum;
    };
    expect_element(extrema[0], least);
    expect_element(extrema[1], greatest);
  };
  for (size_t n : {1, 3, 8, 33, 100, 257}) {
    check(std::vector<float>(n, 2.0F), 0, 0);
    check(std::vector<float>(n, inf), 0, 0);
    check(std::vector<float>(n, -inf), 0, 0);
    for (size_t first = 0; first < n; ++first) {
      std::vector<float> row(n, 1.0F);
      row[first] = 0;
      row[n - 1 - (n - 1 - first) / 2] = 0;
      check(row, static_cast<int64_t>(first), first == 0 && n > 1 ? (row[1] == 1 ? 1 : 2) : 0);
      row[first] = nan;
      row[n - 1] = nan;
      check(row, static_cast<int64_t>(first), static_cast<int64_t>(first));
    }
  }
}

TEST(Llvm, SumsThatWaitForARowsMaximum) {
  // Such sums may be made while the next row is read. With the number of the row, too.
  for (const bool numbered : {false, true}) {
    const std::string number = "  %9 = index.int64 0\n  %10 = cast.float32 %9\n  %11 = add.float32 %8, %10\n";
    const Compiled kernel(R"(kernel parallel reduce
a0 input float32 any unit
a1 input float32 any unit
a2 input float32 unit zero
a3 output float32 unit zero
block
  %0 = load.float32 a0
  %1 = reduce_max.float32 %0
block
  %2 = load.float32 a0
  %3 = sub.float32 %2, %1
  %4 = load.float32 a1
  %5 = mul.float32 %3, %4
  %6 = reduce_sum.float32 %5
point_block
  %7 = load.float32 a2
  %8 = fma.float32 %7, %1, %6
)" + (numbered ? number + "  store.float32 a3, %11" : "  store.float32 a3, %8"));
    for (const int64_t rows : {0, 1, 2, 5}) {
      for (const int64_t columns : {1, 15, 16, 100, 1000}) {
        std::vector<float> a(rows * columns + 1), b(a.size()), scale(rows + 1), results(rows + 1, -1.0F);
        for (size_t i = 0; i < a.size(); ++i) {
          a[i] = static_cast<float>(i * 7919 % 29);
          b[i] = static_cast<float>(i * 31 % 7);
        }
        for (size_t i = 0; i < scale.size(); ++i) scale[i] = static_cast<float>(i + 2);
        kernel.run({rows, columns}, {{a.data(), {columns, 1}},
                                     {b.data(), {columns, 1}},
                                     {scale.data(), {1, 0}},
                                     {results.data(), {1, 0}}});
        for (int64_t r = 0; r < rows; ++r) {
          const float* row = a.data() + r * columns;
          const float greatest = *std::max_element(row, row + columns);
          float expected = scale[r] * greatest + (numbered ? static_cast<float>(r) : 0.0F);
          for (int64_t c = 0; c < columns; ++c) expected += (row[c] - greatest) * b[r * columns + c];
          ASSERT_EQ(results[r], expected) << rows << " x " << columns;
        }
        ASSERT_EQ(results[rows], -1.0F);
      }
    }
  }
}

// ---- Other machines ----

TEST(Llvm, CodeForOtherMachinesLinks) {
  const Kernel mixed = kir::parse(R"(kernel parallel reduce
a0 input float16 any unit
a1 input int8 any any
a2 input complex64 zero unit
a3 scratch float32 zero unit
a4 output bfloat16 any unit
a5 output int64 unit zero
a6 output bool unit zero
block
  %0 = load.float32 a0
  %1 = load.int8 a1
  %2 = cast.float32 %1
  %3 = load.float32 a2
  %4 = load_imag.float32 a2
  %5 = fma.float32 %3, %4, %2
  %6 = max.float32 %5, %0
  %7 = floor.float32 %6
  store.float32 a3, %7
  %9 = reduce_argmax.int64 %7
  %10 = le.bool %2, %3
  %11 = reduce_or.bool %10
block
  %12 = load.float32 a3
  %13 = cast.int32 %12
  %14 = rem.int32 %13, %13
  %15 = cast.float32 %14
  store.float32 a4, %15
point_block
  store.int64 a5, %9
  store.bool a6, %11)");
  for (const char* cpu :
       {"x86-64", "x86-64-v2", "haswell", "skylake-avx512", "sapphirerapids", "znver3", "znver4"}) {
    for (const bool streaming : {false, true}) {
      CodegenOptions options;
      options.streaming = streaming;
      const Target target = target_for(cpu);
      const CodeImage image = link_object(kernel_object(target, mixed, options));
      ASSERT_EQ(image.symbols.size(), 1) << cpu;
      EXPECT_EQ(image.symbols[0].first, "kernel");
      const bool avx512 = std::string_view(cpu).find("avx512") != std::string_view::npos ||
                          std::string_view(cpu) == "sapphirerapids" || std::string_view(cpu) == "znver4";
      EXPECT_EQ(target.masks, avx512) << cpu;
    }
  }
  EXPECT_THROW(target_for("no-such-cpu"), std::runtime_error);
}

TEST(Llvm, ImagesSurviveSerializationAndRejectDamage) {
  const Kernel kernel = kir::parse(R"(kernel parallel
a0 input float32 unit
a1 output float32 unit
block
  %0 = load.float32 a0
  %1 = rem.float32 %0, %0
  store.float32 a1, %1)");
  const CodeImage image = link_object(kernel_object(host_target(), kernel));
  ASSERT_FALSE(image.imports.empty()) << "the remainder is a function of the C library";
  const std::string bytes = serialize_image(image);
  const CodeImage again = parse_image(bytes);
  EXPECT_EQ(again.bytes, image.bytes);
  EXPECT_EQ(again.symbols, image.symbols);
  EXPECT_EQ(again.imports, image.imports);
  for (size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 40) {
    EXPECT_THROW(parse_image(std::string_view(bytes).substr(0, size)), std::runtime_error) << size;
  }
  EXPECT_THROW(link_object("not an object"), std::runtime_error);
}

}  // namespace
}  // namespace lazuli
