#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <lazuli/array/half.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/gemm.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/matmul.h>
#include <lazuli/compiler/templates/scratch.h>

#include "support/jit_tiers.h"

namespace lazuli::templates {
namespace {

using Complex = std::complex<double>;

Complex read_element(const std::byte* data, Dtype dtype, int64_t index) {
  const std::byte* p = data + index * dtype.size();
  switch (dtype.val()) {
    case Dtype::Val::float16:
      return static_cast<float>(*reinterpret_cast<const float16_t*>(p));
    case Dtype::Val::bfloat16:
      return static_cast<float>(*reinterpret_cast<const bfloat16_t*>(p));
    case Dtype::Val::float64:
      return *reinterpret_cast<const double*>(p);
    case Dtype::Val::complex64:
      return Complex(*reinterpret_cast<const complex64_t*>(p));
    default:
      return *reinterpret_cast<const float*>(p);
  }
}

void write_element(std::byte* data, Dtype dtype, int64_t index, Complex value) {
  std::byte* p = data + index * dtype.size();
  const float real = static_cast<float>(value.real());
  switch (dtype.val()) {
    case Dtype::Val::float16:
      *reinterpret_cast<float16_t*>(p) = real;
      break;
    case Dtype::Val::bfloat16:
      *reinterpret_cast<bfloat16_t*>(p) = real;
      break;
    case Dtype::Val::float64:
      *reinterpret_cast<double*>(p) = value.real();
      break;
    case Dtype::Val::complex64:
      *reinterpret_cast<complex64_t*>(p) = complex64_t(value);
      break;
    default:
      *reinterpret_cast<float*>(p) = real;
      break;
  }
}

/// The spacing of a dtype's numbers next to one.
double epsilon(Dtype dtype) {
  switch (dtype.val()) {
    case Dtype::Val::float16:
      return 0x1p-10;
    case Dtype::Val::bfloat16:
      return 0x1p-7;
    case Dtype::Val::float64:
      return 0x1p-52;
    default:
      return 0x1p-23;
  }
}

/// A matrix (or a batch of them) in memory of its own, with room before and behind so that negative strides
/// and padded rows can be tried.
struct Operand {
  std::vector<std::byte> memory;
  MatrixView view;
  int64_t batch_stride = 0;

  Complex at(int64_t batch, int64_t i, int64_t j) const {
    return read_element(view.data, view.dtype,
                        batch * batch_stride + i * view.row_stride + j * view.column_stride);
  }
};

enum class Layout { rows, columns, padded, spread, reversed, broadcast_rows, broadcast_columns };

Operand make_operand(Layout layout, Dtype dtype, int64_t batch, int64_t rows, int64_t columns,
                     std::mt19937& random) {
  Operand operand;
  operand.view.dtype = dtype;
  int64_t& row_stride = operand.view.row_stride;
  int64_t& column_stride = operand.view.column_stride;
  switch (layout) {
    case Layout::rows:
      row_stride = columns, column_stride = 1;
      break;
    case Layout::columns:
      row_stride = 1, column_stride = rows;
      break;
    case Layout::padded:
      row_stride = columns + 3, column_stride = 1;
      break;
    case Layout::spread:
      row_stride = 2 * columns + 1, column_stride = 2;
      break;
    case Layout::reversed:
      row_stride = -columns, column_stride = 1;
      break;
    case Layout::broadcast_rows:
      row_stride = 0, column_stride = 1;
      break;
    case Layout::broadcast_columns:
      row_stride = 1, column_stride = 0;
      break;
  }
  const int64_t span = std::abs(row_stride) * rows + std::abs(column_stride) * columns + 1;
  operand.batch_stride = span;
  operand.memory.resize(static_cast<size_t>(span * (batch + 1)) * dtype.size());
  const auto uniform = [&] { return static_cast<double>(random()) * 0x1p-31 - 1; };
  for (int64_t i = 0; i < span * (batch + 1); ++i) {
    const double re = uniform();
    write_element(operand.memory.data(), dtype, i, Complex(re, dtype == complex64 ? uniform() : 0));
  }
  const int64_t origin = layout == Layout::reversed ? columns * (rows - 1) : 0;
  operand.view.data = operand.memory.data() + std::max<int64_t>(origin, 0) * dtype.size();
  return operand;
}

/// A problem with memory for its result, and the check against sums in double precision.
struct Case {
  int64_t batch = 1, m = 1, n = 1, k = 1;
  Dtype a = float32, b = float32, out = float32, c = float32;
  Layout a_layout = Layout::rows, b_layout = Layout::rows;
  double alpha = 1, beta = 0;
  bool broadcast_b = false;
};

std::string describe(const Case& test) {
  return "batch " + std::to_string(test.batch) + ", " + std::to_string(test.m) + " x " +
         std::to_string(test.n) + " x " + std::to_string(test.k) + ", " + std::string(dtype_name(test.a)) +
         " x " + std::string(dtype_name(test.b)) + " -> " + std::string(dtype_name(test.out)) + ", layouts " +
         std::to_string(static_cast<int>(test.a_layout)) + " " +
         std::to_string(static_cast<int>(test.b_layout));
}

/// The elements of one matrix, row after row or column after column.
std::vector<Complex> dense(const Operand& operand, int64_t batch, int64_t rows, int64_t columns,
                           bool by_column) {
  std::vector<Complex> values(static_cast<size_t>(rows * columns + 1));
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      values[by_column ? j * rows + i : i * columns + j] = operand.at(batch, i, j);
    }
  }
  return values;
}

