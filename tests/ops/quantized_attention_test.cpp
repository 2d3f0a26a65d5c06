// Attention over quantized keys and values against attention over what they dequantize to.

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <vector>

#include <lazuli/lazuli.h>

#include "helpers.h"
#include "support/settings_scope.h"

namespace lazuli::test {
namespace {

struct Format {
  int group_size, bits;
};

/// Queries, keys and values; the latter as codes and as what these stand for.
struct Heads {
  array q;
  std::vector<array> keys, values;
  array k, v;
};

struct Extents {
  int batch = 1, heads = 1, kv_heads = 1, t = 1, s = 1, d = 64, dv = 64;
};

Heads make_heads(const Extents& e, Format format, Dtype dtype, Dtype scale_dtype) {
  const auto normal = [&](int seed, const Shape& shape) {
    return astype(random::normal(shape, float32, random::key(static_cast<uint64_t>(seed))), scale_dtype);
  };
  const std::vector<array> keys =
      quantize(normal(1, {e.batch, e.kv_heads, e.s, e.d}), format.group_size, format.bits);
  const std::vector<array> values =
      quantize(normal(2, {e.batch, e.kv_heads, e.s, e.dv}), format.group_size, format.bits);
  const auto whole = [&](const std::vector<array>& parts) {
    return dequantize(parts[0], parts[1], parts[2], format.group_size, format.bits, "affine", std::nullopt,
                      float32);
  };
  const array q = astype(normal(3, {e.batch, e.heads, e.t, e.d}), dtype);
  Heads heads{q, keys, values, whole(keys), whole(values)};
  eval(heads.q, heads.keys[0], heads.keys[1], heads.keys[2], heads.values[0], heads.values[1],
       heads.values[2], heads.k, heads.v);
  return heads;
}

/// What the elements are rounded to as whole numbers of 16 bits, and the dtype of the result.
double tolerance_of_result(Dtype dtype) {
  return 2 * rounding_of(dtype) + 5e-4;
}

void expect_close(const array& actual, const array& expected, const std::string& what) {
  ASSERT_EQ(actual.shape(), expected.shape()) << what;
  EXPECT_EQ(difference(astype(actual, float32), expected, tolerance_of_result(actual.dtype())), "") << what;
}

TEST(QuantizedAttention, IsThatOfTheDequantized) {
  for (const Extents& e : {Extents{1, 1, 1, 1, 1, 128, 128}, Extents{2, 4, 2, 5, 5, 128, 256},
                           Extents{1, 6, 1, 3, 37, 256, 128}, Extents{1, 2, 2, 40, 70, 128, 128},
                           Extents{2, 8, 2, 1, 1031, 128, 128}, Extents{1, 16, 1, 1, 300, 128, 384},
                           Extents{1, 4, 4, 130, 257, 128, 128}, Extents{1, 3, 1, 1, 515, 384, 128}}) {
    for (const Format& format : {Format{32, 8}, Format{64, 8}, Format{128, 8}, Format{32, 4}, Format{64, 4},
                                 Format{128, 4}, Format{64, 6}, Format{32, 3}}) {
      const Heads x = make_heads(e, format, float32, float32);
      const float scale = 1 / std::sqrt(static_cast<float>(e.d));
      for (const char* mode : {"", "causal"}) {
        expect_close(fast::quantized_scaled_dot_product_attention(x.q, x.keys, x.values, scale, mode, {}, {},
                                                                  format.group_size, format.bits),
                     fast::scaled_dot_product_attention(x.q, x.k, x.v, scale, mode),
                     std::to_string(e.t) + " over " + std::to_string(e.s) + ", " +
                         std::to_string(format.bits) + " bits, groups of " +
                         std::to_string(format.group_size) + " " + mode);
      }
    }
  }
}

TEST(QuantizedAttention, HeadsOfHalfATile) {
  for (const int group : {32, 64}) {
    for (const int bits : {4, 8}) {
      for (const int t : {1, 2, 50}) {
        const Heads x = make_heads({2, 6, 2, t, 213, 64, 64}, {group, bits}, float32, float32);
        expect_close(fast::quantized_scaled_dot_product_attention(x.q, x.keys, x.values, 0.125f, "causal", {},
                                                                  {}, group, bits),
                     fast::scaled_dot_product_attention(x.q, x.k, x.v, 0.125f, "causal"),
                     std::to_string(bits) + " bits, " + std::to_string(t) + " queries");
      }
    }
  }
  const Heads x = make_heads({1, 2, 1, 1, 77, 96, 32}, {32, 4}, float32, float32);
  expect_close(fast::quantized_scaled_dot_product_attention(x.q, x.keys, x.values, 0.1f, "", {}, {}, 32, 4),
               fast::scaled_dot_product_attention(x.q, x.k, x.v, 0.1f), "heads of 96");
}

TEST(QuantizedAttention, DtypesOfQueriesAndScales) {
  for (const Dtype dtype : {float32, float16, bfloat16}) {
    for (const Dtype scale_dtype : {float32, float16, bfloat16}) {
      for (const int t : {1, 33}) {
        const Heads x = make_heads({1, 4, 2, t, 140, 128, 128}, {64, 8}, dtype, scale_dtype);
        const array result = fast::quantized_scaled_dot_product_attention(x.q, x.keys, x.values, 0.09f,
                                                                          "causal", {}, {}, 64, 8);
        EXPECT_EQ(result.dtype(), promote_types(dtype, scale_dtype));
        expect_close(result,
                     fast::scaled_dot_product_attention(astype(x.q, float32), x.k, x.v, 0.09f, "causal"),
                     "queries " + std::string(dtype_name(dtype)));
      }
    }
  }
}

TEST(QuantizedAttention, MasksSinksWindowsAndSoftCaps) {
  for (const int bits : {4, 8}) {
    for (const int t : {1, 3, 40}) {
      const Heads x = make_heads({2, 4, 2, t, 150, 128, 128}, {64, bits}, float32, float32);
      const array additive = random::normal({2, 1, t, 150}, float32, random::key(7));
      const array seen = greater(random::uniform({t, 150}, float32, random::key(8)), array(0.4f));
      const array sinks = random::normal({4}, float32, random::key(9));
      for (const array& mask : {additive, seen}) {
        expect_close(fast::quantized_scaled_dot_product_attention(x.q, x.keys, x.values, 0.1f, "array", mask,
                                                                  sinks, 64, bits),
                     fast::scaled_dot_product_attention(x.q, x.k, x.v, 0.1f, "array", mask, sinks), "mask");
      }
      // Nothing is seen: zeros.
      const array nothing = zeros({t, 150}, bool_);
      EXPECT_EQ(max(abs(fast::quantized_scaled_dot_product_attention(x.q, x.keys, x.values, 0.1f, "", nothing,
                                                                     {}, 64, bits)))
                    .item<float>(),
                0.0f);
      for (const int length : {40, 41, 149, 150}) {
        fast::CacheAttentionOptions options;
        options.window = 17;
        options.soft_cap = 2;
        options.sinks = sinks;
        expect_close(fast::attention_over_quantized_cache(x.q, x.keys, x.values, array(length), 0.1f, options,
                                                          64, bits),
                     fast::attention_over_cache(x.q, x.k, x.v, array(length), 0.1f, options),
                     "length " + std::to_string(length));
      }
    }
  }
}

TEST(QuantizedAttention, LargeScoresAndUnevenRows) {
  // Groups of very different sizes, and scores far apart: weights are far below the largest of their tile.
  const Heads x = make_heads({1, 4, 1, 1, 400, 128, 128}, {32, 8}, float32, float32);
  const array sizes = exp(multiply(array(3.0f), random::normal({1, 1, 400, 1}, float32, random::key(4))));
  const auto resized = [&](const std::vector<array>& parts) {
    return std::vector<array>{parts[0], multiply(parts[1], sizes), multiply(parts[2], sizes)};
  };
  const std::vector<array> values = resized(x.values);
  const array v = multiply(x.v, sizes);
  const array expected = fast::scaled_dot_product_attention(x.q, x.k, v, 1.0f);
  const array actual =
      fast::quantized_scaled_dot_product_attention(x.q, x.keys, values, 1.0f, "", {}, {}, 32, 8);
  EXPECT_LT(max(abs(subtract(actual, expected))).item<float>(), 1e-3f * max(abs(expected)).item<float>());
}

TEST(QuantizedAttention, WhatIsNotFinite) {
  const float nan = std::nanf("");
  for (const int bits : {4, 8}) {
    const Heads x = make_heads({1, 2, 1, 1, 70, 128, 128}, {64, bits}, float32, float32);
    const auto attend = [&](const array& q, const std::vector<array>& values) {
      return fast::quantized_scaled_dot_product_attention(q, x.keys, values, 0.1f, "", {}, {}, 64, bits);
    };
    const array first = less(arange(128, int32), array(1));
    const array spoilt = where(first, array(nan), x.q);
    EXPECT_TRUE(all(isnan(attend(spoilt, x.values))).item<bool>());
    const array infinite = where(first, array(std::numeric_limits<float>::infinity()), x.q);
    EXPECT_TRUE(all(isnan(attend(infinite, x.values))).item<bool>());
    // The first group of a value: only its elements are spoilt.
    const array one =
        logical_and(less(arange(2, int32), array(1)), equal(expand_dims(arange(70, int32), 1), array(5)));
    std::vector<array> values = x.values;
    values[1] = where(one, array(nan), values[1]);
    const array out = attend(x.q, values);
    EXPECT_TRUE(all(isnan(slice(out, {0, 0, 0, 0}, {1, 2, 1, 64}))).item<bool>());
    EXPECT_TRUE(all(isfinite(slice(out, {0, 0, 0, 64}, {1, 2, 1, 128}))).item<bool>());
  }
}

TEST(QuantizedAttention, ReadsCachesWithRoomAndOtherOrders) {
  const Heads x = make_heads({2, 4, 2, 2, 90, 128, 128}, {64, 4}, float32, float32);
  // [B, S, K, ...] in memory, and the first 61 rows of it.
  const auto reordered = [](const std::vector<array>& parts) {
    std::vector<array> result;
    for (const array& part : parts) {
      array other = contiguous(transpose(part, {0, 2, 1, 3}));
      other.eval();
      const array back = transpose(other, {0, 2, 1, 3});
      result.push_back(slice(back, {0, 0, 0, 0}, {2, 2, 61, back.shape(3)}));
    }
    return result;
  };
  const auto cut = [](const array& a) { return slice(a, {0, 0, 0, 0}, {2, 2, 61, 128}); };
  expect_close(fast::quantized_scaled_dot_product_attention(x.q, reordered(x.keys), reordered(x.values), 0.1f,
                                                            "causal", {}, {}, 64, 4),
               fast::scaled_dot_product_attention(x.q, cut(x.k), cut(x.v), 0.1f, "causal"), "other order");
}

TEST(QuantizedAttention, BothTiersAgree) {
  const Heads x = make_heads({1, 8, 2, 1, 333, 128, 128}, {64, 4}, float32, float32);
  const auto attend = [&] {
    array out = fast::quantized_scaled_dot_product_attention(x.q, x.keys, x.values, 0.1f, "", {}, {}, 64, 4);
    out.eval();
    return out;
  };
  const array expected = attend();
  const JitModeScope off(JitMode::off);
  expect_close(attend(), expected, "interpreted");
}

TEST(QuantizedAttention, ADecodeStepCompilesOnce) {
  const Extents e{1, 4, 2, 1, 6, 64, 64};
  const CompiledFunction step = compile([](const std::vector<array>& in) {
    std::vector<array> caches;
    for (const size_t first : {size_t{0}, size_t{3}}) {
      const std::vector<array> parts = quantize(in[first == 0 ? 1 : 2], 32, 8);
      for (size_t i = 0; i < 3; ++i) caches.push_back(slice_update(in[4 + first + i], parts[i], in[3], {2}));
    }
    const array length = in[3] + array(1);
    std::vector<array> results{
        fast::attention_over_quantized_cache(in[0], {caches[0], caches[1], caches[2]},
                                             {caches[3], caches[4], caches[5]}, length, 0.2f, {}, 32, 8),
        length};
    results.insert(results.end(), caches.begin(), caches.end());
    return results;
  });
  std::vector<array> caches;
  for (int i = 0; i < 2; ++i) {
    caches.push_back(zeros({1, e.kv_heads, 6, 16}, uint32));
    caches.push_back(zeros({1, e.kv_heads, 6, 2}));
    caches.push_back(zeros({1, e.kv_heads, 6, 2}));
  }
  array length(0);
  std::vector<array> all_keys, all_values;
  for (int i = 0; i < 6; ++i) {
    const auto made = [&](int heads, int seed) {
      return random::normal({1, heads, 1, 64}, float32, random::key(static_cast<uint64_t>(seed + 3 * i)));
    };
    const array q = made(4, 0), k = made(2, 1), v = made(2, 2);
    std::vector<array> in{q, k, v, length};
    in.insert(in.end(), caches.begin(), caches.end());
    const std::vector<array> out = step(in);
    const auto rounded = [](const array& a) {
      const std::vector<array> parts = quantize(a, 32, 8);
      return dequantize(parts[0], parts[1], parts[2], 32, 8);
    };
    all_keys.push_back(rounded(k));
    all_values.push_back(rounded(v));
    expect_close(
        out[0],
        fast::scaled_dot_product_attention(q, concatenate(all_keys, 2), concatenate(all_values, 2), 0.2f),
        "step " + std::to_string(i));
    length = out[1];
    caches.assign(out.begin() + 2, out.end());
  }
  EXPECT_EQ(step.trace_count(), 1);
}

TEST(QuantizedAttention, GradientsOfQueriesScalesAndBiases) {
  for (const char* mode : {"", "causal"}) {
    const Heads x = make_heads({1, 4, 2, 3, 9, 64, 64}, {32, 8}, float32, float32);
    const auto loss = [&](const array& out) { return sum(square(out)); };
    const auto of_codes = [&](const std::vector<array>& in) {
      return loss(fast::quantized_scaled_dot_product_attention(
          in[0], {x.keys[0], in[1], in[2]}, {x.values[0], in[3], in[4]}, 0.2f, mode, {}, {}, 32, 8));
    };
    const auto of_elements = [&](const std::vector<array>& in) {
      const array k = dequantize(x.keys[0], in[1], in[2], 32, 8);
      const array v = dequantize(x.values[0], in[3], in[4], 32, 8);
      return loss(fast::scaled_dot_product_attention(in[0], k, v, 0.2f, mode));
    };
    const std::vector<array> at{x.q, x.keys[1], x.keys[2], x.values[1], x.values[2]};
    const std::vector<int> all{0, 1, 2, 3, 4};
    const auto actual = value_and_grad(of_codes, all)(at).second;
    const auto expected = value_and_grad(of_elements, all)(at).second;
    for (size_t i = 0; i < at.size(); ++i) {
      EXPECT_LT(max(abs(subtract(actual[i], expected[i]))).item<float>(),
                2e-3f * max(abs(expected[i])).item<float>())
          << "operand " << i;
    }
  }
}

TEST(QuantizedAttention, BatchesOfEverything) {
  const Heads x = make_heads({6, 4, 2, 3, 20, 64, 64}, {64, 4}, float32, float32);
  const auto members = [](const array& a) { return unflatten(a, 0, {3, 2}); };
  const auto attend = [](const std::vector<array>& in) {
    return std::vector<array>{fast::quantized_scaled_dot_product_attention(
        in[0], {in[1], in[2], in[3]}, {in[4], in[5], in[6]}, 0.2f, "causal", {}, {}, 64, 4)};
  };
  const std::vector<array> in{members(x.q),        members(x.keys[0]),   members(x.keys[1]),
                              members(x.keys[2]),  members(x.values[0]), members(x.values[1]),
                              members(x.values[2])};
  const array batched = vmap(attend)(in)[0];
  expect_close(flatten(batched, 0, 1), fast::scaled_dot_product_attention(x.q, x.k, x.v, 0.2f, "causal"),
               "vmap");
  // Queries alone.
  std::vector<array> shared;
  for (const array& a : in) shared.push_back(take(a, 0, 0));
  shared[0] = in[0];
  const array of_queries = vmap(attend, {0, -1, -1, -1, -1, -1, -1})(shared)[0];
  expect_close(take(of_queries, 0, 0), take(batched, 0, 0), "vmap over queries");
}

TEST(QuantizedAttention, Errors) {
  const Heads x = make_heads({2, 4, 2, 3, 5, 64, 64}, {64, 4}, float32, float32);
  const std::string name = "[quantized_scaled_dot_product_attention]";
  const auto attend = [&](const array& q, const std::vector<array>& k, const std::vector<array>& v,
                          const std::string& mode = "", std::optional<array> mask = {},
                          const std::optional<array>& sinks = {}, int group = 64, int bits = 4) {
    fast::quantized_scaled_dot_product_attention(q, k, v, 1.0f, mode, mask, sinks, group, bits);
  };
  expect_error([&] { attend(x.q, {x.keys[0], x.keys[1]}, x.values); }, name);
  expect_error([&] { attend(x.q, x.keys, {x.v}); }, name);
  expect_error([&] { attend(x.q, {x.k, x.keys[1], x.keys[2]}, x.values); }, name);
  expect_error([&] { attend(x.q, x.keys, x.values, "", {}, {}, 32); }, name);
  expect_error([&] { attend(x.q, x.keys, x.values, "", {}, {}, 48); }, name);
  expect_error([&] { attend(x.q, x.keys, x.values, "", {}, {}, 64, 7); }, name);
  expect_error([&] { attend(x.q, x.keys, x.values, "", {}, {}, 64, 8); }, name);
  expect_error([&] { attend(zeros({2, 4, 3, 32}), x.keys, x.values); }, name);
  expect_error([&] { attend(zeros({2, 3, 3, 64}), x.keys, x.values); }, name);
  expect_error([&] { attend(zeros({1, 4, 3, 64}), x.keys, x.values); }, name);
  expect_error([&] { attend(astype(x.q, float64), x.keys, x.values); }, name);
  expect_error([&] { attend(x.q, x.keys, x.values, "diagonal"); }, name);
  expect_error([&] { attend(x.q, x.keys, x.values, "array"); }, name);
  expect_error([&] { attend(x.q, x.keys, x.values, "causal", zeros({3, 5})); }, name);
  expect_error([&] { attend(x.q, x.keys, x.values, "", {}, zeros({3})); }, name);
  expect_error(
      [&] { fast::attention_over_quantized_cache(x.q, x.keys, x.values, array(1.0f), 1.0f, {}, 64, 4); },
      "[attention_over_quantized_cache]");
}

}  // namespace
}  // namespace lazuli::test
