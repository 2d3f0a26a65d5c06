#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include <lazuli/array/half.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/attention.h>
#include <lazuli/compiler/templates/kernels.h>

#include "support/jit_tiers.h"

namespace lazuli::templates {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// A small generator of repeatable numbers.
class Numbers {
 public:
  explicit Numbers(uint64_t seed) : state_(seed) {}
  uint32_t bits() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 33);
  }
  double uniform(double low, double high) { return low + (high - low) * bits() / 2147483648.0; }

 private:
  uint64_t state_;
};

double read_real(const std::byte* data, Dtype dtype, int64_t i) {
  if (dtype == float16) return static_cast<float>(reinterpret_cast<const float16_t*>(data)[i]);
  if (dtype == bfloat16) return static_cast<float>(reinterpret_cast<const bfloat16_t*>(data)[i]);
  if (dtype == bool_) return data[i] != std::byte{0};
  return reinterpret_cast<const float*>(data)[i];
}

void write_real(std::byte* data, Dtype dtype, int64_t i, double value) {
  const float f = static_cast<float>(value);
  if (dtype == float16) {
    reinterpret_cast<float16_t*>(data)[i] = f;
  } else if (dtype == bfloat16) {
    reinterpret_cast<bfloat16_t*>(data)[i] = f;
  } else if (dtype == bool_) {
    data[i] = value != 0 ? std::byte{1} : std::byte{0};
  } else {
    reinterpret_cast<float*>(data)[i] = f;
  }
}

double epsilon(Dtype dtype) {
  return dtype == float16 ? 0x1p-10 : dtype == bfloat16 ? 0x1p-7 : 0x1p-23;
}

enum class MaskKind { none, boolean, additive };

struct Case {
  int64_t batch = 1, heads = 1, kv_heads = 1, query_length = 1, key_length = 1, head_dim = 16, value_dim = 16;
  Dtype dtype = float32, out_dtype = float32;
  bool causal = false;
  int64_t window = 0;
  float soft_cap = 0;
  bool sinks = false;
  MaskKind mask = MaskKind::none;
  bool mask_broadcast = false;  ///< the same for all batch entries and heads
  int64_t spare_capacity = 0;   ///< rows of the cache behind key_length
  bool length_major =
      false;  ///< [batch, length, heads, dim] in memory instead of [batch, heads, length, dim]
};

/// A [batch, heads, length, dim] tensor in memory.
struct Tensor {
  std::vector<std::byte> memory;
  HeadsView view;

  Tensor(const Case& test, int64_t heads, int64_t length, int64_t capacity, int64_t dim, uint64_t seed) {
    view.dtype = test.dtype;
    if (test.length_major) {
      view.head_stride = dim;
      view.row_stride = heads * dim;
    } else {
      view.head_stride = capacity * dim;
      view.row_stride = dim;
    }
    view.batch_stride = heads * capacity * dim;
    const int64_t count = test.batch * heads * capacity * dim;
    memory.resize((count + 1) * view.dtype.size());
    Numbers numbers(seed);
    for (int64_t i = 0; i < count; ++i) write_real(memory.data(), view.dtype, i, numbers.uniform(-1, 1));
    // What lies behind `length` must not be read.
    for (int64_t b = 0; b < test.batch; ++b) {
      for (int64_t h = 0; h < heads; ++h) {
        for (int64_t row = length; row < capacity; ++row) {
          for (int64_t d = 0; d < dim; ++d) write_real(memory.data(), view.dtype, index(b, h, row, d), NAN);
        }
      }
    }
    view.data = memory.data();
  }
  int64_t index(int64_t b, int64_t h, int64_t row, int64_t d) const {
    return b * view.batch_stride + h * view.head_stride + row * view.row_stride + d;
  }
  double at(int64_t b, int64_t h, int64_t row, int64_t d) const {
    return read_real(memory.data(), view.dtype, index(b, h, row, d));
  }
};