/// Σ a[p] b[p], and the sum of the terms' sizes, by which the rounding error is judged.
std::pair<Complex, double> row_by_column(const Complex* a, const Complex* b, int64_t k) {
  double re = 0, im = 0, size = 0;
  for (int64_t p = 0; p < k; ++p) {
    re += a[p].real() * b[p].real() - a[p].imag() * b[p].imag();
    im += a[p].real() * b[p].imag() + a[p].imag() * b[p].real();
    size += (std::abs(a[p].real()) + std::abs(a[p].imag())) * (std::abs(b[p].real()) + std::abs(b[p].imag()));
  }
  return {Complex(re, im), size};
}

void expect_matches_reference(const Case& test) {
  SCOPED_TRACE(describe(test));
  std::mt19937 random(7);
  Operand a = make_operand(test.a_layout, test.a, test.batch, test.m, test.k, random);
  Operand b = make_operand(test.b_layout, test.b, test.batch, test.k, test.n, random);
  Operand c = make_operand(Layout::columns, test.c, test.batch, test.m, test.n, random);
  if (test.broadcast_b) b.batch_stride = 0;
  const int64_t out_row_stride = test.n + 2;
  const int64_t out_elements = test.batch * test.m * out_row_stride + 1;
  const Complex guard(-77, 0);
  std::vector<std::byte> out(static_cast<size_t>(out_elements) * test.out.size());
  for (int64_t i = 0; i < out_elements; ++i) write_element(out.data(), test.out, i, guard);

  MatmulProblem problem;
  problem.batch = test.batch;
  problem.m = test.m;
  problem.n = test.n;
  problem.k = test.k;
  problem.a = a.view;
  problem.b = b.view;
  problem.a_batch.stride = a.batch_stride;
  problem.b_batch.stride = b.batch_stride;
  problem.out = out.data();
  problem.out_dtype = test.out;
  problem.out_row_stride = out_row_stride;
  problem.out_batch.stride = test.m * out_row_stride;
  problem.alpha = test.alpha;
  problem.beta = test.beta;
  problem.c = c.view;
  problem.c_batch.stride = c.batch_stride;
  matmul(problem);

  const bool wide = test.a == float64 || test.b == float64 || test.out == float64;
  const double sum_epsilon = wide ? 0x1p-52 : 0x1p-23;
  int wrong = 0;
  for (int64_t l = 0; l < test.batch && wrong < 5; ++l) {
    const std::vector<Complex> rows = dense(a, l, test.m, test.k, false);
    const std::vector<Complex> columns = dense(b, l, test.k, test.n, true);
    for (int64_t i = 0; i < test.m && wrong < 5; ++i) {
      for (int64_t j = 0; j < out_row_stride && wrong < 5; ++j) {
        const Complex got = read_element(out.data(), test.out, (l * test.m + i) * out_row_stride + j);
        if (j >= test.n) {
          if (got != guard) ADD_FAILURE() << "wrote behind row " << i, ++wrong;
          continue;
        }
        const auto [sum, product_size] = row_by_column(&rows[i * test.k], &columns[j * test.k], test.k);
        Complex want = test.alpha * sum;
        if (test.beta != 0) want += test.beta * c.at(l, i, j);
        if (test.out != complex64) want = want.real();
        const double size = std::abs(test.alpha) * product_size + std::abs(test.beta);
        const double tolerance =
            epsilon(test.out) * std::abs(want) +
            sum_epsilon * 4 * (size + 1e-3) * (1 + std::sqrt(static_cast<double>(test.k)));
        if (!(std::abs(got - want) <= tolerance)) {
          ADD_FAILURE() << "element " << l << ", " << i << ", " << j << ": " << got << " instead of " << want;
          ++wrong;
        }
      }
    }
  }
}

