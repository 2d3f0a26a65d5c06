// Quantization in MLX's affine format against loops over groups, and products with quantized matrices.

#include "helpers.h"

namespace lazuli::test {
namespace {

struct Quantized {
  std::vector<uint32_t> words;
  std::vector<double> scales;
  std::vector<double> biases;
};

/// The format by its definition: rows of groups, codes in a little-endian bit stream.
Quantized quantize_by_loops(const std::vector<double>& w, size_t columns, int group_size, int bits) {
  Quantized result;
  const float levels = static_cast<float>((1 << bits) - 1);
  const size_t words_per_row = columns * static_cast<size_t>(bits) / 32;
  result.words.assign(w.size() / columns * words_per_row, 0);
  for (size_t begin = 0; begin < w.size(); begin += static_cast<size_t>(group_size)) {
    float low = std::numeric_limits<float>::infinity();
    float high = -low;
    for (size_t i = begin; i < begin + static_cast<size_t>(group_size); ++i) {
      low = std::min(low, static_cast<float>(w[i]));
      high = std::max(high, static_cast<float>(w[i]));
    }
    const bool mask = std::abs(low) > std::abs(high);
    float scale = std::max((high - low) / levels, 1e-7f);
    if (!mask) scale = -scale;
    const float edge = mask ? low : high;
    const float q0 = std::rint(edge / scale);
    float bias = 0;
    if (q0 != 0) {
      scale = edge / q0;
      bias = edge;
    }
    result.scales.push_back(static_cast<double>(scale));
    result.biases.push_back(static_cast<double>(bias));
    for (size_t i = begin; i < begin + static_cast<size_t>(group_size); ++i) {
      const float q = std::min(std::max(std::rint((static_cast<float>(w[i]) - bias) / scale), 0.0f), levels);
      const size_t at = (i % columns) * static_cast<size_t>(bits);
      uint32_t* row = result.words.data() + i / columns * words_per_row;
      const uint64_t code = static_cast<uint64_t>(q) << (at % 32);
      row[at / 32] |= static_cast<uint32_t>(code);
      if (code >> 32 != 0) row[at / 32 + 1] |= static_cast<uint32_t>(code >> 32);
    }
  }
  return result;
}

array weights(Shape shape, Dtype dtype = float32) {
  std::vector<double> result;
  for (int64_t i = 0; i < element_count(shape); ++i) {
    result.push_back(std::sin(static_cast<double>(i) * 0.7) * (1 + static_cast<double>(i % 5)) * 0.1);
  }
  return make(result, std::move(shape), dtype);
}

TEST(Quantized, QuantizeMatchesTheDefinition) {
  for (int bits : {2, 3, 4, 5, 6, 8}) {
    for (int group_size : {32, 64, 128}) {
      const array w = weights({3, 256});
      const Quantized expected = quantize_by_loops(doubles(w), 256, group_size, bits);
      const std::vector<array> parts = quantize(w, group_size, bits);
      ASSERT_EQ(parts.size(), 3u);
      const std::string what = std::to_string(bits) + " bits in groups of " + std::to_string(group_size);
      expect_array(parts[0], {3, 8 * bits}, uint32,
                   std::vector<double>(expected.words.begin(), expected.words.end()), 0, what);
      expect_array(parts[1], {3, 256 / group_size}, float32, expected.scales, 0, what);
      expect_array(parts[2], {3, 256 / group_size}, float32, expected.biases, 0, what);
    }
  }
}

TEST(Quantized, DequantizeMatchesTheDefinition) {
  for (Dtype dtype : {float32, float16, bfloat16}) {
    for (int bits : {2, 3, 4, 5, 6, 8}) {
      const array w = weights({2, 3, 128}, dtype);
      const std::vector<array> parts = quantize(w, 32, bits);
      EXPECT_EQ(parts[1].dtype(), dtype);
      const std::vector<double> words = doubles(parts[0]);
      const std::vector<double> scales = doubles(parts[1]);
      const std::vector<double> biases = doubles(parts[2]);
      std::vector<double> expected;
      const size_t words_per_row = static_cast<size_t>(4 * bits);
      for (size_t i = 0; i < 6 * 128; ++i) {
        const size_t at = (i % 128) * static_cast<size_t>(bits);
        const size_t word = i / 128 * words_per_row + at / 32;
        uint64_t both = static_cast<uint64_t>(words[word]);
        if (at / 32 + 1 < words_per_row) both |= static_cast<uint64_t>(words[word + 1]) << 32;
        const auto code = static_cast<double>((both >> (at % 32)) & ((1u << bits) - 1));
        expected.push_back(scales[i / 32] * code + biases[i / 32]);
      }
      expect_array(dequantize(parts[0], parts[1], parts[2], 32, bits), {2, 3, 128}, dtype, expected,
                   rounding_of(dtype) + 1e-7, std::to_string(bits) + " bits");
      expect_array(dequantize(parts[0], parts[1], parts[2], 32, bits, "affine", std::nullopt, float32),
                   {2, 3, 128}, float32, expected, 1e-6);
    }
  }
}

TEST(Quantized, SpecialGroups) {
  // All zeros, all equal, one sign only: what was a multiple of the scale comes back exactly.
  const array w = concatenate({zeros({1, 64}), full({1, 64}, 3.0f), full({1, 64}, -2.0f),
                               reshape(arange(0.0, 64.0) / array(21.0f), {1, 64})},
                              0);
  const std::vector<array> parts = quantize(w, 64, 4);
  const array back = dequantize(parts[0], parts[1], parts[2], 64, 4);
  expect_array(slice(back, {0, 0}, {3, 64}), {3, 64}, float32, doubles(slice(w, {0, 0}, {3, 64})), 1e-6);
  expect_array(slice(back, {3, 0}, {4, 64}), {1, 64}, float32, doubles(slice(w, {3, 0}, {4, 64})), 0.11);
}

TEST(Quantized, MatmulFromTheOriginalLayout) {
  for (bool transpose : {true, false}) {
    for (int bits : {2, 3, 4, 5, 6, 8}) {
      for (Dtype dtype : {float32, bfloat16, float16}) {
        for (const Shape& lead : {Shape{}, Shape{1}, Shape{5}, Shape{2, 3}}) {
          const array w = weights({64, 128}, dtype);
          const std::vector<array> parts = quantize(w, 64, bits);
          const array exact =
              dequantize(parts[0], parts[1], parts[2], 64, bits, "affine", std::nullopt, float32);
          Shape x_shape = lead;
          x_shape.push_back(transpose ? 128 : 64);
          const array x = make_numbers(x_shape, dtype, 0.5);
          const array expected = matmul(astype(x, float32), transpose ? lazuli::transpose(exact) : exact);
          expect_array(quantized_matmul(x, parts[0], parts[1], parts[2], transpose, 64, bits),
                       expected.shape(), dtype, doubles(expected), 4 * rounding_of(dtype) + 1e-5,
                       std::to_string(bits) + " bits " + shape_to_string(lead));
        }
      }
    }
  }
}

/// A few rows straight from the codes, with lengths that end within a tile.
TEST(Quantized, MatmulOfFewRows) {
  for (const int bits : {4, 8}) {
    for (const int group : {32, 64, 128}) {
      for (const int groups : {1, 3, 9}) {
        for (const int n : {1, 4, 6}) {
          const int k = group * groups;
          const std::vector<array> parts = quantize(weights({n, k}), group, bits);
          const array exact =
              dequantize(parts[0], parts[1], parts[2], group, bits, "affine", std::nullopt, float64);
          for (const int m : {1, 2, 3, 4, 5, 8, 9}) {
            const array x = make_numbers({m, k}, float32, 0.5);
            expect_array(quantized_matmul(x, parts[0], parts[1], parts[2], true, group, bits), {m, n},
                         float32, doubles(matmul(astype(x, float64), transpose(exact))), 1e-5,
                         std::to_string(bits) + " bits, " + std::to_string(group) + " " + std::to_string(m));
          }
        }
      }
    }
  }
}

TEST(Quantized, MatmulOfStacks) {
  const array w = weights({3, 64, 64});
  const std::vector<array> parts = quantize(w, 32, 4);
  const array exact = dequantize(parts[0], parts[1], parts[2], 32, 4);
  const array x = make_numbers({2, 1, 4, 64});
  const array expected = matmul(x, swapaxes(exact, -1, -2));
  expect_array(quantized_matmul(x, parts[0], parts[1], parts[2], true, 32, 4), {2, 3, 4, 64}, float32,
               doubles(expected), 1e-5);
}

TEST(Quantized, MatmulWithPackedWeights) {
  for (int bits : {2, 3, 4, 5, 6, 8}) {
    for (int rows : {1, 16, 37}) {
      const array w = weights({rows, 128});
      const std::vector<array> parts = quantize(w, 64, bits);
      const array exact = dequantize(parts[0], parts[1], parts[2], 64, bits);
      const array packed = pack_quantized(parts[0], parts[1], parts[2], 64, bits);
      EXPECT_EQ(packed.dtype(), uint8);
      const array x = make_numbers({2, 3, 128}, float32, 0.5);
      const std::vector<double> expected = doubles(matmul(x, transpose(exact)));
      const std::string what = std::to_string(bits) + " bits, " + std::to_string(rows) + " rows";
      expect_array(packed_quantized_matmul(x, packed, rows, 128, 64, bits), {2, 3, rows}, float32, expected,
                   2e-5, what);
      // int8 activations: each is off by at most half a step, 1/254 of the group's largest.
      const array rough = packed_quantized_matmul(x, packed, rows, 128, 64, bits, QuantizedActivations::int8);
      expect_array(rough, {2, 3, rows}, float32, expected, 0.1, what);
    }
  }
}

TEST(Quantized, EmbeddingRows) {
  const array w = weights({10, 64}, bfloat16);
  const std::vector<array> parts = quantize(w, 32, 4);
  const array all = dequantize(parts[0], parts[1], parts[2], 32, 4);
  const array ids = make({3, 9, 3, 0}, {2, 2}, int32);
  expect_array(quantized_take(parts[0], parts[1], parts[2], ids, 32, 4), {2, 2, 64}, bfloat16,
               doubles(take(all, ids, 0)));
}

TEST(Quantized, RowsOfPackedWeights) {
  for (const Dtype dtype : {float32, bfloat16, float16}) {
    for (const int bits : {2, 3, 4, 5, 6, 8}) {
      for (const int group : {32, 64, 128}) {
        SCOPED_TRACE(std::to_string(bits) + " bits, groups of " + std::to_string(group));
        const std::vector<array> parts = quantize(weights({37, 256}, dtype), group, bits);
        const array packed = pack_quantized(parts[0], parts[1], parts[2], group, bits);
        const array ids = make({36, 0, 15, 16, 16, 31}, {3, 2}, int32);
        const array expected =
            dequantize(parts[0], astype(parts[1], float32), astype(parts[2], float32), group, bits);
        expect_array(packed_quantized_take(packed, ids, 256), {3, 2, 256}, float32,
                     doubles(take(expected, ids, 0)), 1e-6);
        expect_array(packed_quantized_take(packed, ids, 256, bfloat16), {3, 2, 256}, bfloat16,
                     doubles(take(expected, ids, 0)), 0.008);
      }
    }
  }
  const std::vector<array> parts = quantize(weights({20, 64}), 64, 4);
  const array packed = pack_quantized(parts[0], parts[1], parts[2], 64, 4);
  EXPECT_EQ(packed_quantized_take(packed, make({}, {0}, int32), 64).size(), 0u);
  EXPECT_THROW(packed_quantized_take(packed, make({20}, {1}, int32), 64).eval(), std::invalid_argument);
  EXPECT_THROW(packed_quantized_take(packed, make({-1}, {1}, int32), 64).eval(), std::invalid_argument);
  EXPECT_THROW(packed_quantized_take(packed, make({1}, {1}, int32), 32).eval(), std::invalid_argument);
  EXPECT_THROW(packed_quantized_take(packed, make({1}, {1}, int32), 128).eval(), std::invalid_argument);
  EXPECT_THROW(packed_quantized_take(packed, make({1}, {1}, float32), 64), std::invalid_argument);
  // A matrix that is not what the caller says it is.
  EXPECT_THROW(packed_quantized_matmul(zeros({1, 128}), packed, 20, 128, 64, 4).eval(),
               std::invalid_argument);
  EXPECT_THROW(packed_quantized_matmul(zeros({1, 64}), packed, 40, 64, 64, 4).eval(), std::invalid_argument);
  EXPECT_THROW(packed_quantized_take(parts[0], make({1}, {1}, int32), 64), std::invalid_argument);
}

TEST(Quantized, CompiledForAnyNumberOfRows) {
  const array w = weights({48, 64});
  const std::vector<array> parts = quantize(w, 64, 4);
  eval(parts);
  const CompiledFunction f = compile([&](const std::vector<array>& in) {
    const array packed = pack_quantized(parts[0], parts[1], parts[2], 64, 4);
    return std::vector<array>{packed_quantized_matmul(in[0], packed, 48, 64, 64, 4),
                              quantized_matmul(in[0], parts[0], parts[1], parts[2], true, 64, 4)};
  });
  const array exact = dequantize(parts[0], parts[1], parts[2], 64, 4);
  for (int n : {2, 7}) {
    const array x = make_numbers({n, 64});
    const std::vector<double> expected = doubles(matmul(x, transpose(exact)));
    const std::vector<array> out = f({x});
    expect_array(out[0], {n, 48}, float32, expected, 2e-5);
    expect_array(out[1], {n, 48}, float32, expected, 2e-5);
  }
  EXPECT_EQ(f.trace_count(), 1);
}

TEST(Quantized, Errors) {
  const array w = weights({4, 64});
  const std::vector<array> parts = quantize(w);
  expect_error([&] { quantize(w, 48); }, "[quantize]");
  expect_error([&] { quantize(w, 64, 7); }, "[quantize]");
  expect_error([&] { quantize(w, 64, 4, "mxfp4"); }, "[quantize]");
  expect_error([&] { quantize(w, 128); }, "[quantize]");
  expect_error([&] { quantize(zeros({64})); }, "[quantize]");
  expect_error([&] { quantize(zeros({4, 64}, int32)); }, "[quantize]");
  expect_error([&] { dequantize(parts[0], parts[1]); }, "[dequantize]");
  expect_error([&] { dequantize(parts[0], parts[1], parts[2], 32); }, "[dequantize]");
  expect_error([&] { dequantize(parts[1], parts[1], parts[2]); }, "[dequantize]");
  expect_error([&] { quantized_matmul(zeros({2, 32}), parts[0], parts[1], parts[2]); }, "[quantized_matmul]");
  expect_error(
      [&] {
        quantized_matmul(zeros({2, 64}, int32), parts[0], astype(parts[1], float64),
                         astype(parts[2], float64));
      },
      "[quantized_matmul]");
  const array packed = pack_quantized(parts[0], parts[1], parts[2]);
  expect_error(
      [&] {
        packed_quantized_matmul(zeros({2, 32}), packed, 4, 64, 64, 4);
      },
      "[packed_quantized_matmul]");
  expect_error(
      [&] {
        packed_quantized_matmul(zeros({2, 64}), w, 4, 64, 64, 4);
      },
      "[packed_quantized_matmul]");
}

}  // namespace
}  // namespace lazuli::test
