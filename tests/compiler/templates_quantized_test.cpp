#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include <lazuli/array/half.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/quantized_layout.h>
#include <lazuli/compiler/templates/quantized_matmul.h>

#include "support/jit_tiers.h"

namespace lazuli::templates {
namespace {

constexpr int all_bits[] = {2, 3, 4, 5, 6, 8};
constexpr int all_groups[] = {32, 64, 128};
constexpr Dtype all_dtypes[] = {float32, float16, bfloat16};

/// A small generator of repeatable numbers.
class Numbers {
 public:
  uint32_t bits() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 33);
  }
  double uniform(double low, double high) { return low + (high - low) * bits() / 2147483648.0; }

 private:
  uint64_t state_ = 12345;
};

double read_real(const std::byte* data, Dtype dtype, int64_t i) {
  if (dtype == float16) return static_cast<float>(reinterpret_cast<const float16_t*>(data)[i]);
  if (dtype == bfloat16) return static_cast<float>(reinterpret_cast<const bfloat16_t*>(data)[i]);
  return reinterpret_cast<const float*>(data)[i];
}

void write_real(std::byte* data, Dtype dtype, int64_t i, double value) {
  const float f = static_cast<float>(value);
  if (dtype == float16) {
    reinterpret_cast<float16_t*>(data)[i] = f;
  } else if (dtype == bfloat16) {
    reinterpret_cast<bfloat16_t*>(data)[i] = f;
  } else {
    reinterpret_cast<float*>(data)[i] = f;
  }
}

double epsilon(Dtype dtype) {
  return dtype == float16 ? 0x1p-10 : dtype == bfloat16 ? 0x1p-7 : 0x1p-23;
}

/// Random weights in MLX's format, and what they stand for.
struct Weights {
  int64_t rows, columns;
  int bits, group_size;
  Dtype scale_dtype;
  std::vector<uint8_t> q;
  std::vector<uint32_t> codes;
  std::vector<std::byte> scales, biases;

  Weights(int64_t row_count, int64_t column_count, int bit_count, int group, Dtype scale_type,
          bool negative = true)
      : rows(row_count), columns(column_count), bits(bit_count), group_size(group), scale_dtype(scale_type) {
    Numbers numbers;
    q.resize(rows * columns);
    for (uint8_t& code : q) code = static_cast<uint8_t>(numbers.bits() % (1u << bits));
    // The row's bit stream, bit by bit as the format says.
    codes.resize(rows * columns * bits / 32);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t i = 0; i < columns; ++i) {
        for (int b = 0; b < bits; ++b) {
          const int64_t at = i * bits + b;
          if (q[row * columns + i] >> b & 1) codes[row * columns * bits / 32 + at / 32] |= 1u << (at % 32);
        }
      }
    }
    const int64_t groups = rows * columns / group_size;
    scales.resize(groups * scale_dtype.size());
    biases.resize(groups * scale_dtype.size());
    for (int64_t g = 0; g < groups; ++g) {
      write_real(scales.data(), scale_dtype, g,
                 numbers.uniform(0.01, 0.05) * (negative && g % 3 == 0 ? -1 : 1));
      write_real(biases.data(), scale_dtype, g, numbers.uniform(-0.5, 0.5));
    }
  }

  QuantizedMatrix view() const {
    return QuantizedMatrix::contiguous(codes.data(), scales.data(), biases.data(), scale_dtype, rows, columns,
                                       bits, group_size);
  }
  double scale(int64_t row, int64_t group) const {
    return read_real(scales.data(), scale_dtype, row * (columns / group_size) + group);
  }
  double bias(int64_t row, int64_t group) const {
    return read_real(biases.data(), scale_dtype, row * (columns / group_size) + group);
  }
  double at(int64_t row, int64_t column) const {
    const int64_t g = column / group_size;
    return scale(row, g) * q[row * columns + column] + bias(row, g);
  }
  std::vector<std::byte> packed() const {
    // Vectors of a 64-byte type would be cleaner than this, but std::byte needs an address that suits.
    std::vector<std::byte> buffer(packed_quantized_size(rows, columns, bits, group_size, scale_dtype) + 64);
    pack_quantized(view(), aligned(buffer));
    return buffer;
  }
  static std::byte* aligned(std::vector<std::byte>& buffer) {
    const uintptr_t address = reinterpret_cast<uintptr_t>(buffer.data());
    return buffer.data() + (64 - address % 64) % 64;
  }
};