constexpr Dtype all_dtypes[] = {float16, bfloat16, float32, float64, complex64};

class TemplateMatmulTest : public test::JitTiersTest {};

INSTANTIATE_TEST_SUITE_P(Tiers, TemplateMatmulTest, test::jit_tiers(), test::jit_tier_name);

TEST_P(TemplateMatmulTest, ExtentsAroundTileAndVectorEdges) {
  for (const int64_t m : {1, 2, 3, 5, 6, 7, 8, 9, 12, 13, 17, 33}) {
    for (const int64_t n : {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 65}) {
      for (const int64_t k : {1, 2, 3, 8, 15, 16, 17, 65}) {
        expect_matches_reference({.m = m, .n = n, .k = k});
        expect_matches_reference({.m = m, .n = n, .k = k, .b_layout = Layout::columns});
      }
    }
  }
}

TEST_P(TemplateMatmulTest, LargeEnoughForBlocksAndThreads) {
  expect_matches_reference({.m = 257, .n = 263, .k = 300});
  expect_matches_reference({.m = 130, .n = 1031, .k = 777, .a_layout = Layout::columns});
  expect_matches_reference({.m = 1500, .n = 20, .k = 40, .b_layout = Layout::columns});
  expect_matches_reference({.m = 17, .n = 700, .k = 600, .out = bfloat16});
  for (const Layout layout : {Layout::rows, Layout::columns}) {
    for (const int64_t k : {1301, 2050}) {
      expect_matches_reference({.m = 63,
                                .n = 77,
                                .k = k,
                                .a = bfloat16,
                                .b = bfloat16,
                                .out = bfloat16,
                                .a_layout = layout,
                                .b_layout = layout});
    }
  }
  expect_matches_reference({.m = 100, .n = 90, .k = 1100, .a = float64, .b = float64, .out = float64});
  expect_matches_reference({.m = 70, .n = 81, .k = 290, .a = complex64, .b = complex64, .out = complex64});
}

/// Few results of many depths, which threads share, and many rows by few columns: left operands are read
/// where they lie.
TEST_P(TemplateMatmulTest, DeepAndTall) {
  const int usual = num_threads();
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    for (const Layout layout : {Layout::rows, Layout::columns}) {
      expect_matches_reference(
          {.m = 30, .n = 70, .k = 4100, .a_layout = Layout::columns, .b_layout = layout});
      expect_matches_reference({.m = 17, .n = 33, .k = 3000, .out = bfloat16, .a_layout = layout});
      expect_matches_reference({.m = 9001, .n = 35, .k = 300, .b_layout = layout});
    }
    expect_matches_reference({.m = 45,
                              .n = 20,
                              .k = 2500,
                              .a = float64,
                              .b = float64,
                              .out = float64,
                              .a_layout = Layout::columns});
    expect_matches_reference({.m = 9001, .n = 35, .k = 40, .out = float16});
  }
  set_num_threads(usual);
}

TEST_P(TemplateMatmulTest, EveryPairOfDtypes) {
  for (const Dtype a : all_dtypes) {
    for (const Dtype b : all_dtypes) {
      for (const Dtype out : all_dtypes) {
        for (const int64_t m : {1, 3, 20}) {
          for (const Layout layout : {Layout::rows, Layout::columns}) {
            expect_matches_reference(
                {.m = m, .n = 37, .k = 70, .a = a, .b = b, .out = out, .b_layout = layout});
          }
        }
        expect_matches_reference({.m = 37, .n = 2, .k = 70, .a = a, .b = b, .out = out});
      }
    }
  }
}

TEST_P(TemplateMatmulTest, EveryLayout) {
  const Layout layouts[] = {
      Layout::rows,     Layout::columns,        Layout::padded,           Layout::spread,
      Layout::reversed, Layout::broadcast_rows, Layout::broadcast_columns};
  for (const Layout a : layouts) {
    for (const Layout b : layouts) {
      for (const Dtype dtype : {float32, bfloat16, float64, complex64}) {
        const Dtype out = dtype == bfloat16 ? float32 : dtype;
        for (const int64_t m : {1, 5, 40}) {
          expect_matches_reference(
              {.m = m, .n = 35, .k = 67, .a = dtype, .b = dtype, .out = out, .a_layout = a, .b_layout = b});
        }
        expect_matches_reference(
            {.m = 50, .n = 1, .k = 67, .a = dtype, .b = dtype, .out = out, .a_layout = a, .b_layout = b});
        expect_matches_reference(
            {.m = 75, .n = 60, .k = 67, .a = dtype, .b = dtype, .out = out, .a_layout = a, .b_layout = b});
      }
    }
  }
}

