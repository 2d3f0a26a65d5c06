// Quantization with floating point elements: against the formats' definitions, written out here.

#include <bit>
#include <cmath>

#include "helpers.h"

namespace lazuli::test {
namespace {

struct Mode {
  std::string name;
  int group_size;
  int bits;
};

const std::vector<Mode>& modes() {
  static const std::vector<Mode> all{{"mxfp4", 32, 4}, {"mxfp8", 32, 8}, {"nvfp4", 16, 4}};
  return all;
}

/// A number with sign, exponent and fraction, without infinities.
float small_float(int code, int exponent_bits, int fraction_bits, int bias) {
  const int fraction = code & ((1 << fraction_bits) - 1);
  const int exponent = (code >> fraction_bits) & ((1 << exponent_bits) - 1);
  const bool negative = (code >> (fraction_bits + exponent_bits)) != 0;
  const float part = std::ldexp(static_cast<float>(fraction), -fraction_bits);
  const float value = exponent == 0 ? std::ldexp(part, 1 - bias) : std::ldexp(1 + part, exponent - bias);
  return negative ? -value : value;
}

float e2m1(int code) {
  return small_float(code, 2, 1, 1);
}
float e4m3(int code) {
  if ((code & 0x7f) == 0x7f) return std::numeric_limits<float>::quiet_NaN();
  return small_float(code, 4, 3, 7);
}
float e8m0(int code) {
  return code == 255 ? std::numeric_limits<float>::infinity() : std::ldexp(1.0f, code - 127);
}
float element(const Mode& mode, int code) {
  return mode.bits == 4 ? e2m1(code) : e4m3(code);
}
float scale(const Mode& mode, int byte) {
  return mode.name == "nvfp4" ? e4m3(byte) : e8m0(byte);
}

/// The nearest code by trying all; of two that are as near, the even one.
int nearest(float x, int count, float (*value)(int)) {
  int best = count / 2 - (std::isnan(value(count / 2 - 1)) ? 2 : 1);
  if (std::abs(x) >= value(best)) return std::signbit(x) ? best + count / 2 : best;
  best = 0;
  for (int code = 0; code < count / 2; ++code) {
    const float at = value(code);
    if (std::isnan(at)) continue;
    const double far = std::abs(std::abs(static_cast<double>(x)) - at);
    const double so_far = std::abs(std::abs(static_cast<double>(x)) - value(best));
    if (far < so_far || (far == so_far && code % 2 == 0)) best = code;
  }
  return std::signbit(x) ? best + count / 2 : best;
}

struct Quantized {
  std::vector<uint32_t> words;
  std::vector<double> scales;
  std::vector<double> values;
};

Quantized quantize_by_loops(const Mode& mode, const std::vector<double>& w, float unit = 1) {
  Quantized result;
  const int per_word = 32 / mode.bits;
  result.words.assign(w.size() / static_cast<size_t>(per_word), 0);
  for (size_t begin = 0; begin < w.size(); begin += static_cast<size_t>(mode.group_size)) {
    float largest = 0;
    for (int i = 0; i < mode.group_size; ++i) {
      largest = std::max(largest, std::abs(static_cast<float>(w[begin + static_cast<size_t>(i)])));
    }
    const float wanted = largest / (mode.bits == 4 ? 6.0f : 448.0f);
    int byte = 0;
    if (mode.name == "nvfp4") {
      byte = nearest(wanted / unit, 256, e4m3);
    } else {
      byte =
          std::clamp(static_cast<int>(std::round(std::log2(static_cast<double>(wanted)))), -127, 127) + 127;
      if (wanted == 0) byte = 0;
    }
    result.scales.push_back(byte);
    const float s = scale(mode, byte) * unit;
    for (int i = 0; i < mode.group_size; ++i) {
      const size_t at = begin + static_cast<size_t>(i);
      const float x = s == 0 ? 0.0f : static_cast<float>(w[at]) / s;
      const int code = mode.bits == 4 ? nearest(x, 16, e2m1) : nearest(x, 256, e4m3);
      result.words[at / static_cast<size_t>(per_word)] |=
          static_cast<uint32_t>(code)
          << (at % static_cast<size_t>(per_word) * static_cast<size_t>(mode.bits));
      result.values.push_back(static_cast<double>(element(mode, code) * s));
    }
  }
  return result;
}

void expect_words(const array& found, const std::vector<uint32_t>& expected, const std::string& what) {
  ASSERT_EQ(found.dtype(), uint32) << what;
  const std::vector<uint32_t> got = values<uint32_t>(found);
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], expected[i]) << what << " word " << i;
}