/// Rows of activations with room between them.
struct Rows {
  std::vector<std::byte> memory;
  Dtype dtype;
  int64_t stride;

  Rows(int64_t rows, int64_t columns, Dtype type) : dtype(type), stride(columns + 3) {
    Numbers numbers;
    memory.resize((rows * stride + 1) * dtype.size());
    for (int64_t i = 0; i < rows * stride; ++i) write_real(memory.data(), dtype, i, numbers.uniform(-1, 1));
  }
  double at(int64_t row, int64_t column) const {
    return read_real(memory.data(), dtype, row * stride + column);
  }
};

void expect_near(double got, double want, double size, int64_t k, Dtype dtype, const std::string& where,
                 double rounding = 0) {
  const double tolerance =
      epsilon(dtype) * std::abs(want) + 0x1p-23 * size * (4 + std::sqrt(static_cast<double>(k))) + rounding;
  EXPECT_LE(std::abs(got - want), tolerance) << where << ": " << got << " instead of " << want;
}

std::string describe(int64_t m, const Weights& w, Dtype dtype) {
  return "m " + std::to_string(m) + ", " + std::to_string(w.rows) + " x " + std::to_string(w.columns) +
         ", bits " + std::to_string(w.bits) + ", groups of " + std::to_string(w.group_size) + ", scales " +
         std::string(dtype_name(w.scale_dtype)) + ", x " + std::string(dtype_name(dtype));
}

/// How far products of codes may be off because activations of 16 bits are whole numbers of 16 bits, in units
/// of a group's largest.
double rounding_of_activations(const Rows& x, int64_t i, const Weights& w, int64_t j) {
  double sum = 0;
  for (int64_t p = 0; p < w.columns; p += w.group_size) {
    double largest = 0, codes = 0;
    for (int64_t q = p; q < p + w.group_size; ++q) {
      largest = std::max(largest, std::abs(x.at(i, q)));
      codes += w.q[j * w.columns + q];
    }
    sum += largest / (2 * code_weight_levels) * codes * std::abs(w.scale(j, p / w.group_size));
  }
  return sum;
}

class TemplateQuantizedTest : public test::JitTiersTest {};

INSTANTIATE_TEST_SUITE_P(Tiers, TemplateQuantizedTest, test::jit_tiers(), test::jit_tier_name);

void check_direct(int64_t m, const Weights& w, Dtype dtype, bool transpose) {
  SCOPED_TRACE(describe(m, w, dtype) + (transpose ? "" : ", not transposed"));
  const int64_t n = transpose ? w.rows : w.columns;
  const int64_t k = transpose ? w.columns : w.rows;
  const Rows x(m, k, dtype);
  std::vector<std::byte> out((m * (n + 1) + 1) * dtype.size(), std::byte{0});
  QuantizedMatmulProblem problem;
  problem.m = m;
  problem.x = x.memory.data();
  problem.dtype = dtype;
  problem.x_row_stride = x.stride;
  problem.w = w.view();
  problem.transpose = transpose;
  problem.out = out.data();
  problem.out_row_stride = n + 1;
  quantized_matmul(problem);
  for (int64_t i = 0; i < m && !testing::Test::HasFailure(); ++i) {
    for (int64_t j = 0; j < n && !testing::Test::HasFailure(); ++j) {
      double sum = 0, size = 0;
      for (int64_t p = 0; p < k; ++p) {
        const double term = x.at(i, p) * (transpose ? w.at(j, p) : w.at(p, j));
        sum += term;
        size += std::abs(term);
      }
      const bool is_rounded = transpose && dtype != float32;
      expect_near(read_real(out.data(), dtype, i * (n + 1) + j), sum, size, k, dtype,
                  std::to_string(i) + ", " + std::to_string(j),
                  is_rounded ? rounding_of_activations(x, i, w, j) : 0);
    }
    EXPECT_EQ(read_real(out.data(), dtype, i * (n + 1) + n), 0) << "wrote behind row " << i;
  }
}

/// Calls `check(bits, group_size, scale_dtype)` for every pair of bits and group size, with the dtypes of
/// scales in turn.
template <typename Check>
void for_each_format(const Check& check) {
  size_t turn = 0;
  for (const int bits : all_bits) {
    for (const int group : all_groups) check(bits, group, all_dtypes[turn++ % std::size(all_dtypes)]);
    ++turn;  // so that each number of bits starts with another one
  }
}