TEST_P(TemplateMatmulTest, VectorsAgainstLargeWeights) {
  for (const Dtype weights : {float32, bfloat16, float16, float64}) {
    for (const Layout layout : {Layout::rows, Layout::columns}) {
      for (const int64_t m : {1, 2, 3, 4, 5, 6, 7, 8}) {
        expect_matches_reference({.m = m, .n = 515, .k = 390, .b = weights, .b_layout = layout});
      }
      expect_matches_reference({.m = 1, .n = 40, .k = 5000, .b = weights, .b_layout = layout});
      expect_matches_reference({.m = 1, .n = 3000, .k = 70, .b = weights, .b_layout = layout});
      expect_matches_reference({.m = 2100, .n = 1, .k = 133, .a = weights, .a_layout = layout});
      expect_matches_reference({.m = 700, .n = 3, .k = 133, .a = weights, .a_layout = layout, .alpha = 0.5});
    }
  }
}

TEST_P(TemplateMatmulTest, MoreRowsThanAVectorKernelTakesAgainstWeightsBeyondTheCaches) {
  constexpr int64_t k = 1031;
  const int64_t bytes = 2 * cache_sizes().l2 * num_threads();
  for (const Dtype weights : {float32, bfloat16, float64}) {
    const Dtype x = weights == float64 ? float64 : float32;
    const int64_t n = std::max<int64_t>(bytes / (k * static_cast<int64_t>(weights.size())) + 3, 1030);
    for (const Layout layout : {Layout::rows, Layout::columns}) {
      expect_matches_reference({.m = 9, .n = n, .k = k, .a = x, .b = weights, .out = x, .b_layout = layout});
    }
    expect_matches_reference({.m = 5, .n = n, .k = k, .a = x, .b = weights, .out = x});
    expect_matches_reference({.m = n, .n = 16, .k = k, .a = weights, .b = x, .out = x, .alpha = 0.5});
  }
}

TEST_P(TemplateMatmulTest, BatchesOfTinyProducts) {
  for (const int64_t side : {1, 3, 4, 8, 13, 17, 31}) {
    for (const Layout a : {Layout::rows, Layout::columns, Layout::reversed}) {
      for (const Layout b : {Layout::rows, Layout::columns, Layout::padded, Layout::broadcast_rows}) {
        for (const Dtype dtype : {float32, float64}) {
          expect_matches_reference({.batch = 19,
                                    .m = side,
                                    .n = side + 2,
                                    .k = 2 * side,
                                    .a = dtype,
                                    .b = dtype,
                                    .out = dtype,
                                    .a_layout = a,
                                    .b_layout = b});
        }
      }
    }
  }
}

TEST_P(TemplateMatmulTest, Batches) {
  for (const bool broadcast : {false, true}) {
    expect_matches_reference({.batch = 3, .m = 5, .n = 6, .k = 7, .broadcast_b = broadcast});
    expect_matches_reference({.batch = 33, .m = 9, .n = 20, .k = 11, .broadcast_b = broadcast});
    expect_matches_reference({.batch = 2, .m = 90, .n = 100, .k = 70, .broadcast_b = broadcast});
    expect_matches_reference(
        {.batch = 4, .m = 1, .n = 100, .k = 70, .out = float16, .broadcast_b = broadcast});
  }
}

TEST_P(TemplateMatmulTest, RowsOfABatchThatSharesWeightsFollowOn) {
  // Dense a and out, one b: folded into a single product.
  const int64_t batch = 3, m = 4, n = 19, k = 21;
  std::vector<float> a(batch * m * k), b(k * n), out(batch * m * n, -1);
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i % 13) - 6;
  for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(i % 7) - 3;
  MatmulProblem problem;
  problem.batch = batch;
  problem.m = m;
  problem.n = n;
  problem.k = k;
  problem.a = {reinterpret_cast<const std::byte*>(a.data()), float32, k, 1};
  problem.b = {reinterpret_cast<const std::byte*>(b.data()), float32, n, 1};
  problem.a_batch.stride = m * k;
  problem.out = reinterpret_cast<std::byte*>(out.data());
  problem.out_row_stride = n;
  problem.out_batch.stride = m * n;
  matmul(problem);
  for (int64_t i = 0; i < batch * m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      float want = 0;
      for (int64_t p = 0; p < k; ++p) want += a[i * k + p] * b[p * n + j];
      EXPECT_EQ(out[i * n + j], want) << i << ", " << j;
    }
  }
}

