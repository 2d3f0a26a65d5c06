// Norms, rotary embeddings and attention against loops.

#include <algorithm>
#include <optional>

#include "helpers.h"

namespace lazuli::test {
namespace {

TEST(Fast, RmsNorm) {
  for (Dtype dtype : {float32, float16, bfloat16, float64}) {
    for (int n : {1, 8, 67}) {
      const array x = make_numbers({2, 3, n}, dtype, 3);
      const array weight = make_numbers({n}, dtype);
      const std::vector<double> v = doubles(x);
      const std::vector<double> w = doubles(weight);
      std::vector<double> plain;
      std::vector<double> weighted;
      const auto length = static_cast<size_t>(n);
      for (size_t i = 0; i < v.size(); ++i) {
        double total = 0;
        for (size_t j = i / length * length; j < (i / length + 1) * length; ++j) total += v[j] * v[j];
        plain.push_back(v[i] / std::sqrt(total / n + 1e-5));
        weighted.push_back(plain.back() * w[i % length]);
      }
      const double tolerance = rounding_of(dtype) + (dtype == float64 ? 1e-8 : 2e-6);
      expect_array(fast::rms_norm(x, weight, 1e-5f), {2, 3, n}, dtype, weighted, tolerance);
      expect_array(fast::rms_norm(x, std::nullopt, 1e-5f), {2, 3, n}, dtype, plain, tolerance);
    }
  }
  EXPECT_EQ(fast::rms_norm(zeros({2, 4}, float16), ones({4}), 1e-5f).dtype(), float32);
  expect_array(fast::rms_norm(full({1, 4}, 300.0f, float16), std::nullopt, 0), {1, 4}, float16, {1, 1, 1, 1});
  expect_error([] { fast::rms_norm(zeros({2, 4}), ones({3}), 1e-5f); }, "[rms_norm]");
  expect_error([] { fast::rms_norm(zeros({2, 4}), ones({1, 4}), 1e-5f); }, "[rms_norm]");
  expect_error([] { fast::rms_norm(array(1.0f), std::nullopt, 1e-5f); }, "[rms_norm]");
  expect_error([] { fast::rms_norm(zeros({2}, int32), std::nullopt, 1e-5f); }, "[rms_norm]");
}

TEST(Fast, LayerNorm) {
  for (Dtype dtype : {float32, float16, bfloat16}) {
    const size_t n = 33;
    const array x = make_numbers({4, 33}, dtype, 3);
    const array weight = make_numbers({33}, dtype);
    const array bias = make_numbers({33}, dtype, 0.5);
    const std::vector<double> v = doubles(x);
    const std::vector<double> w = doubles(weight);
    const std::vector<double> b = doubles(bias);
    std::vector<double> plain;
    std::vector<double> full_result;
    for (size_t i = 0; i < v.size(); ++i) {
      double mean_value = 0;
      double variance = 0;
      for (size_t j = i / n * n; j < (i / n + 1) * n; ++j) mean_value += v[j] / static_cast<double>(n);
      for (size_t j = i / n * n; j < (i / n + 1) * n; ++j) {
        variance += (v[j] - mean_value) * (v[j] - mean_value) / static_cast<double>(n);
      }
      plain.push_back((v[i] - mean_value) / std::sqrt(variance + 1e-5));
      full_result.push_back(plain.back() * w[i % n] + b[i % n]);
    }
    const double tolerance = 2 * rounding_of(dtype) + 2e-6;
    expect_array(fast::layer_norm(x, weight, bias, 1e-5f), {4, 33}, dtype, full_result, tolerance);
    expect_array(fast::layer_norm(x, std::nullopt, std::nullopt, 1e-5f), {4, 33}, dtype, plain, tolerance);
  }
  expect_error([] { fast::layer_norm(zeros({2, 4}), std::nullopt, ones({3}), 1e-5f); }, "[layer_norm]");
}

/// Rotary embedding by its definition; `frequency` of a pair, in rotations a position.
std::vector<double> rotated(const array& x, int dims, bool traditional,
                            const std::function<double(int)>& frequency,
                            const std::function<double(int, int)>& position) {
  std::vector<double> v = doubles(x);
  const int d = x.shape(-1).hint();
  const int t = x.shape(-2).hint();
  const int rows_per_batch = static_cast<int>(x.size()) / x.shape(0).hint() / d;
  for (int row = 0; row < static_cast<int>(v.size()) / d; ++row) {
    double* p = v.data() + row * d;
    const double at = position(row / rows_per_batch, row % t);
    for (int i = 0; i < dims / 2; ++i) {
      double& first = p[traditional ? 2 * i : i];
      double& second = p[traditional ? 2 * i + 1 : i + dims / 2];
      const double angle = at * frequency(i);
      const double a = first;
      const double b = second;
      first = a * std::cos(angle) - b * std::sin(angle);
      second = a * std::sin(angle) + b * std::cos(angle);
    }
  }
  return v;
}

TEST(Fast, Rope) {
  for (Dtype dtype : {float32, bfloat16, float16}) {
    for (const Shape& shape : {Shape{2, 3, 5, 8}, Shape{1, 4, 16}, Shape{2, 2, 1, 6}}) {
      for (bool traditional : {false, true}) {
        for (int dims : {4, 6}) {
          for (int offset : {0, 7}) {
            const array x = make_numbers(shape, dtype);
            const auto frequency = [&](int i) { return 0.5 * std::pow(100.0, -2.0 * i / dims); };
            const std::vector<double> expected =
                rotated(x, dims, traditional, frequency, [&](int, int row) { return offset + row; });
            const double tolerance = 2 * rounding_of(dtype) + 1e-6;
            expect_array(fast::rope(x, dims, traditional, 100.0f, 0.5f, offset), shape, dtype, expected,
                         tolerance);
            expect_array(fast::rope(x, dims, traditional, 100.0f, 0.5f, array(offset)), shape, dtype,
                         expected, tolerance);
          }
        }
      }
    }
  }
}

TEST(Fast, RopeWithFrequenciesAndOffsets) {
  const array x = make_numbers({2, 3, 4, 8});
  const array freqs = make({1, 2, 4, 8}, {4});
  expect_array(
      fast::rope(x, 8, false, std::nullopt, 1.0f, 3, freqs), {2, 3, 4, 8}, float32,
      rotated(
          x, 8, false, [](int i) { return 1 / std::pow(2.0, i); }, [](int, int row) { return 3 + row; }),
      1e-6);
  const array offsets = make({5, 100}, {2}, int32);
  expect_array(fast::rope(x, 8, false, 10000.0f, 1.0f, offsets), {2, 3, 4, 8}, float32,
               rotated(
                   x, 8, false, [](int i) { return std::pow(10000.0, -i / 4.0); },
                   [](int batch, int row) { return (batch == 0 ? 5 : 100) + row; }),
               1e-5);
  // Far away the angle is still the right one.
  const array far = make_numbers({1, 1, 1, 4});
  expect_array(fast::rope(far, 4, false, 10000.0f, 1.0f, 100000), {1, 1, 1, 4}, float32,
               rotated(
                   far, 4, false, [](int i) { return std::pow(10000.0, -i / 2.0); },
                   [](int, int) { return 100000.0; }),
               1e-4);
  expect_error([&] { fast::rope(zeros({2, 4}), 4, false, 1e4f, 1, 0); }, "[rope]");
  expect_error([&] { fast::rope(x, 10, false, 1e4f, 1, 0); }, "[rope]");
  expect_error([&] { fast::rope(x, 3, false, 1e4f, 1, 0); }, "[rope]");
  expect_error([&] { fast::rope(x, 8, false, std::nullopt, 1, 0); }, "[rope]");
  expect_error([&] { fast::rope(x, 8, false, 1e4f, 1, 0, freqs); }, "[rope]");
  expect_error([&] { fast::rope(x, 8, false, std::nullopt, 1, 0, ones({3})); }, "[rope]");
  expect_error([&] { fast::rope(x, 8, false, 1e4f, 1, zeros({3}, int32)); }, "[rope]");
}

/// Whether query i of `queries` sees key j of `keys`, and what is added to its score.
using Mask = std::function<std::optional<double>(int b, int h, int i, int j)>;

std::vector<double> attended(const array& q, const array& k, const array& v, double scale, const Mask& mask,
                             const std::vector<double>& sinks = {}, double cap = 0) {
  const std::vector<double> x = doubles(q);
  const std::vector<double> y = doubles(k);
  const std::vector<double> z = doubles(v);
  const int heads = q.shape(1).hint();
  const int kv_heads = k.shape(1).hint();
  const int t = q.shape(2).hint();
  const int s = k.shape(2).hint();
  const int d = q.shape(3).hint();
  const int dv = v.shape(3).hint();
  std::vector<double> result;
  for_each_index(Shape{q.shape(0), heads, t}, [&](const std::vector<int>& at) {
    const int h = at[1] / (heads / kv_heads);
    const int query = ((at[0] * heads + at[1]) * t + at[2]) * d;
    const int rows = (at[0] * kv_heads + h) * s;
    std::vector<double> scores;
    double top = sinks.empty() ? -infinity : sinks[static_cast<size_t>(at[1])];
    for (int j = 0; j < s; ++j) {
      double score = 0;
      for (int c = 0; c < d; ++c)
        score += x[static_cast<size_t>(query + c)] * y[static_cast<size_t>((rows + j) * d + c)];
      score *= scale;
      if (cap > 0) score = cap * std::tanh(score / cap);
      const std::optional<double> bias = mask(at[0], at[1], at[2], j);
      scores.push_back(bias ? score + *bias : -infinity);
      top = std::max(top, scores.back());
    }
    double total = sinks.empty() ? 0 : std::exp(sinks[static_cast<size_t>(at[1])] - top);
    for (double& score : scores) {
      score = top == -infinity ? 0 : std::exp(score - top);
      total += score;
    }
    for (int c = 0; c < dv; ++c) {
      double out = 0;
      for (int j = 0; j < s; ++j)
        out += scores[static_cast<size_t>(j)] * z[static_cast<size_t>((rows + j) * dv + c)];
      result.push_back(total == 0 ? 0 : out / total);
    }
  });
  return result;
}

const Mask everything = [](int, int, int, int) -> std::optional<double> { return 0.0; };

Mask causal(int queries, int keys) {
  return [=](int, int, int i, int j) -> std::optional<double> {
    return j <= i + keys - queries ? std::optional(0.0) : std::nullopt;
  };
}

struct Heads {
  array q, k, v;
};

Heads make_heads(int batch, int heads, int kv_heads, int t, int s, int d, int dv, Dtype dtype) {
  return {make_numbers({batch, heads, t, d}, dtype), make_numbers({batch, kv_heads, s, d}, dtype, 0.8),
          make_numbers({batch, kv_heads, s, dv}, dtype, 0.6)};
}

TEST(Attention, ShapesDtypesAndCausality) {
  struct Problem {
    int batch, heads, kv_heads, t, s, d, dv;
  };
  for (const Problem& p :
       {Problem{1, 1, 1, 1, 1, 8, 8}, Problem{2, 4, 2, 5, 5, 16, 16}, Problem{1, 6, 1, 3, 37, 64, 64},
        Problem{1, 2, 2, 40, 70, 24, 10}, Problem{2, 8, 8, 1, 100, 32, 32}}) {
    for (Dtype dtype : {float32, float16, bfloat16}) {
      const Heads x = make_heads(p.batch, p.heads, p.kv_heads, p.t, p.s, p.d, p.dv, dtype);
      const Shape shape{p.batch, p.heads, p.t, p.dv};
      const double tolerance = 2 * rounding_of(dtype) + 1e-5;
      const float scale = 1 / std::sqrt(static_cast<float>(p.d));
      expect_array(fast::scaled_dot_product_attention(x.q, x.k, x.v, scale), shape, dtype,
                   attended(x.q, x.k, x.v, scale, everything), tolerance);
      expect_array(fast::scaled_dot_product_attention(x.q, x.k, x.v, scale, "causal"), shape, dtype,
                   attended(x.q, x.k, x.v, scale, causal(p.t, p.s)), tolerance);
    }
  }
}

TEST(Attention, Masks) {
  const Heads x = make_heads(2, 4, 2, 3, 5, 16, 16, float32);
  const array additive = make_numbers({2, 1, 3, 5});
  const std::vector<double> added = doubles(additive);
  expect_array(fast::scaled_dot_product_attention(x.q, x.k, x.v, 0.25f, "array", additive), {2, 4, 3, 16},
               float32,
               attended(x.q, x.k, x.v, 0.25,
                        [&](int b, int, int i, int j) -> std::optional<double> {
                          return added[static_cast<size_t>((b * 3 + i) * 5 + j)];
                        }),
               1e-5);
  // Row 1 sees nothing: zeros.
  const array seen = make({1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, {3, 5}, bool_);
  const std::vector<double> flags = doubles(seen);
  const std::vector<double> expected = attended(x.q, x.k, x.v, 0.25, [&](int, int, int i, int j) {
    return flags[static_cast<size_t>(i * 5 + j)] != 0 ? std::optional(0.0) : std::nullopt;
  });
  expect_array(fast::scaled_dot_product_attention(x.q, x.k, x.v, 0.25f, "", seen), {2, 4, 3, 16}, float32,
               expected, 1e-5);
  const std::vector<double> sinks{0.5, -1, 2, 0};
  expect_array(fast::scaled_dot_product_attention(x.q, x.k, x.v, 0.25f, "causal", {}, make(sinks, {4})),
               {2, 4, 3, 16}, float32, attended(x.q, x.k, x.v, 0.25, causal(3, 5), sinks), 1e-5);
}

TEST(Attention, ReadsViewsWithoutCopies) {
  // [B, T, H, D], as projections give it.
  const array q = make_numbers({2, 3, 4, 8});
  const array k = make_numbers({2, 6, 2, 8});
  const array v = make_numbers({2, 6, 2, 8}, float32, 0.7);
  const auto heads = [](const array& a) { return transpose(a, {0, 2, 1, 3}); };
  expect_array(fast::scaled_dot_product_attention(heads(q), heads(k), heads(v), 0.3f, "causal"), {2, 4, 3, 8},
               float32, attended(heads(q), heads(k), heads(v), 0.3, causal(3, 6)), 1e-5);
  // The last dimension reversed.
  expect_array(fast::scaled_dot_product_attention(flip(heads(q), 3), flip(heads(k), 3), heads(v), 0.3f),
               {2, 4, 3, 8}, float32, attended(heads(q), heads(k), heads(v), 0.3, everything), 1e-5);
}

TEST(Attention, OverACache) {
  const Heads x = make_heads(1, 4, 2, 2, 9, 16, 16, float32);
  for (int length : {2, 5, 9}) {
    const Shape size{1, 2, length, 16};
    const array k = slice(x.k, {0, 0, 0, 0}, size);
    const array v = slice(x.v, {0, 0, 0, 0}, size);
    expect_array(fast::attention_over_cache(x.q, x.k, x.v, array(length), 0.25f), {1, 4, 2, 16}, float32,
                 attended(x.q, k, v, 0.25, causal(2, length)), 1e-5);
    fast::CacheAttentionOptions options;
    options.window = 3;
    options.soft_cap = 0.5f;
    const Mask window = [&](int, int, int i, int j) -> std::optional<double> {
      const int position = i + length - 2;
      return j <= position && j > position - 3 ? std::optional(0.0) : std::nullopt;
    };
    expect_array(fast::attention_over_cache(x.q, x.k, x.v, array(length), 0.25f, options), {1, 4, 2, 16},
                 float32, attended(x.q, k, v, 0.25, window, {}, 0.5), 1e-5);
    options = {};
    options.causal = false;
    expect_array(fast::attention_over_cache(x.q, x.k, x.v, array(length), 0.25f, options), {1, 4, 2, 16},
                 float32, attended(x.q, k, v, 0.25, everything), 1e-5);
  }
}

TEST(Attention, ADecodeStepCompilesOnce) {
  const CompiledFunction step = compile([](const std::vector<array>& in) {
    const array keys = slice_update(in[1], in[3], in[5], {2});
    const array values = slice_update(in[2], in[4], in[5], {2});
    const array length = in[5] + array(1);
    return std::vector<array>{fast::attention_over_cache(in[0], keys, values, length, 0.5f), keys, values,
                              length};
  });
  array keys = zeros({1, 1, 6, 4});
  array values = zeros({1, 1, 6, 4});
  array length(0);
  std::vector<array> all_keys;
  std::vector<array> all_values;
  for (int i = 0; i < 6; ++i) {
    const array q = make_numbers({1, 2, 1, 4}, float32, 1 + i);
    all_keys.push_back(make_numbers({1, 1, 1, 4}, float32, 0.5 + i));
    all_values.push_back(make_numbers({1, 1, 1, 4}, float32, 2.0 - i));
    const std::vector<array> out = step({q, keys, values, all_keys.back(), all_values.back(), length});
    expect_array(out[0], {1, 2, 1, 4}, float32,
                 attended(q, concatenate(all_keys, 2), concatenate(all_values, 2), 0.5, everything), 1e-5);
    keys = out[1];
    values = out[2];
    length = out[3];
  }
  EXPECT_EQ(step.trace_count(), 1);
}

TEST(Attention, Errors) {
  const Heads x = make_heads(2, 4, 2, 3, 5, 8, 8, float32);
  const auto attend = [&](const array& q, const array& k, const array& v, const std::string& mode = "",
                          std::optional<array> mask = {}, const std::optional<array>& sinks = {}) {
    fast::scaled_dot_product_attention(q, k, v, 1.0f, mode, mask, sinks);
  };
  const std::string name = "[scaled_dot_product_attention]";
  expect_error([&] { attend(zeros({4, 3, 8}), x.k, x.v); }, name);
  expect_error([&] { attend(zeros({2, 3, 3, 8}), x.k, x.v); }, name);
  expect_error([&] { attend(zeros({1, 4, 3, 8}), x.k, x.v); }, name);
  expect_error([&] { attend(zeros({2, 4, 3, 7}), x.k, x.v); }, name);
  expect_error([&] { attend(x.q, x.k, zeros({2, 2, 4, 8})); }, name);
  expect_error([&] { attend(astype(x.q, int32), astype(x.k, int32), astype(x.v, int32)); }, name);
  expect_error([&] { attend(x.q, x.k, x.v, "diagonal"); }, name);
  expect_error([&] { attend(x.q, x.k, x.v, "array"); }, name);
  expect_error([&] { attend(x.q, x.k, x.v, "causal", zeros({3, 5})); }, name);
  expect_error([&] { attend(x.q, x.k, x.v, "array", zeros({3, 5}, int32)); }, name);
  expect_error([&] { attend(x.q, x.k, x.v, "array", zeros({2, 2, 4, 3, 5})); }, name);
  expect_error([&] { attend(x.q, x.k, x.v, "", {}, zeros({3})); }, name);
  expect_error([&] { fast::attention_over_cache(x.q, x.k, x.v, array(1.0f), 1.0f); },
               "[attention_over_cache]");
}

}  // namespace
}  // namespace lazuli::test