TEST(FloatQuantized, EveryCodeWithEveryScale) {
  for (const Mode& mode : modes()) {
    const int codes = 1 << mode.bits;
    const int per_word = 32 / mode.bits;
    const int groups = std::max(codes / mode.group_size, 1);
    std::vector<uint32_t> words(static_cast<size_t>(256 * groups * mode.group_size / per_word), 0);
    std::vector<double> scales;
    std::vector<double> expected;
    for (int byte = 0; byte < 256; ++byte) {
      for (int i = 0; i < groups * mode.group_size; ++i) {
        const int code = i % codes;
        const int at = byte * groups * mode.group_size + i;
        words[static_cast<size_t>(at / per_word)] |= static_cast<uint32_t>(code)
                                                     << (at % per_word * mode.bits);
        if (i % mode.group_size == 0) scales.push_back(byte);
        expected.push_back(static_cast<double>(element(mode, code) * scale(mode, byte)));
      }
    }
    const array w(words.begin(), {256, groups * mode.group_size / per_word});
    const array s = make(scales, {256, groups}, uint8);
    const array found =
        dequantize(w, s, std::nullopt, std::nullopt, std::nullopt, mode.name, std::nullopt, float32);
    expect_array(found, {256, groups * mode.group_size}, float32, expected, 0, mode.name);
  }
}

TEST(FloatQuantized, RoundsAsDefined) {
  for (const Mode& mode : modes()) {
    for (const Dtype dtype : {float32, float16, bfloat16}) {
      for (const Shape& shape : {Shape{1, 32}, Shape{5, 96}, Shape{2, 3, 64}, Shape{0, 32}, Shape{3, 0}}) {
        const array w = make_numbers(shape, dtype, 0.7);
        const Quantized expected = quantize_by_loops(mode, doubles(w));
        const std::vector<array> parts = quantize(w, std::nullopt, std::nullopt, mode.name);
        ASSERT_EQ(parts.size(), 2u);
        expect_words(parts[0], expected.words, mode.name);
        Shape of_scales = shape;
        of_scales.back() = shape.back() / mode.group_size;
        expect_array(parts[1], of_scales, uint8, expected.scales, 0, mode.name);
        const array back = dequantize(parts[0], parts[1], std::nullopt, mode.group_size, mode.bits, mode.name,
                                      std::nullopt, float32);
        expect_array(back, shape, float32, expected.values, 0, mode.name);
        ASSERT_EQ(dequantize(parts[0], parts[1], std::nullopt, std::nullopt, std::nullopt, mode.name).dtype(),
                  bfloat16);
      }
    }
  }
}

TEST(FloatQuantized, NumbersOfTheFormatStayAsTheyAre) {
  for (const Mode& mode : modes()) {
    const int codes = 1 << mode.bits;
    std::vector<double> w;
    // Groups with the largest element, scaled by powers of two that both kinds of scale have.
    for (int group = 0; group < 12; ++group) {
      for (int i = 0; i < mode.group_size; ++i) {
        int code = i == 0 ? (mode.bits == 4 ? 7 : 0x7e) : (group * 37 + i * 11) % codes;
        if (mode.bits == 8 && (code & 0x7f) == 0x7f) code = 0x80;
        w.push_back(std::ldexp(static_cast<double>(element(mode, code)), group - 6));
      }
    }
    const array x = make(w, {3, 4 * mode.group_size});
    const std::vector<array> parts = quantize(x, std::nullopt, std::nullopt, mode.name);
    const array back = dequantize(parts[0], parts[1], std::nullopt, std::nullopt, std::nullopt, mode.name,
                                  std::nullopt, float32);
    const std::vector<float> before = values<float>(x);
    const std::vector<float> after = values<float>(back);
    for (size_t i = 0; i < before.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(before[i]), std::bit_cast<uint32_t>(after[i]))
          << mode.name << " " << i;
    }
  }
}

TEST(FloatQuantized, OddNumbers) {
  // Zeros, and the smallest numbers there are.
  for (const Mode& mode : modes()) {
    for (const double number : {0.0, 1e-44, 1e-38, 3e38}) {
      const array w = full({1, 32}, array(number, float32), float32);
      const Quantized expected = quantize_by_loops(mode, doubles(w));
      const std::vector<array> parts = quantize(w, std::nullopt, std::nullopt, mode.name);
      expect_array(parts[1], {1, 32 / mode.group_size}, uint8, expected.scales, 0, mode.name);
      if (number != 1e-44) expect_words(parts[0], expected.words, mode.name + " " + std::to_string(number));
    }
    // A group with what isn't finite says so; others are as they are.
    for (const double bad : {infinity, not_a_number}) {
      std::vector<double> elements = numbers(64);
      elements[40] = bad;
      const std::vector<array> parts =
          quantize(make(elements, {2, 32}), std::nullopt, std::nullopt, mode.name);
      const array back = dequantize(parts[0], parts[1], std::nullopt, std::nullopt, std::nullopt, mode.name,
                                    std::nullopt, float32);
      const std::vector<double> found = doubles(back);
      const Quantized expected = quantize_by_loops(mode, numbers(32));
      for (size_t i = 0; i < 32; ++i) EXPECT_EQ(found[i], expected.values[i]) << mode.name;
      EXPECT_TRUE((mode.name == "nvfp4" && !std::isnan(bad)) || !std::isfinite(found[40])) << mode.name;
    }
  }
}