TEST_P(TemplateMatmulTest, BatchOffsets) {
  const int64_t m = 3, n = 18, k = 5;
  std::vector<float> a(4 * m * k), b(2 * k * n), out(3 * m * n);
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i % 11);
  for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(i % 5);
  const int64_t a_offsets[] = {3 * m * k, 0, m * k};
  const int64_t b_offsets[] = {k * n, 0, k * n};
  const int64_t out_offsets[] = {m * n, 2 * m * n, 0};
  MatmulProblem problem;
  problem.batch = 3;
  problem.m = m;
  problem.n = n;
  problem.k = k;
  problem.a = {reinterpret_cast<const std::byte*>(a.data()), float32, k, 1};
  problem.b = {reinterpret_cast<const std::byte*>(b.data()), float32, n, 1};
  problem.a_batch.offsets = a_offsets;
  problem.b_batch.offsets = b_offsets;
  problem.out = reinterpret_cast<std::byte*>(out.data());
  problem.out_row_stride = n;
  problem.out_batch.offsets = out_offsets;
  matmul(problem);
  for (int l = 0; l < 3; ++l) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        float want = 0;
        for (int64_t p = 0; p < k; ++p) want += a[a_offsets[l] + i * k + p] * b[b_offsets[l] + p * n + j];
        EXPECT_EQ(out[out_offsets[l] + i * n + j], want);
      }
    }
  }
}

TEST_P(TemplateMatmulTest, AlphaBetaAndAddend) {
  for (const Dtype out : all_dtypes) {
    for (const Dtype c : all_dtypes) {
      expect_matches_reference({.m = 1, .n = 300, .k = 20, .out = out, .c = c, .alpha = 2, .beta = -0.5});
      expect_matches_reference({.m = 20, .n = 35, .k = 20, .out = out, .c = c, .alpha = 0.25, .beta = 3});
      expect_matches_reference({.m = 70, .n = 300, .k = 60, .out = out, .c = c, .alpha = -1, .beta = 1});
      expect_matches_reference(
          {.batch = 2, .m = 3, .n = 4, .k = 5, .a = complex64, .out = out, .c = c, .alpha = 2, .beta = 1});
    }
  }
}

TEST_P(TemplateMatmulTest, NoDepthGivesZeros) {
  for (const Dtype out : all_dtypes) {
    expect_matches_reference({.m = 3, .n = 5, .k = 0, .out = out});
    expect_matches_reference({.m = 1, .n = 40, .k = 0, .out = out, .beta = 2});
    expect_matches_reference({.m = 3, .n = 5, .k = 0, .a = float64, .out = out});
    expect_matches_reference({.m = 3, .n = 5, .k = 0, .a = complex64, .out = out});
  }
}

TEST_P(TemplateMatmulTest, EmptyResultsTouchNothing) {
  float sentinel = 5;
  MatmulProblem problem;
  problem.out = reinterpret_cast<std::byte*>(&sentinel);
  for (const auto [batch, m, n] : {std::array<int64_t, 3>{1, 0, 3}, {1, 3, 0}, {0, 3, 3}}) {
    problem.batch = batch;
    problem.m = m;
    problem.n = n;
    problem.k = 4;
    matmul(problem);
    EXPECT_EQ(sentinel, 5);
  }
}

TEST_P(TemplateMatmulTest, NonFiniteValuesReachTheirRowsAndColumnsOnly) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const auto& extents :
       {std::array<int64_t, 3>{1, 40, 33}, {7, 40, 33}, {20, 35, 33}, {90, 80, 70}, {50, 1, 33}}) {
    const int64_t m = extents[0], n = extents[1], k = extents[2];
    for (const bool transposed : {false, true}) {
      std::vector<float> a(m * k, 1), b(k * n, 1), out(m * n);
      const int64_t row = m / 2, column = n / 2;
      a[row * k + k - 1] = inf;
      const auto b_at = [&](int64_t p, int64_t j) -> float& {
        return transposed ? b[j * k + p] : b[p * n + j];
      };
      b_at(0, column) = nan;
      MatmulProblem problem;
      problem.m = m;
      problem.n = n;
      problem.k = k;
      problem.a = {reinterpret_cast<const std::byte*>(a.data()), float32, k, 1};
      problem.b = {reinterpret_cast<const std::byte*>(b.data()), float32, transposed ? 1 : n,
                   transposed ? k : 1};
      problem.out = reinterpret_cast<std::byte*>(out.data());
      problem.out_row_stride = n;
      matmul(problem);
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          const float got = out[i * n + j];
          if (j == column) {
            EXPECT_TRUE(std::isnan(got));
          } else {
            EXPECT_EQ(got, i == row ? inf : static_cast<float>(k));
          }
        }
      }
    }
  }
}