TEST_P(TemplateQuantizedTest, DirectEveryFormat) {
  for_each_format([](int bits, int group, Dtype scales) {
    for (const int64_t m : {1, 3, 11}) {
      check_direct(m, Weights(7, 256, bits, group, scales), float32, true);
      check_direct(m, Weights(5, 256, bits, group, scales), float32, false);
    }
  });
}

TEST_P(TemplateQuantizedTest, DirectShapesAndDtypes) {
  for (const Dtype dtype : all_dtypes) {
    for (const bool transpose : {true, false}) {
      for (const int64_t m : {1, 2, 5, 8, 9, 30}) {
        check_direct(m, Weights(1, 64, 4, 64, float16), dtype, transpose);
        check_direct(m, Weights(67, 640, 4, 64, bfloat16), dtype, transpose);
        check_direct(m, Weights(64, 96, 3, 32, float32), dtype, transpose);
      }
      check_direct(100, Weights(130, 640, 6, 128, float16), dtype, transpose);
    }
  }
}

TEST_P(TemplateQuantizedTest, DirectBySixteenBitActivations) {
  for (const int bits : {4, 8}) {
    for (const int group : all_groups) {
      // The last tile of codes is not whole for some.
      for (const int64_t groups : {1, 2, 5, 17}) {
        const Weights w(21, groups * group, bits, group, groups == 2 ? float32 : bfloat16);
        for (const int64_t m : {1, 2, 3, 4, 6, 8}) check_direct(m, w, m % 2 == 0 ? float16 : bfloat16, true);
      }
    }
  }
}

TEST_P(TemplateQuantizedTest, DirectOddActivations) {
  const Weights w(5, 192, 4, 64, float32);
  for (const float odd :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(), 0x1p-126f, 0.0f}) {
    // In one group, which has nothing else.
    std::vector<bfloat16_t> x(192, bfloat16_t(1.0f));
    std::fill(x.begin() + 64, x.begin() + 128, bfloat16_t(0.0f));
    x[70] = bfloat16_t(odd);
    std::vector<bfloat16_t> out(5);
    QuantizedMatmulProblem problem;
    problem.m = 1;
    problem.x = reinterpret_cast<const std::byte*>(x.data());
    problem.dtype = bfloat16;
    problem.x_row_stride = 192;
    problem.w = w.view();
    problem.out = reinterpret_cast<std::byte*>(out.data());
    problem.out_row_stride = 5;
    quantized_matmul(problem);
    for (int64_t j = 0; j < 5; ++j) {
      double sum = 0;
      for (int64_t p = 0; p < 192; ++p) sum += static_cast<float>(x[p]) * w.at(j, p);
      const float got = out[j];
      if (std::isnan(sum)) {
        EXPECT_TRUE(std::isnan(got));
      } else if (std::isinf(sum)) {
        EXPECT_FALSE(std::isfinite(got));
      } else {
        EXPECT_NEAR(got, sum, 1e-2 * (1 + std::abs(sum)));
      }
    }
  }
}

TEST_P(TemplateQuantizedTest, DirectRowsApart) {
  // Every other row of a matrix twice as tall.
  const Weights w(20, 128, 4, 64, float32);
  QuantizedMatmulProblem problem;
  problem.w = w.view();
  problem.w.rows = 10;
  problem.w.codes_row_stride *= 2;
  problem.w.scales_row_stride *= 2;
  problem.w.biases_row_stride *= 2;
  const Rows x(1, 128, float32);
  float out[10];
  problem.m = 1;
  problem.x = x.memory.data();
  problem.x_row_stride = x.stride;
  problem.out = reinterpret_cast<std::byte*>(out);
  problem.out_row_stride = 10;
  quantized_matmul(problem);
  for (int64_t j = 0; j < 10; ++j) {
    double sum = 0;
    for (int64_t p = 0; p < 128; ++p) sum += x.at(0, p) * w.at(2 * j, p);
    EXPECT_NEAR(out[j], sum, 1e-4);
  }
}