std::string describe(const Case& test) {
  return "batch " + std::to_string(test.batch) + ", heads " + std::to_string(test.heads) + "/" +
         std::to_string(test.kv_heads) + ", lengths " + std::to_string(test.query_length) + ", " +
         std::to_string(test.key_length) + ", dims " + std::to_string(test.head_dim) + ", " +
         std::to_string(test.value_dim) + ", " + std::string(dtype_name(test.dtype)) + " -> " +
         std::string(dtype_name(test.out_dtype)) + ", causal " + std::to_string(test.causal) + ", window " +
         std::to_string(test.window) + ", mask " + std::to_string(static_cast<int>(test.mask)) + ", cap " +
         std::to_string(test.soft_cap) + ", sinks " + std::to_string(test.sinks);
}

/// Runs attention and compares with softmax written out in double precision.
void expect_matches_reference(const Case& test) {
  SCOPED_TRACE(describe(test));
  const Tensor queries(test, test.heads, test.query_length, test.query_length, test.head_dim, 1);
  const int64_t capacity = test.key_length + test.spare_capacity;
  const Tensor keys(test, test.kv_heads, test.key_length, capacity, test.head_dim, 2);
  const Tensor values(test, test.kv_heads, test.key_length, capacity, test.value_dim, 3);
  const int64_t out_row_stride = test.value_dim + 1;
  const int64_t out_count = test.batch * test.heads * test.query_length * out_row_stride;
  std::vector<std::byte> out((out_count + 1) * test.out_dtype.size(), std::byte{0});

  AttentionProblem problem;
  problem.batch = test.batch;
  problem.heads = test.heads;
  problem.kv_heads = test.kv_heads;
  problem.query_length = test.query_length;
  problem.key_length = test.key_length;
  problem.head_dim = test.head_dim;
  problem.value_dim = test.value_dim;
  problem.queries = queries.view;
  problem.keys = keys.view;
  problem.values = values.view;
  problem.out = out.data();
  problem.out_dtype = test.out_dtype;
  problem.out_row_stride = out_row_stride;
  problem.out_head_stride = test.query_length * out_row_stride;
  problem.out_batch_stride = test.heads * problem.out_head_stride;
  problem.scale = 1.5f / std::sqrt(static_cast<float>(test.head_dim));
  problem.soft_cap = test.soft_cap;
  problem.causal = test.causal;
  problem.window = test.window;

  Numbers numbers(4);
  const Dtype mask_dtype = test.mask == MaskKind::boolean ? bool_ : test.dtype;
  const int64_t mask_sheets = test.mask_broadcast ? 1 : test.batch * test.heads;
  std::vector<std::byte> mask((mask_sheets * test.query_length * test.key_length + 1) * mask_dtype.size());
  for (int64_t i = 0; i < mask_sheets * test.query_length * test.key_length; ++i) {
    const bool seen = numbers.bits() % 3 != 0;
    write_real(mask.data(), mask_dtype, i,
               test.mask == MaskKind::boolean ? seen
               : seen                         ? numbers.uniform(-2, 2)
                                              : -infinity);
  }
  if (test.mask != MaskKind::none) {
    problem.mask = {mask.data(), mask_dtype, 0, 0, test.key_length, 1};
    if (!test.mask_broadcast) {
      problem.mask.head_stride = test.query_length * test.key_length;
      problem.mask.batch_stride = test.heads * problem.mask.head_stride;
    }
  }
  std::vector<std::byte> sinks(test.heads * test.dtype.size());
  for (int64_t h = 0; h < test.heads; ++h) write_real(sinks.data(), test.dtype, h, numbers.uniform(-1, 3));
  if (test.sinks) {
    problem.sinks = sinks.data();
    problem.sinks_dtype = test.dtype;
  }
  attention(problem);

  // Weights of bfloat16 values may be rounded to bfloat16; values are at most 1.
  const double rounding = test.dtype == bfloat16 ? 0x1p-9 : 0;
  const int64_t group = test.heads / test.kv_heads;
  for (int64_t b = 0; b < test.batch; ++b) {
    for (int64_t h = 0; h < test.heads && !testing::Test::HasFailure(); ++h) {
      for (int64_t i = 0; i < test.query_length && !testing::Test::HasFailure(); ++i) {
        const int64_t position = i + test.key_length - test.query_length;
        std::vector<double> scores(test.key_length);
        double largest = test.sinks ? read_real(sinks.data(), test.dtype, h) : -infinity;
        for (int64_t j = 0; j < test.key_length; ++j) {
          double s = 0;
          for (int64_t d = 0; d < test.head_dim; ++d)
            s += queries.at(b, h, i, d) * keys.at(b, h / group, j, d);
          s *= problem.scale;
          if (test.soft_cap > 0) s = test.soft_cap * std::tanh(s / test.soft_cap);
          if (test.mask != MaskKind::none) {
            const double m = read_real(mask.data(), mask_dtype,
                                       b * problem.mask.batch_stride + h * problem.mask.head_stride +
                                           i * problem.mask.row_stride + j);
            s = test.mask == MaskKind::additive ? s + m : m != 0 ? s : -infinity;
          }
          if (test.causal && j > position) s = -infinity;
          if (test.window > 0 && j <= position - test.window) s = -infinity;
          scores[j] = s;
          largest = std::max(largest, s);
        }
        double sum = test.sinks ? std::exp(read_real(sinks.data(), test.dtype, h) - largest) : 0;
        for (double& s : scores) {
          s = largest == -infinity ? 0 : std::exp(s - largest);
          sum += s;
        }
        const int64_t row = ((b * test.heads + h) * test.query_length + i) * out_row_stride;
        for (int64_t d = 0; d < test.value_dim; ++d) {
          double want = 0;
          for (int64_t j = 0; j < test.key_length; ++j) want += scores[j] * values.at(b, h / group, j, d);
          if (sum > 0) want /= sum;
          const double got = read_real(out.data(), test.out_dtype, row + d);
          EXPECT_LE(std::abs(got - want), epsilon(test.out_dtype) * std::abs(want) + rounding + 3e-6)
              << "batch " << b << ", head " << h << ", query " << i << ", dim " << d << ": " << got
              << " instead of " << want;
        }
        EXPECT_EQ(read_real(out.data(), test.out_dtype, row + test.value_dim), 0) << "wrote behind a row";
      }
    }
  }
}