TEST_P(TemplateMatmulTest, OverflowOfHalvesHappensOnlyAtTheEnd) {
  // The sum passes 65504 on its way and comes back.
  std::vector<float16_t> a = {float16_t(300.0f), float16_t(300.0f), float16_t(-300.0f)};
  std::vector<float16_t> b(3, float16_t(300.0f));
  float16_t out;
  MatmulProblem problem;
  problem.m = problem.n = 1;
  problem.k = 3;
  problem.a = {reinterpret_cast<const std::byte*>(a.data()), float16, 3, 1};
  problem.b = {reinterpret_cast<const std::byte*>(b.data()), float16, 1, 1};
  problem.out = reinterpret_cast<std::byte*>(&out);
  problem.out_dtype = float16;
  problem.out_row_stride = 1;
  matmul(problem);
  EXPECT_EQ(static_cast<float>(out), std::numeric_limits<float>::infinity());  // 90000
  problem.k = 2;
  problem.a.data = reinterpret_cast<const std::byte*>(a.data() + 1);
  matmul(problem);
  EXPECT_EQ(static_cast<float>(out), 0);
}

TEST_P(TemplateMatmulTest, SameBitsEachTime) {
  const int64_t m = 100, n = 120, k = 400;
  std::mt19937 random(3);
  Operand a = make_operand(Layout::rows, float32, 1, m, k, random);
  Operand b = make_operand(Layout::rows, float32, 1, k, n, random);
  std::vector<float> first(m * n), again(m * n);
  MatmulProblem problem;
  problem.n = n;
  problem.k = k;
  problem.a = a.view;
  problem.b = b.view;
  problem.out_row_stride = n;
  for (const int64_t rows : {int64_t{1}, m}) {
    problem.m = rows;
    problem.out = reinterpret_cast<std::byte*>(first.data());
    matmul(problem);
    for (int i = 0; i < 5; ++i) {
      problem.out = reinterpret_cast<std::byte*>(again.data());
      matmul(problem);
      EXPECT_EQ(std::memcmp(first.data(), again.data(), static_cast<size_t>(rows * n) * sizeof(float)), 0);
    }
  }
}

TEST_P(TemplateMatmulTest, ThreadCountsAgree) {
  const int before = num_threads();
  for (const int threads : {1, 2, 3, 7}) {
    set_num_threads(threads);
    expect_matches_reference({.m = 200, .n = 150, .k = 100});
    expect_matches_reference({.m = 1, .n = 70, .k = 20000});
    expect_matches_reference({.m = 3, .n = 2000, .k = 300, .b_layout = Layout::columns});
    expect_matches_reference({.batch = 5, .m = 60, .n = 50, .k = 100});
  }
  set_num_threads(before);
}

TEST(TemplateMatmulErrors, OtherDtypesAreRefused) {
  int32_t value = 1;
  MatmulProblem problem;
  problem.m = problem.n = problem.k = 1;
  problem.a = {reinterpret_cast<const std::byte*>(&value), int32, 1, 1};
  problem.b = problem.a;
  problem.out = reinterpret_cast<std::byte*>(&value);
  EXPECT_THROW(matmul(problem), std::invalid_argument);
}

/// Each table of kernels that this machine can run, against the formulas in kernels.h.
TEST(TemplateMatmulKernels, BaselineTableComputesTheSame) {
  for (const Kernels* table : {&baseline_kernels(), &portable_kernels(), &kernels()}) {
    SCOPED_TRACE(table->name);
    const auto& kernel = table->gemm_float;
    for (int64_t rows = 1; rows <= kernel.rows; ++rows) {
      for (const int64_t columns : {int64_t{1}, kernel.columns - 1, kernel.columns}) {
        const int64_t k = 9;
        std::vector<float> a(rows * k), b(k * kernel.columns), c(rows * kernel.columns, 2);
        for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i % 5) - 2;
        for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(i % 7) - 3;
        GemmTile<float> tile;
        tile.k = k;
        tile.a = a.data();
        tile.a_row_stride = k;
        tile.a_k_stride = 1;
        tile.b = b.data();
        tile.b_k_stride = kernel.columns;
        tile.c = c.data();
        tile.c_row_stride = kernel.columns;
        tile.rows = rows;
        tile.columns = columns;
        tile.accumulate = 1;
        kernel.run(tile);
        for (int64_t i = 0; i < rows; ++i) {
          for (int64_t j = 0; j < kernel.columns; ++j) {
            float want = 2;
            for (int64_t p = 0; p < k && j < columns; ++p) want += a[i * k + p] * b[p * kernel.columns + j];
            EXPECT_EQ(c[i * kernel.columns + j], want) << rows << " x " << columns << ": " << i << ", " << j;
          }
        }
      }
    }
  }
}