void check_packed_float(int64_t m, const Weights& w, Dtype dtype) {
  SCOPED_TRACE(describe(m, w, dtype));
  std::vector<std::byte> buffer = w.packed();
  const Rows x(m, w.columns, dtype);
  const int64_t n = w.rows;
  std::vector<std::byte> out((m * (n + 1) + 1) * dtype.size(), std::byte{0});
  packed_quantized_matmul(x.memory.data(), dtype, m, x.stride, Weights::aligned(buffer), out.data(), n + 1,
                          Activations::float32);
  for (int64_t i = 0; i < m && !testing::Test::HasFailure(); ++i) {
    for (int64_t j = 0; j < n && !testing::Test::HasFailure(); ++j) {
      double sum = 0, size = 0;
      for (int64_t p = 0; p < w.columns; ++p) {
        sum += x.at(i, p) * w.at(j, p);
        const int64_t g = p / w.group_size;
        size += std::abs(x.at(i, p)) *
                (std::abs(w.scale(j, g)) * w.q[j * w.columns + p] + std::abs(w.bias(j, g)));
      }
      expect_near(read_real(out.data(), dtype, i * (n + 1) + j), sum, size, w.columns, dtype,
                  std::to_string(i) + ", " + std::to_string(j));
    }
    EXPECT_EQ(read_real(out.data(), dtype, i * (n + 1) + n), 0) << "wrote behind row " << i;
  }
}

TEST_P(TemplateQuantizedTest, PackedFloatEveryFormat) {
  for_each_format([](int bits, int group, Dtype scales) {
    for (const int64_t m : {1, 3, 13}) check_packed_float(m, Weights(18, 256, bits, group, scales), float32);
  });
}

TEST_P(TemplateQuantizedTest, PackedFloatShapesAndDtypes) {
  for (const Dtype dtype : all_dtypes) {
    for (const int64_t m : {1, 2, 4, 5, 8, 11, 12, 40}) {
      for (const int64_t n : {1, 15, 16, 17, 100})
        check_packed_float(m, Weights(n, 192, 4, 64, float16), dtype);
    }
    check_packed_float(70, Weights(200, 1024, 5, 32, bfloat16), dtype);
  }
}

/// The formula at `Activations::int8`, with the sums over groups in double precision.
void check_packed_int8(int64_t m, const Weights& w, Dtype dtype) {
  SCOPED_TRACE(describe(m, w, dtype));
  std::vector<std::byte> buffer = w.packed();
  const Rows x(m, w.columns, dtype);
  const int64_t n = w.rows, groups = w.columns / w.group_size;
  std::vector<std::byte> out((m * (n + 1) + 1) * dtype.size(), std::byte{0});
  packed_quantized_matmul(x.memory.data(), dtype, m, x.stride, Weights::aligned(buffer), out.data(), n + 1,
                          Activations::int8);
  std::vector<int> a(w.columns);
  std::vector<float> steps(groups);
  for (int64_t i = 0; i < m && !testing::Test::HasFailure(); ++i) {
    for (int64_t g = 0; g < groups; ++g) {
      float largest = 0;
      for (int64_t p = g * w.group_size; p < (g + 1) * w.group_size; ++p) {
        largest = std::max(largest, std::abs(static_cast<float>(x.at(i, p))));
      }
      steps[g] = largest / 127.0f;
      const float inverse = 1.0f / steps[g];
      for (int64_t p = g * w.group_size; p < (g + 1) * w.group_size; ++p) {
        a[p] = static_cast<int>(std::nearbyint(static_cast<float>(x.at(i, p)) * inverse));
      }
    }
    for (int64_t j = 0; j < n && !testing::Test::HasFailure(); ++j) {
      double sum = 0, size = 0;
      for (int64_t g = 0; g < groups; ++g) {
        int64_t dot = 0, total = 0;
        for (int64_t p = g * w.group_size; p < (g + 1) * w.group_size; ++p) {
          dot += w.q[j * w.columns + p] * a[p];
          total += a[p];
        }
        const double first = w.scale(j, g) * steps[g] * static_cast<double>(dot);
        const double second = w.bias(j, g) * steps[g] * static_cast<double>(total);
        sum += first + second;
        size += std::abs(first) + std::abs(second);
      }
      // Only the sum over groups is rounded: the integers must be exact.
      const double got = read_real(out.data(), dtype, i * (n + 1) + j);
      const double tolerance = epsilon(dtype) * std::abs(sum) + 0x1p-22 * size;
      EXPECT_LE(std::abs(got - sum), tolerance) << i << ", " << j << ": " << got << " instead of " << sum;
    }
    EXPECT_EQ(read_real(out.data(), dtype, i * (n + 1) + n), 0) << "wrote behind row " << i;
  }
}

TEST_P(TemplateQuantizedTest, PackedInt8EveryFormat) {
  for_each_format([](int bits, int group, Dtype scales) {
    for (const int64_t m : {1, 3, 13}) check_packed_int8(m, Weights(18, 256, bits, group, scales), float32);
  });
}