TEST(FloatQuantized, GlobalScale) {
  const Mode& mode = modes()[2];
  const array w = make_numbers({4, 64}, float32, 1e-4);
  const array largest = max(abs(w));
  const float unit = largest.item<float>() / (448.0f * 6.0f);
  const Quantized expected = quantize_by_loops(mode, doubles(w), unit);
  const std::vector<array> parts = quantize(w, std::nullopt, std::nullopt, "nvfp4", largest);
  expect_array(parts[1], {4, 4}, uint8, expected.scales);
  expect_words(parts[0], expected.words, "global scale");
  const array back =
      dequantize(parts[0], parts[1], std::nullopt, std::nullopt, std::nullopt, "nvfp4", largest, float32);
  expect_array(back, {4, 64}, float32, expected.values, 1e-6);
  expect_error([&] { quantize(w, std::nullopt, std::nullopt, "mxfp4", largest); }, "[quantize] ");
  expect_error([&] { quantize(w, std::nullopt, std::nullopt, "nvfp4", ones({2})); }, "[quantize] ");
  expect_error([&] { quantize(w, std::nullopt, std::nullopt, "nvfp4", array(1)); }, "[quantize] ");
}

TEST(FloatQuantized, Products) {
  for (const Mode& mode : modes()) {
    for (const Dtype dtype : {float32, float16, bfloat16}) {
      const array w = make_numbers({64, 96}, float32, 0.5);
      const std::vector<array> parts = quantize(w, std::nullopt, std::nullopt, mode.name);
      const array plain = dequantize(parts[0], parts[1], std::nullopt, std::nullopt, std::nullopt, mode.name,
                                     std::nullopt, dtype);
      const double tolerance = dtype == float32 ? 1e-5 : 4 * rounding_of(dtype);
      for (const bool transposed : {true, false}) {
        const int k = transposed ? 96 : 64;
        for (const Shape& shape : {Shape{k}, Shape{1, k}, Shape{2, 3, k}, Shape{0, k}}) {
          const array x = make_numbers(shape, dtype, 0.3);
          const array found = quantized_matmul(x, parts[0], parts[1], std::nullopt, transposed, std::nullopt,
                                               std::nullopt, mode.name);
          const array expected = matmul(x, transposed ? transpose(plain) : plain);
          expect_array(found, expected.shape(), dtype, doubles(expected), tolerance, mode.name);
        }
      }
    }
    // Chosen from a stack.
    const array stack_of = make_numbers({3, 32, 64}, float32, 0.5);
    const std::vector<array> parts = quantize(stack_of, std::nullopt, std::nullopt, mode.name);
    const array plain = dequantize(parts[0], parts[1], std::nullopt, std::nullopt, std::nullopt, mode.name,
                                   std::nullopt, float32);
    const array x = make_numbers({4, 2, 64});
    const array which = make({2, 0, 2, 1}, {4}, uint32);
    const array found = gather_qmm(x, parts[0], parts[1], std::nullopt, std::nullopt, which, true,
                                   std::nullopt, std::nullopt, mode.name);
    const array expected = matmul(x, swapaxes(take(plain, which, 0), 1, 2));
    expect_array(found, expected.shape(), float32, doubles(expected), 1e-5, mode.name);
    // Both sides rounded.
    const array y = make_numbers({5, 64}, float32, 0.4);
    const auto rounded = [&](const array& a) {
      const Quantized of = quantize_by_loops(mode, doubles(a));
      return make(of.values, a.shape());
    };
    const array one = take(stack_of, 1, 0);
    const std::vector<array> of_one = quantize(one, std::nullopt, std::nullopt, mode.name);
    const array both = matmul(rounded(y), transpose(rounded(one)));
    expect_array(qqmm(y, one, std::nullopt, std::nullopt, std::nullopt, mode.name), {5, 32}, float32,
                 doubles(both), 1e-5, mode.name);
    expect_array(qqmm(y, of_one[0], of_one[1], std::nullopt, std::nullopt, mode.name), {5, 32}, float32,
                 doubles(both), 1e-5, mode.name);
    const array gathered =
        gather_qqmm(x, stack_of, std::nullopt, std::nullopt, which, std::nullopt, std::nullopt, mode.name);
    const array gathered_expected =
        matmul(reshape(rounded(x), x.shape()), swapaxes(take(rounded(stack_of), which, 0), 1, 2));
    expect_array(gathered, {4, 2, 32}, float32, doubles(gathered_expected), 1e-5, mode.name);
    // Gradients: of the product with the matrix as it was rounded.
    const array g = make_numbers({5, 32});
    const ArrayFunction product = [&](const std::vector<array>& in) {
      return std::vector<array>{qqmm(in[0], in[1], std::nullopt, std::nullopt, std::nullopt, mode.name)};
    };
    const std::vector<array> gradients = vjp(product, {y, one}, {g}).second;
    expect_array(gradients[0], {5, 64}, float32, doubles(matmul(g, rounded(one))), 1e-5, mode.name);
    expect_array(gradients[1], {32, 64}, float32, doubles(matmul(transpose(g), rounded(y))), 1e-5, mode.name);
    const ArrayFunction quantized = [&](const std::vector<array>& in) {
      return std::vector<array>{quantized_matmul(in[0], of_one[0], of_one[1], std::nullopt, true,
                                                 std::nullopt, std::nullopt, mode.name)};
    };
    expect_array(vjp(quantized, {y}, {g}).second[0], {5, 64}, float32, doubles(matmul(g, rounded(one))),
                 1e-5);
    expect_array(vmap(quantized)({y})[0], {5, 32}, float32, doubles(matmul(y, transpose(rounded(one)))),
                 1e-5);
  }
  // With global scales.
  const array y = make_numbers({5, 64}, float32, 3e-5);
  const array w = make_numbers({32, 64}, float32, 2e-4);
  const array of_y = max(abs(y));
  const array of_w = max(abs(w));
  const array found = qqmm(y, w, std::nullopt, std::nullopt, std::nullopt, "nvfp4", of_y, of_w) * array(1e8f);
  const auto rounded = [&](const array& a, const array& largest) {
    return make(quantize_by_loops(modes()[2], doubles(a), largest.item<float>() / 2688.0f).values, a.shape());
  };
  const array expected = matmul(rounded(y, of_y), transpose(rounded(w, of_w))) * array(1e8f);
  expect_array(found, {5, 32}, float32, doubles(expected), 1e-4);
}