/// Tiles whose left operand lies in rows, in columns, or apart, in one run of depths or several, for all
/// numbers of rows and some of columns.
template <typename T>
void expect_tiles_of_all_forms(const GemmKernel<T>& kernel, bool any_strides) {
  struct Form {
    int64_t row_stride, k_stride;
  };
  const int64_t most = 100;
  std::vector<T> a(static_cast<size_t>(most * most)), b(static_cast<size_t>(most * (kernel.columns + 3)));
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<T>(i % 5) - 2;
  for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<T>(i % 7) - 3;
  for (const Form form : {Form{most, 1}, Form{1, most}, Form{1, kernel.rows}, Form{2, 29}}) {
    if (!any_strides && form.row_stride != 1 && form.k_stride != 1) continue;
    for (int64_t rows = 1; rows <= kernel.rows; ++rows) {
      for (const int64_t columns : {int64_t{1}, kernel.columns / 4, kernel.columns / 2 - 1,
                                    kernel.columns / 2 + 1, kernel.columns - 3, kernel.columns}) {
        for (const int64_t k : {1, 2, 4, 7}) {
          GemmTile<T> tile;
          tile.k = k;
          tile.runs = k == 4 ? 1 : 2;
          tile.a = a.data();
          tile.a_row_stride = form.row_stride;
          tile.a_k_stride = form.k_stride;
          tile.a_run_stride = 11;
          tile.b = b.data();
          tile.b_k_stride = columns + 3;
          tile.b_run_stride = k * tile.b_k_stride;
          tile.b_columns = columns;
          std::vector<T> c(static_cast<size_t>(rows * (columns + 1)), 2);
          tile.c = c.data();
          tile.c_row_stride = columns + 1;
          tile.rows = rows;
          tile.columns = columns;
          tile.accumulate = k % 2;
          if (k == 7) tile.ahead = a.data();
          kernel.run(tile);
          for (int64_t i = 0; i < rows; ++i) {
            for (int64_t j = 0; j <= columns; ++j) {
              T want = j == columns || tile.accumulate != 0 ? 2 : 0;
              for (int64_t p = 0; p < tile.runs * k && j < columns; ++p) {
                want += a[static_cast<size_t>(p / k * tile.a_run_stride + p % k * form.k_stride +
                                              i * form.row_stride)] *
                        b[static_cast<size_t>(p * tile.b_k_stride + j)];
              }
              ASSERT_EQ(c[static_cast<size_t>(i * tile.c_row_stride + j)], want)
                  << rows << " x " << columns << " of " << k << " depths: " << i << ", " << j;
            }
          }
        }
      }
    }
  }
}

TEST(TemplateMatmulKernels, LeftOperandsMayLieInAllForms) {
  const JitMode before = jit_mode();
  for (const JitMode mode : {JitMode::off, JitMode::sync}) {
    set_jit_mode(mode);
    expect_tiles_of_all_forms(kernels().gemm_float, true);
    expect_tiles_of_all_forms(kernels().gemm_double, true);
    expect_tiles_of_all_forms(kernels().wide_gemm_float, false);
    expect_tiles_of_all_forms(kernels().wide_gemm_double, false);
  }
  set_jit_mode(before);
}