class TemplateAttentionTest : public test::JitTiersTest {};

INSTANTIATE_TEST_SUITE_P(Tiers, TemplateAttentionTest, test::jit_tiers(), test::jit_tier_name);

TEST_P(TemplateAttentionTest, LengthsAroundTileEdges) {
  for (const int64_t queries : {1, 2, 3, 15, 16, 17, 33, 130}) {
    for (const int64_t keys : {1, 5, 16, 127, 128, 129, 300}) {
      for (const bool causal : {false, true}) {
        expect_matches_reference(
            {.heads = 2, .kv_heads = 2, .query_length = queries, .key_length = keys, .causal = causal});
      }
    }
  }
}

TEST_P(TemplateAttentionTest, GroupsOfHeads) {
  for (const int64_t group : {1, 2, 3, 4, 7, 8, 9, 16, 20}) {
    for (const int64_t queries : {1, 2, 40}) {
      expect_matches_reference({.batch = 2,
                                .heads = 2 * group,
                                .kv_heads = 2,
                                .query_length = queries,
                                .key_length = 70,
                                .causal = true});
    }
  }
}

TEST_P(TemplateAttentionTest, HeadDimensions) {
  for (const int64_t head_dim : {1, 7, 8, 64, 80, 96, 128, 256}) {
    for (const int64_t value_dim : {1, 12, 64, 100}) {
      for (const int64_t queries : {1, 50}) {
        expect_matches_reference(
            {.query_length = queries, .key_length = 60, .head_dim = head_dim, .value_dim = value_dim});
      }
    }
  }
}