/// Straight from the codes: few and many rows, lengths that end within a tile, rows that are no multiple of
/// those that are taken at a time.
TEST(FloatQuantized, ProductsOfAllShapes) {
  for (const Mode& mode : modes()) {
    for (const int k : {mode.group_size, 96, 128, 224, 288, 1056}) {
      for (const int n : {1, 3, 4, 33}) {
        const array w = make_numbers({n, k}, float32, 0.5);
        const std::vector<array> parts = quantize(w, std::nullopt, std::nullopt, mode.name);
        const array plain = dequantize(parts[0], parts[1], std::nullopt, std::nullopt, std::nullopt,
                                       mode.name, std::nullopt, float64);
        for (const int m : {1, 2, 3, 4, 5, 7, 8, 9, 17}) {
          const array x = make_numbers({m, k}, float32, 0.3);
          const auto product = [&](const array& of) {
            return quantized_matmul(of, parts[0], parts[1], std::nullopt, true, std::nullopt, std::nullopt,
                                    mode.name);
          };
          const array expected = matmul(astype(x, float64), transpose(plain));
          SCOPED_TRACE(mode.name + " " + std::to_string(m) + " " + std::to_string(n) + " " +
                       std::to_string(k));
          expect_array(product(x), {m, n}, float32, doubles(expected), 1e-5);
          for (const Dtype dtype : {float16, bfloat16}) {
            const array rounded = astype(x, dtype);
            expect_array(product(rounded), {m, n}, dtype,
                         doubles(matmul(astype(rounded, float64), transpose(plain))), 4 * rounding_of(dtype));
          }
          if (m == 2) expect_array(product(astype(x, float64)), {m, n}, float64, doubles(expected), 1e-12);
        }
        // Each of a stack with its own rows, and all with the same.
        const array codes = stack(std::vector<array>(3, parts[0])),
                    scales = stack(std::vector<array>(3, parts[1]));
        const array x = make_numbers({3, 2, k}, float32, 0.3);
        for (const array& of : {x, take(x, 1, 0)}) {
          expect_array(
              quantized_matmul(of, codes, scales, std::nullopt, true, std::nullopt, std::nullopt, mode.name),
              {3, 2, n}, float32,
              doubles(broadcast_to(matmul(astype(of, float64), transpose(plain)), {3, 2, n})), 1e-5);
        }
      }
    }
  }
}