TEST_P(TemplateQuantizedTest, PackedInt8ShapesAndDtypes) {
  for (const Dtype dtype : all_dtypes) {
    for (const int64_t m : {1, 2, 4, 5, 7, 8, 9, 70, 130}) {
      for (const int64_t n : {1, 16, 17, 100}) check_packed_int8(m, Weights(n, 192, 4, 64, float16), dtype);
    }
    check_packed_int8(3, Weights(33, 4096, 8, 128, float16), dtype);
  }
}

TEST_P(TemplateQuantizedTest, Int8ExtremesDoNotSaturate) {
  // All codes and activations at their ends: the sums of products that a 16-bit lane could not hold.
  for (const int bits : all_bits) {
    for (const float sign : {1.0f, -1.0f}) {
      Weights w(16, 256, bits, 128, float32, false);
      const uint8_t top = static_cast<uint8_t>((1u << bits) - 1);
      std::fill(w.codes.begin(), w.codes.end(), ~0u);
      std::fill(w.q.begin(), w.q.end(), top);
      std::vector<std::byte> buffer = w.packed();
      std::vector<float> x(3 * 256, sign), out(3 * 16);
      packed_quantized_matmul(reinterpret_cast<const std::byte*>(x.data()), float32, 3, 256,
                              Weights::aligned(buffer), reinterpret_cast<std::byte*>(out.data()), 16,
                              Activations::int8);
      for (int64_t r = 0; r < 3; ++r) {
        for (int64_t j = 0; j < 16; ++j) {
          double want = 0;
          for (int64_t g = 0; g < 2; ++g) want += sign * 128 * (w.scale(j, g) * top + w.bias(j, g));
          EXPECT_NEAR(out[r * 16 + j], want, 1e-5 * std::abs(want) + 1e-4) << "bits " << bits;
        }
      }
    }
  }
}

TEST_P(TemplateQuantizedTest, Int8ZeroAndTinyGroups) {
  const Weights w(16, 128, 4, 64, float32);
  std::vector<std::byte> buffer = w.packed();
  std::vector<float> x(128, 0.0f), out(16, 1.0f);
  for (int64_t p = 64; p < 128; ++p) x[p] = 1e-42f;  // a step would be subnormal
  packed_quantized_matmul(reinterpret_cast<const std::byte*>(x.data()), float32, 1, 128,
                          Weights::aligned(buffer), reinterpret_cast<std::byte*>(out.data()), 16,
                          Activations::int8);
  for (const float value : out) EXPECT_EQ(value, 0);
}

TEST_P(TemplateQuantizedTest, NonFiniteActivationsReachTheirRow) {
  const Weights w(20, 128, 4, 64, float32, false);
  std::vector<std::byte> buffer = w.packed();
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const Activations activations : {Activations::float32, Activations::int8}) {
      for (const int64_t m : {3, 20}) {
        std::vector<float> x(m * 128, 0.5f), out(m * 20);
        x[128 + 70] = bad;
        packed_quantized_matmul(reinterpret_cast<const std::byte*>(x.data()), float32, m, 128,
                                Weights::aligned(buffer), reinterpret_cast<std::byte*>(out.data()), 20,
                                activations);
        for (int64_t i = 0; i < m; ++i) {
          for (int64_t j = 0; j < 20; ++j) {
            EXPECT_EQ(std::isfinite(out[i * 20 + j]), i != 1) << i << ", " << j;
            if (i == 1 && (activations == Activations::int8 || std::isnan(bad))) {
              EXPECT_TRUE(std::isnan(out[i * 20 + j]));
            }
          }
        }
      }
    }
  }
}

TEST_P(TemplateQuantizedTest, ThreadCountsGiveTheSameBits) {
  const Weights w(300, 512, 4, 64, float16);
  std::vector<std::byte> buffer = w.packed();
  const int before = num_threads();
  for (const Activations activations : {Activations::float32, Activations::int8}) {
    for (const int64_t m : {1, 7, 90}) {
      const Rows x(m, 512, float32);
      std::vector<float> first(m * 300), again(m * 300);
      set_num_threads(1);
      packed_quantized_matmul(x.memory.data(), float32, m, x.stride, Weights::aligned(buffer),
                              reinterpret_cast<std::byte*>(first.data()), 300, activations);
      for (const int threads : {2, 5}) {
        set_num_threads(threads);
        packed_quantized_matmul(x.memory.data(), float32, m, x.stride, Weights::aligned(buffer),
                                reinterpret_cast<std::byte*>(again.data()), 300, activations);
        EXPECT_EQ(std::memcmp(first.data(), again.data(), first.size() * sizeof(float)), 0);
      }
    }
  }
  set_num_threads(before);
}