/// Many blocks of queries, which share what is packed of keys and values: several heads and batch entries one
/// after the other, whole tiles of keys and parts of one, windows that begin within a tile.
TEST_P(TemplateAttentionTest, Bfloat16BlocksShareKeysAndValues) {
  for (const int64_t keys : {1, 127, 129, 256, 389}) {
    for (const int64_t window : {0, 50, 200}) {
      for (const bool causal : {false, true}) {
        expect_matches_reference({.batch = 2,
                                  .heads = 4,
                                  .kv_heads = 2,
                                  .query_length = 330,
                                  .key_length = keys,
                                  .head_dim = 34,
                                  .value_dim = 40,
                                  .dtype = bfloat16,
                                  .out_dtype = bfloat16,
                                  .causal = causal,
                                  .window = window});
      }
    }
  }
}

TEST_P(TemplateAttentionTest, Dtypes) {
  for (const Dtype dtype : {float16, bfloat16, float32}) {
    for (const Dtype out : {float16, bfloat16, float32}) {
      for (const int64_t queries : {1, 40}) {
        for (const MaskKind mask : {MaskKind::none, MaskKind::boolean, MaskKind::additive}) {
          expect_matches_reference({.batch = 2,
                                    .heads = 4,
                                    .kv_heads = 2,
                                    .query_length = queries,
                                    .key_length = 150,
                                    .head_dim = 64,
                                    .value_dim = 48,
                                    .dtype = dtype,
                                    .out_dtype = out,
                                    .sinks = queries == 1,
                                    .mask = mask,
                                    .mask_broadcast = queries == 1});
        }
      }
    }
  }
}

TEST_P(TemplateAttentionTest, CacheWithSpareCapacityAndOtherLayouts) {
  for (const int64_t queries : {1, 5, 60}) {
    for (const bool length_major : {false, true}) {
      expect_matches_reference({.batch = 2,
                                .heads = 4,
                                .kv_heads = 2,
                                .query_length = queries,
                                .key_length = 90,
                                .head_dim = 32,
                                .value_dim = 32,
                                .causal = true,
                                .spare_capacity = 38,
                                .length_major = length_major});
    }
  }
}

TEST_P(TemplateAttentionTest, Windows) {
  for (const int64_t window : {1, 2, 40, 128, 500}) {
    for (const int64_t queries : {1, 4, 200}) {
      for (const bool causal : {true, false}) {
        expect_matches_reference({.heads = 2,
                                  .kv_heads = 1,
                                  .query_length = queries,
                                  .key_length = 300,
                                  .causal = causal,
                                  .window = window});
      }
    }
  }
}

TEST_P(TemplateAttentionTest, SoftCapsSinksAndMasksTogether) {
  for (const int64_t queries : {1, 3, 70}) {
    for (const MaskKind mask : {MaskKind::none, MaskKind::boolean, MaskKind::additive}) {
      for (const bool causal : {false, true}) {
        expect_matches_reference({.batch = 2,
                                  .heads = 6,
                                  .kv_heads = 3,
                                  .query_length = queries,
                                  .key_length = 140,
                                  .causal = causal,
                                  .window = causal ? 50 : 0,
                                  .soft_cap = 2.0f,
                                  .sinks = true,
                                  .mask = mask});
      }
    }
  }
}

TEST_P(TemplateAttentionTest, MoreQueriesThanKeysLeaveRowsOfZeros) {
  // Query i stands at i + key_length - query_length: the first ones stand before every key.
  expect_matches_reference({.heads = 2, .query_length = 10, .key_length = 4, .causal = true});
  expect_matches_reference({.heads = 2, .query_length = 100, .key_length = 30, .causal = true});
  expect_matches_reference(
      {.heads = 2, .query_length = 100, .key_length = 30, .causal = true, .sinks = true});
  expect_matches_reference({.heads = 2, .query_length = 3, .key_length = 0});
}