/// What is no number, or infinite, is so in the product as well, in its rows and no others.
TEST(FloatQuantized, ProductsWithOddNumbers) {
  const array x = ones({2, 64});
  for (const Mode& mode : modes()) {
    const std::vector<array> parts = quantize(full({6, 64}, 6.0f), std::nullopt, std::nullopt, mode.name);
    const auto product = [&](const array& codes, const array& scales, const array& of) {
      return take(
          quantized_matmul(of, codes, scales, std::nullopt, true, std::nullopt, std::nullopt, mode.name), 1,
          0);
    };
    const auto with = [](const array& a, uint32_t value) {
      return slice_update(a, array({value}, {1, 1}, a.dtype()), {4, 1}, {5, 2});
    };
    if (mode.bits == 8) {
      const array found = product(with(parts[0], 0x38ff3838), parts[1], x);
      expect_array(found, {6}, float32, {384, 384, 384, 384, not_a_number, 384}, 1e-6, mode.name);
    }
    const double bad = mode.name == "nvfp4" ? not_a_number : infinity;
    expect_array(product(parts[0], with(parts[1], 255), x), {6}, float32, {384, 384, 384, 384, bad, 384},
                 1e-6, mode.name);
    expect_array(product(parts[0], with(parts[1], 255), astype(x, bfloat16)), {6}, bfloat16,
                 {384, 384, 384, 384, bad, 384}, 1e-2, mode.name);
    const array y = slice_update(x, array({infinity}, {1, 1}), {1, 7}, {2, 8});
    expect_array(product(parts[0], parts[1], y), {6}, float32, std::vector<double>(6, infinity), 0,
                 mode.name);
    // Groups of zeros have the smallest scale there is.
    const std::vector<array> zero = quantize(zeros({2, 64}), std::nullopt, std::nullopt, mode.name);
    expect_array(product(zero[0], zero[1], x), {2}, float32, {0, 0}, 0, mode.name);
  }
}

TEST(FloatQuantized, Errors) {
  const array w = ones({2, 64});
  const std::vector<array> parts = quantize(w, std::nullopt, std::nullopt, "mxfp4");
  const auto none = std::nullopt;
  expect_error([&] { quantize(w, 64, none, "mxfp4"); }, "[quantize] ");
  expect_error([&] { quantize(w, none, 8, "nvfp4"); }, "[quantize] ");
  expect_error([&] { quantize(w, none, none, "fp3"); }, "[quantize] ");
  expect_error([&] { quantize(ones({2, 40}), none, none, "mxfp8"); }, "[quantize] ");
  expect_error([&] { quantize(ones({64}), none, none, "mxfp8"); }, "[quantize] ");
  expect_error([&] { quantize(ones({2, 64}, int32), none, none, "mxfp8"); }, "[quantize] ");
  expect_error([&] { dequantize(parts[0], parts[1], ones({2, 2}), none, none, "mxfp4"); }, "[dequantize] ");
  expect_error([&] { dequantize(parts[0], parts[1], none, none, none, "mxfp8"); }, "[dequantize] ");
  expect_error([&] { dequantize(parts[0], ones({2, 2}), none, none, none, "mxfp4"); }, "[dequantize] ");
  expect_error([&] { dequantize(ones({2, 8}), parts[1], none, none, none, "mxfp4"); }, "[dequantize] ");
  expect_error([&] { quantized_matmul(ones({3}), parts[0], parts[1], none, true, none, none, "mxfp4"); },
               "[quantized_matmul] ");
  expect_error(
      [&] {
        quantized_matmul(w, parts[0], parts[1], ones({2, 2}), true, none, none, "mxfp4");
      },
      "[quantized_matmul] ");
  expect_error(
      [&] {
        quantized_matmul(ones({2, 64}, int32), parts[0], parts[1], none, true, none, none, "mxfp4");
      },
      "[quantized_matmul] ");
  expect_error([&] { qqmm(w, w, none, none, none, "affine"); }, "[qqmm] ");
  expect_error([&] { qqmm(w, ones({64})); }, "[qqmm] ");
  expect_error([&] { qqmm(ones({2, 32}), w); }, "[qqmm] ");
  expect_error([&] { gather_qqmm(w, w, none, none, none, none, none, "affine"); }, "[gather_qqmm] ");
}

}  // namespace
}  // namespace lazuli::test