TEST(TemplateMatmulKernels, ConversionsRoundLikeTheScalarTypes) {
  std::vector<float> values;
  for (uint32_t i = 0; i < 4096; ++i) values.push_back(std::bit_cast<float>(i * 0x100401u + i));
  for (const float special :
       {0.0f, -0.0f, 65504.0f, 65519.9f, 65520.0f, 1e-8f, 5.96e-8f, 3.0e-8f, 6.1e-5f,
        std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    values.push_back(special);
  }
  const int64_t count = static_cast<int64_t>(values.size());
  for (const Kernels* table : {&baseline_kernels(), &portable_kernels()}) {
    SCOPED_TRACE(table->name);
    std::vector<uint16_t> halves(values.size());
    std::vector<float> back(values.size());
    table->narrow[static_cast<size_t>(Storage::float16)](values.data(), halves.data(), count);
    table->widen[static_cast<size_t>(Storage::float16)](halves.data(), back.data(), count);
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::isnan(values[i])) {
        EXPECT_TRUE(std::isnan(back[i]));
        continue;
      }
      EXPECT_EQ(halves[i], float16_t(values[i]).bits) << values[i];
      EXPECT_EQ(back[i], static_cast<float>(float16_t(values[i])));
    }
    table->narrow[static_cast<size_t>(Storage::bfloat16)](values.data(), halves.data(), count);
    table->widen[static_cast<size_t>(Storage::bfloat16)](halves.data(), back.data(), count);
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(halves[i], bfloat16_t(values[i]).bits) << values[i];
      EXPECT_EQ(std::bit_cast<uint32_t>(back[i]), static_cast<uint32_t>(halves[i]) << 16);
    }
    // Every half, subnormals, infinities and NaN included.
    std::vector<uint16_t> all(65536);
    for (uint32_t i = 0; i < 65536; ++i) all[i] = static_cast<uint16_t>(i);
    std::vector<float> wide(65536);
    table->widen[static_cast<size_t>(Storage::float16)](all.data(), wide.data(), 65536);
    for (uint32_t i = 0; i < 65536; ++i) {
      EXPECT_EQ(std::bit_cast<uint32_t>(wide[i]),
                std::bit_cast<uint32_t>(static_cast<float>(float16_t::from_bits(static_cast<uint16_t>(i)))));
    }
  }
}

TEST(TemplateMatmulKernels, Transpose) {
  for (const Kernels* table : {&baseline_kernels(), &portable_kernels()}) {
    for (const int64_t rows : {1, 4, 6, 8, 11, 14, 16}) {
      for (const int64_t columns : {1, 3, 8, 9, 13, 40}) {
        for (const int64_t gap : {0, 2}) {
          const int64_t stride = rows + gap;
          std::vector<float> src(rows * (columns + 1)), dst(columns * stride + 8, -1);
          for (size_t i = 0; i < src.size(); ++i) src[i] = static_cast<float>(i);
          table->transpose(src.data(), columns + 1, rows, columns, dst.data(), stride);
          for (int64_t i = 0; i < static_cast<int64_t>(dst.size()); ++i) {
            const int64_t c = i / stride, r = i % stride;
            EXPECT_EQ(dst[i], c < columns && r < rows ? src[r * (columns + 1) + c] : -1)
                << rows << " x " << columns;
          }
        }
      }
    }
  }
}

TEST(TemplateMatmulGemm, OperandsAndResultsComeThroughFunctions) {
  // a[i][p] = i + p and b[p][j] = p - j exist nowhere; the result is reduced on the way out.
  const int64_t m = 150, n = 270, k = 30;
  const auto panels_of = [](auto element) {
    return [element](int64_t first, int64_t count, int64_t k_first, int64_t k_count, int64_t width,
                     double* panels) {
      for_each_panel(first, count, k_count, width, panels, [&](int64_t lane, int64_t lanes, double* panel) {
        for (int64_t p = 0; p < k_count; ++p) {
          for (int64_t i = 0; i < width; ++i) {
            panel[p * width + i] = i < lanes ? static_cast<double>(element(lane + i, k_first + p)) : 0;
          }
        }
      });
    };
  };
  const auto pack_a = panels_of([](int64_t lane, int64_t p) { return lane + p; });
  const auto pack_b = panels_of([](int64_t lane, int64_t p) { return p - lane; });
  std::vector<double> result(m * n, -1);
  const auto store = [&](const double* block, int64_t stride, int64_t row, int64_t rows, int64_t column,
                         int64_t columns) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) result[(row + i) * n + column + j] = block[i * stride + j];
    }
  };
  const StoreBlock<double> store_block(store);
  GemmOutput<double> out;
  out.store = &store_block;
  gemm<double>(kernels().gemm_double, m, n, k, GemmLanes<double>::in_memory(pack_a), pack_b, out);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double want = 0;
      for (int64_t p = 0; p < k; ++p) want += static_cast<double>(i + p) * static_cast<double>(p - j);
      EXPECT_EQ(result[i * n + j], want);
    }
  }
}

}  // namespace
}  // namespace lazuli::templates