TEST_P(TemplateAttentionTest, FullyMaskedRowsAreZero) {
  for (const int64_t queries : {1, 40}) {
    for (const bool additive : {false, true}) {
      std::vector<float> q(queries * 16, 1), k(200 * 16, 1), v(200 * 16, 1), out(queries * 16, 7);
      std::vector<float> additive_mask(200, -std::numeric_limits<float>::infinity());
      std::vector<std::byte> bool_mask(200, std::byte{0});
      AttentionProblem problem;
      problem.query_length = queries;
      problem.key_length = 200;
      problem.head_dim = problem.value_dim = 16;
      problem.queries = {reinterpret_cast<const std::byte*>(q.data()), float32, 0, 0, 16};
      problem.keys = {reinterpret_cast<const std::byte*>(k.data()), float32, 0, 0, 16};
      problem.values = {reinterpret_cast<const std::byte*>(v.data()), float32, 0, 0, 16};
      problem.out = reinterpret_cast<std::byte*>(out.data());
      problem.out_row_stride = 16;
      problem.mask.data =
          additive ? reinterpret_cast<const std::byte*>(additive_mask.data()) : bool_mask.data();
      problem.mask.dtype = additive ? float32 : bool_;
      problem.mask.column_stride = 1;
      attention(problem);
      for (const float value : out) EXPECT_EQ(value, 0);
    }
  }
}

TEST_P(TemplateAttentionTest, NonFiniteValuesPropagate) {
  for (const int64_t queries : {1, 40}) {
    for (const int64_t keys : {3, 200}) {
      std::vector<float> q(queries * 16, 0.1f), k(keys * 16, 0.1f), v(keys * 16, 1), out(queries * 16);
      AttentionProblem problem;
      problem.query_length = queries;
      problem.key_length = keys;
      problem.head_dim = problem.value_dim = 16;
      problem.queries = {reinterpret_cast<const std::byte*>(q.data()), float32, 0, 0, 16};
      problem.keys = {reinterpret_cast<const std::byte*>(k.data()), float32, 0, 0, 16};
      problem.values = {reinterpret_cast<const std::byte*>(v.data()), float32, 0, 0, 16};
      problem.out = reinterpret_cast<std::byte*>(out.data());
      problem.out_row_stride = 16;
      q[3] = NAN;  // the first query only
      attention(problem);
      for (int64_t i = 0; i < queries * 16; ++i) EXPECT_EQ(std::isnan(out[i]), i < 16) << i;
      std::fill(k.begin(), k.end(), NAN);  // every score NaN: not to be taken for "no key seen"
      attention(problem);
      for (const float value : out) EXPECT_TRUE(std::isnan(value));
      std::fill(k.begin(), k.end(), 0.1f);
      q[3] = 0.1f;
      v[5] = std::numeric_limits<float>::infinity();
      attention(problem);
      for (int64_t i = 0; i < queries * 16; ++i) EXPECT_EQ(std::isinf(out[i]), i % 16 == 5) << i;
    }
  }
}

TEST_P(TemplateAttentionTest, LargeScoresDoNotOverflow) {
  for (const int64_t queries : {1, 40}) {
    std::vector<float> q(queries * 16, 100), k(300 * 16), v(300 * 16), out(queries * 16);
    for (int64_t j = 0; j < 300; ++j) {
      std::fill_n(k.begin() + j * 16, 16, static_cast<float>(j) - 150);
      std::fill_n(v.begin() + j * 16, 16, static_cast<float>(j));
    }
    AttentionProblem problem;
    problem.query_length = queries;
    problem.key_length = 300;
    problem.head_dim = problem.value_dim = 16;
    problem.queries = {reinterpret_cast<const std::byte*>(q.data()), float32, 0, 0, 16};
    problem.keys = {reinterpret_cast<const std::byte*>(k.data()), float32, 0, 0, 16};
    problem.values = {reinterpret_cast<const std::byte*>(v.data()), float32, 0, 0, 16};
    problem.out = reinterpret_cast<std::byte*>(out.data());
    problem.out_row_stride = 16;
    attention(problem);
    for (const float value : out) EXPECT_EQ(value, 299);
  }
}