TEST_P(TemplateQuantizedTest, UnpackingGivesTheWeights) {
  for (const int bits : all_bits) {
    const Weights w(37, 192, bits, 32, bfloat16);
    std::vector<std::byte> buffer = w.packed();
    for (const Dtype dtype : all_dtypes) {
      for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 37}, {5, 20}, {36, 1}, {3, 0}}) {
        std::vector<std::byte> out((count * 192 + 1) * dtype.size());
        dequantize_packed(Weights::aligned(buffer), first, count, out.data(), dtype);
        for (int64_t i = 0; i < count * 192; ++i) {
          const double want = w.at(first + i / 192, i % 192);
          EXPECT_NEAR(read_real(out.data(), dtype, i), want,
                      (epsilon(dtype) + 0x1p-22) * (std::abs(want) + 1));
        }
      }
    }
  }
}

TEST(TemplateQuantizedFormat, HeaderSaysWhatIsPacked) {
  const Weights w(19, 256, 6, 128, float16);
  std::vector<std::byte> buffer = w.packed();
  const PackedQuantizedInfo info = packed_quantized_info(Weights::aligned(buffer));
  EXPECT_EQ(info.version, packed_quantized_version);
  EXPECT_EQ(info.bits, 6);
  EXPECT_EQ(info.group_size, 128);
  EXPECT_EQ(info.scale_dtype, float16);
  EXPECT_EQ(info.rows, 19);
  EXPECT_EQ(info.columns, 256);
  // 32 rows with padding: 6 bits a code, two float16 numbers a group.
  EXPECT_EQ(packed_quantized_size(19, 256, 6, 128, float16), 64u + 32 * 256 * 6 / 8 + 32 * 2 * 2 * 2);
  *Weights::aligned(buffer) = std::byte{0};
  EXPECT_THROW(packed_quantized_info(Weights::aligned(buffer)), std::invalid_argument);
}

/// Every bit of a unit belongs to one quad, and every bit of a code has its place.
TEST(TemplateQuantizedFormat, UnitsAreFullAndCodesWhole) {
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    EXPECT_EQ(unit_vectors(bits) * 8, unit_quads(bits) * bits);
    EXPECT_EQ(span_quads % unit_quads(bits), 0);
    std::vector<int> used(static_cast<size_t>(unit_vectors(bits)), 0);
    for (int quad = 0; quad < unit_quads(bits); ++quad) {
      const QuadCodes codes = quad_codes(bits, quad);
      EXPECT_GE(codes.shift(), 0);
      int code = 0;
      for (int i = 0; i < codes.count; ++i) {
        const CodePiece& piece = codes.pieces[i];
        const int mask = (1 << piece.width) - 1;
        EXPECT_GE(piece.first - piece.weight, codes.shift());
        EXPECT_EQ(code & mask << piece.weight, 0);
        code |= mask << piece.weight;
        int& vector = used[static_cast<size_t>(piece.vector)];
        EXPECT_EQ(vector & mask << piece.first, 0);
        vector |= mask << piece.first;
      }
      EXPECT_EQ(code, (1 << bits) - 1);
    }
    for (const int vector : used) EXPECT_EQ(vector, 0xff);
  }
}

TEST(TemplateQuantizedFormat, OthersAreRefused) {
  EXPECT_THROW(packed_quantized_size(16, 64, 7, 64, float32), std::invalid_argument);
  EXPECT_THROW(packed_quantized_size(16, 64, 4, 16, float32), std::invalid_argument);
  EXPECT_THROW(packed_quantized_size(16, 96, 4, 64, float32), std::invalid_argument);
  EXPECT_THROW(packed_quantized_size(16, 64, 4, 64, float64), std::invalid_argument);
  const Weights w(16, 64, 4, 64, float32);
  QuantizedMatmulProblem problem;
  problem.w = w.view();
  problem.dtype = float64;
  EXPECT_THROW(quantized_matmul(problem), std::invalid_argument);
}

TEST(TemplateQuantizedFormat, NoRowsTouchNothing) {
  const Weights w(16, 64, 4, 64, float32);
  std::vector<std::byte> buffer = w.packed();
  float sentinel = 3;
  packed_quantized_matmul(nullptr, float32, 0, 64, Weights::aligned(buffer),
                          reinterpret_cast<std::byte*>(&sentinel), 16, Activations::int8);
  EXPECT_EQ(sentinel, 3);
}

}  // namespace
}  // namespace lazuli::templates