TEST_P(TemplateAttentionTest, KeysSplitAmongThreads) {
  const int before = num_threads();
  for (const int threads : {1, 2, 3, 8}) {
    set_num_threads(threads);
    for (const int64_t queries : {1, 3, 30}) {
      expect_matches_reference({.heads = 4,
                                .kv_heads = 1,
                                .query_length = queries,
                                .key_length = 3000,
                                .head_dim = 8,
                                .value_dim = 8,
                                .causal = true,
                                .sinks = true});
    }
    expect_matches_reference({.heads = 1,
                              .query_length = 1,
                              .key_length = 2500,
                              .head_dim = 8,
                              .value_dim = 8,
                              .window = 700,
                              .mask = MaskKind::boolean});
    expect_matches_reference(
        {.batch = 3, .heads = 2, .query_length = 300, .key_length = 300, .causal = true});
  }
  set_num_threads(before);
}

TEST(TemplateAttentionErrors, BadArgumentsAreRefused) {
  AttentionProblem problem;
  problem.heads = 3;
  problem.kv_heads = 2;
  EXPECT_THROW(attention(problem), std::invalid_argument);
  problem.kv_heads = 3;
  problem.keys.dtype = float64;
  EXPECT_THROW(attention(problem), std::invalid_argument);
  problem.keys.dtype = float32;
  problem.out_dtype = int32;
  EXPECT_THROW(attention(problem), std::invalid_argument);
}

/// The softmax kernels of each table, against the functions of the standard library.
TEST(TemplateAttentionKernels, ExponentialsMaximaAndCaps) {
  for (const Kernels* table : {&baseline_kernels(), &portable_kernels(), &kernels()}) {
    SCOPED_TRACE(table->name);
    std::vector<float> inputs;
    for (int i = 0; i < 20000; ++i) inputs.push_back(-static_cast<float>(i) * 0.005f + 3);
    inputs.push_back(-std::numeric_limits<float>::infinity());
    for (const int64_t count : {int64_t{1}, int64_t{7}, static_cast<int64_t>(inputs.size())}) {
      std::vector<float> s(inputs.begin(), inputs.begin() + count);
      EXPECT_EQ(table->max_of(s.data(), count), 3);
      const double sum = table->exp_sum(s.data(), count, 3);
      double want_sum = 0;
      for (int64_t i = 0; i < count; ++i) {
        const double want = std::exp(static_cast<double>(inputs[i]) - 3);
        want_sum += want;
        if (want < 1.3e-38) {  // about the smallest normal float: may be flushed to zero
          EXPECT_LE(s[i], 1.3e-38f);
        } else {
          EXPECT_NEAR(s[i], want, want * 0x1p-22) << inputs[i];
        }
      }
      EXPECT_NEAR(sum, want_sum, want_sum * 1e-5);
    }
    std::vector<float> caps;
    for (int i = -400; i <= 400; ++i) caps.push_back(static_cast<float>(i) * 0.25f);
    std::vector<float> capped = caps;
    table->soft_cap(capped.data(), static_cast<int64_t>(capped.size()), 20);
    for (size_t i = 0; i < caps.size(); ++i)
      EXPECT_NEAR(capped[i], 20 * std::tanh(caps[i] / 20.0), 20 * 2e-7);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::vector<float> odd = {nan, -5, nan, -2, -3, nan, -7, -8, -9, nan};
    EXPECT_EQ(table->max_of(odd.data(), 10), -2);
    EXPECT_EQ(table->max_of(odd.data(), 1), -std::numeric_limits<float>::infinity());
    EXPECT_TRUE(std::isnan(table->exp_sum(odd.data(), 10, -2)));
    EXPECT_TRUE(std::isnan(odd[0]) && std::isnan(odd[9]));
    table->soft_cap(odd.data(), 10, 1);
    EXPECT_TRUE(std::isnan(odd[0]) && std::isnan(odd[9]));
  }
}

}  // namespace
}  // namespace lazuli::templates
