#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <lazuli/array/half.h>
#include <lazuli/compiler/interpreter/interpreter.h>
#include <lazuli/compiler/kernel_ir/precision.h>
#include <lazuli/lazuli.h>

#include "support/compiled_kernel.h"
#include "support/settings_scope.h"

/// Kernels on float16 and bfloat16: short functions, and how values are packed.
namespace lazuli {
namespace {

using testing::Compiled;

constexpr size_t every_value = 1 << 16;

float widen(uint16_t bits, Dtype dtype) {
  return dtype == float16 ? half_detail::float16_bits_to_float(bits)
                          : std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// All values of the dtype, and a few more, so that no vector is full at the end.
std::vector<uint16_t> all_values(size_t count = every_value + 21) {
  std::vector<uint16_t> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<uint16_t>(i);
  return values;
}

std::string elementwise(Dtype dtype, const std::string& body) {
  const std::string name(dtype_name(dtype));
  return "kernel parallel\na0 input " + name + " unit\na1 output " + name +
         " unit\nblock\n  %0 = load.float32 a0\n" + body;
}

constexpr kir::MathForm forms[] = {kir::MathForm::polynomials, kir::MathForm::tables};

std::vector<uint16_t> interpret(const std::string& text, const std::vector<uint16_t>& x,
                                kir::MathForm form = kir::MathForm::polynomials) {
  std::vector<uint16_t> result(x.size());
  const auto n = static_cast<int64_t>(x.size());
  std::byte* pointers[] = {reinterpret_cast<std::byte*>(const_cast<uint16_t*>(x.data())),
                           reinterpret_cast<std::byte*>(result.data())};
  const int64_t strides[] = {1, 1};
  InterpretedKernel(kir::expand_math(kir::parse(text), form))
      .run({&n, pointers, strides}, nullptr, 0, 1, 0, n);
  return result;
}

struct ShortFunction {
  const char* name;
  const char* body;
  long double (*reference)(long double);
};

const ShortFunction functions[] = {
    {"exp", "  %1 = exp.float32 %0\n  store.float32 a1, %1", [](long double x) { return std::exp(x); }},
    {"sigmoid", "  %1 = sigmoid.float32 %0\n  store.float32 a1, %1",
     [](long double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }},
    {"tanh", "  %1 = tanh.float32 %0\n  store.float32 a1, %1", [](long double x) { return std::tanh(x); }},
    {"erf", "  %1 = erf.float32 %0\n  store.float32 a1, %1", [](long double x) { return std::erf(x); }},
    {"erf_plus_1",
     "  %1 = erf.float32 %0\n  %2 = constant.float32 0x3f800000\n  %3 = add.float32 %1, %2\n"
     "  store.float32 a1, %3",
     [](long double x) { return std::erfc(-x); }},
    {"gelu_of_half",
     "  %1 = constant.float32 0x3f000000\n  %2 = mul.float32 %0, %1\n  %3 = constant.float32 0x3fb504f3\n"
     "  %4 = div.float32 %0, %3\n  %5 = erf.float32 %4\n  %6 = constant.float32 0x3f800000\n"
     "  %7 = add.float32 %5, %6\n  %8 = mul.float32 %7, %2\n  store.float32 a1, %8",
     [](long double x) { return x * std::erfc(-x * std::sqrt(0.5L)) / 2; }},
};

class ShortFunctions : public ::testing::TestWithParam<ShortFunction> {};

/// Rounded to nearest but for a few hundredths of a unit, at every value.
void expect_nearly_correct(const ShortFunction& function, kir::MathForm form) {
  for (const Dtype dtype : {Dtype(float16), Dtype(bfloat16)}) {
    const int digits = dtype == float16 ? 11 : 8;
    const int least_exponent = dtype == float16 ? -13 : -125;  // as frexp gives it
    const std::vector<uint16_t> x = all_values();
    const std::vector<uint16_t> y = interpret(elementwise(dtype, function.body), x, form);
    for (size_t i = 0; i < x.size(); ++i) {
      const float argument = widen(x[i], dtype), result = widen(y[i], dtype);
      const long double expected = function.reference(argument);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(result)) << argument;
        continue;
      }
      const bool gelu = std::string(function.name).starts_with("gelu");
      // As x plus what is nearly -x, products of next to nothing may lose their sign.
      if (!gelu || form == kir::MathForm::polynomials || expected < -2e-5L) {
        ASSERT_EQ(std::signbit(result), std::signbit(static_cast<float>(expected))) << argument;
      }
      int exponent;
      std::frexp(expected, &exponent);
      const long double unit = std::ldexp(1.0L, std::max(exponent, least_exponent) - digits);
      const long double greatest = widen(dtype == float16 ? 0x7bff : 0x7f7f, dtype);
      if (std::fabs(expected) > greatest) {
        ASSERT_EQ(result, std::copysign(std::numeric_limits<float>::infinity(), expected)) << argument;
        continue;
      }
      // 1 + erf(y) is only so accurate while it is not tiny.
      const bool erf_plus_1 = gelu || std::string(function.name) == "erf_plus_1";
      const long double of_erf = gelu ? argument * std::sqrt(0.5L) : static_cast<long double>(argument);
      const long double times = gelu ? std::min(std::fabs(argument) / 2, 8.0F) : 1;
      const bool tiny = erf_plus_1 && std::erfc(-of_erf) < 2e-5L;
      if (!tiny && std::fabs(expected) < 0x1p-126L) {  // may have become 0
        ASSERT_LE(std::fabs(result), 0x1p-126F) << argument;
        continue;
      }
      long double allowed =
          tiny ? (of_erf > -6 ? 0.02L * std::fabs(expected) : 1e-17L * times) + unit : 0.565L * unit;
      // By tables it is the sum of erf and 1.
      if (form == kir::MathForm::tables && erf_plus_1) allowed = 0.565L * unit + 0x1p-23L * times;
      ASSERT_LE(std::fabs(result - expected), allowed) << argument << " " << expected;
    }
  }
}

TEST_P(ShortFunctions, RoundNearlyAlwaysCorrectly) {
  for (const kir::MathForm form : forms) expect_nearly_correct(GetParam(), form);
}

TEST_P(ShortFunctions, AreTheSameInGeneratedCode) {
  for (const auto& [dtype, form] :
       {std::pair(Dtype(float16), forms[0]), std::pair(Dtype(bfloat16), forms[0]),
        std::pair(Dtype(float16), forms[1]), std::pair(Dtype(bfloat16), forms[1])}) {
    const std::string text = elementwise(dtype, GetParam().body);
    const std::vector<uint16_t> x = all_values();
    std::vector<uint16_t> y(x.size());
    const Compiled kernel(kir::expand_math(kir::parse(text), form));
    kernel.run({static_cast<int64_t>(x.size())}, {{x.data(), {1}}, {y.data(), {1}}});
    const std::vector<uint16_t> expected = interpret(text, x, form);
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(widen(expected[i], dtype))) {
        ASSERT_TRUE(std::isnan(widen(y[i], dtype))) << x[i];
      } else {
        ASSERT_EQ(y[i], expected[i]) << widen(x[i], dtype);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ShortFunctions, ::testing::ValuesIn(functions),
                         [](const auto& tested) { return std::string(tested.param.name); });

/// Subnormal numbers and NaN as well, with stores into the caches and past them, at every length.
TEST(SixteenBits, ScaledAndStoredAsTheInterpreterDoes) {
  const std::string text = elementwise(bfloat16,
                                       "  %1 = constant.float32 0x3f7f1234\n  %2 = mul.float32 %0, %1\n"
                                       "  store.float32 a1, %2");
  const std::vector<uint16_t> x = all_values();
  const std::vector<uint16_t> expected = interpret(text, x);
  struct alignas(64) Output {
    uint16_t values[every_value + 64];
  };
  const auto y = std::make_unique<Output>();
  for (const bool streaming : {false, true}) {
    const Compiled kernel(text, streaming);
    for (const size_t count :
         {every_value + 21, size_t{0}, size_t{1}, size_t{15}, size_t{16}, size_t{17}, size_t{31}, size_t{32},
          size_t{33}, size_t{63}, size_t{64}, size_t{97}, size_t{127}, size_t{129}, size_t{200}}) {
      std::fill(std::begin(y->values), std::end(y->values), uint16_t{7});
      kernel.run({static_cast<int64_t>(count)}, {{x.data(), {1}}, {y->values, {1}}});
      for (size_t i = 0; i < count; ++i) {
        if (std::isnan(widen(expected[i], bfloat16))) {
          ASSERT_TRUE(std::isnan(widen(y->values[i], bfloat16))) << x[i];
        } else {
          ASSERT_EQ(y->values[i], expected[i]) << x[i] << " of " << count;
        }
      }
      ASSERT_EQ(y->values[count], 7) << count;
    }
  }
}

/// NaN lost by minima and maxima is seen to for a whole step: infinities and NaN of every operand, at every
/// length, also where the result takes the place of an input.
TEST(SixteenBits, ExtremaKeepNan) {
  for (const Dtype dtype : {Dtype(float16), Dtype(bfloat16)}) {
    const std::string name(dtype_name(dtype));
    const std::string text = "kernel parallel\na0 input " + name + " unit\na1 input " + name +
                             " unit\na2 output " + name + R"( unit
block
  %0 = load.float32 a0
  %1 = load.float32 a1
  %2 = mul.float32 %0, %1
  %3 = max.float32 %2, %0
  %4 = sub.float32 %1, %3
  %5 = min.float32 %4, %0
  %6 = add.float32 %5, %1
  %7 = max.float32 %6, %3
  %8 = max.float32 %7, %1
  store.float32 a2, %8)";
    const std::vector<uint16_t> x = all_values();
    std::vector<uint16_t> y(x.size()), expected(x.size());
    for (size_t i = 0; i < y.size(); ++i) y[i] = static_cast<uint16_t>(i * 40503);
    for (size_t i = 0; i < y.size(); i += 5) y[i] = 0x3c00;  // finite beside each NaN as well
    const auto n = static_cast<int64_t>(x.size());
    std::byte* pointers[] = {reinterpret_cast<std::byte*>(const_cast<uint16_t*>(x.data())),
                             reinterpret_cast<std::byte*>(y.data()),
                             reinterpret_cast<std::byte*>(expected.data())};
    const int64_t strides[] = {1, 1, 1};
    InterpretedKernel(kir::parse(text)).run({&n, pointers, strides}, nullptr, 0, 1, 0, n);
    const Compiled kernel(text);
    for (const size_t count :
         {x.size(), size_t{0}, size_t{1}, size_t{31}, size_t{32}, size_t{33}, size_t{100}}) {
      for (const bool in_place : {false, true}) {
        std::vector<uint16_t> source = x, made(x.size());
        std::vector<uint16_t>& result = in_place ? source : made;
        kernel.run({static_cast<int64_t>(count)},
                   {{source.data(), {1}}, {y.data(), {1}}, {result.data(), {1}}});
        for (size_t i = 0; i < count; ++i) {
          if (std::isnan(widen(expected[i], dtype))) {
            ASSERT_TRUE(std::isnan(widen(result[i], dtype))) << x[i] << " " << y[i];
          } else {
            ASSERT_EQ(result[i], expected[i]) << x[i] << " " << y[i];
          }
        }
      }
    }
  }
}

/// What one pass leaves in a scratch row, the next finds in its place, at every length.
TEST(SixteenBits, RowsKeepTheirOrderInScratch) {
  const Compiled kernel(R"(kernel parallel reduce
a0 input bfloat16 any unit
a1 scratch float32 zero unit
a2 output bfloat16 any unit
a3 output float32 unit zero
block
  %0 = load.float32 a0
  %1 = mul.float32 %0, %0
  store.float32 a1, %1
  %3 = reduce_sum.float32 %1
point_block
  store.float32 a3, %3
block
  %5 = load.float32 a1
  %6 = load.float32 a0
  %7 = add.float32 %5, %6
  store.float32 a2, %7)");
  for (int64_t n = 0; n <= 150; ++n) {
    const int64_t rows = 3;
    std::vector<uint16_t> x(static_cast<size_t>(rows * n)), y(static_cast<size_t>(rows * n) + 1, 7);
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = half_detail::float_to_bfloat16_bits(static_cast<float>(i % 13));
    }
    std::vector<float> sums(rows);
    kernel.run({rows, n}, {{x.data(), {n, 1}}, {nullptr, {0, 1}}, {y.data(), {n, 1}}, {sums.data(), {1, 0}}});
    for (int64_t r = 0; r < rows; ++r) {
      float sum = 0;
      for (int64_t i = 0; i < n; ++i) {
        const auto at = static_cast<size_t>(r * n + i);
        const auto value = static_cast<float>(at % 13);
        sum += value * value;
        ASSERT_EQ(widen(y[at], bfloat16), value * value + value) << at << " of " << n;
      }
      ASSERT_EQ(sums[static_cast<size_t>(r)], sum) << n;
    }
    ASSERT_EQ(y.back(), 7);
  }
}

TEST(SixteenBits, AreRoundedOnce) {
  const auto rounds = [](Dtype rounded_to) {
    const std::string name(dtype_name(rounded_to));
    const kir::Kernel kernel = kir::expand_math(
        kir::parse(elementwise(bfloat16, "  %1 = mul.float32 %0, %0\n  %2 = round_to.float32 " + name +
                                             ", %1\n  store.float32 a1, %2")));
    return std::count_if(kernel.instructions.begin(), kernel.instructions.end(),
                         [](const kir::Instruction& i) { return i.op == kir::Opcode::round_to; });
  };
  EXPECT_EQ(rounds(bfloat16), 0);
  EXPECT_EQ(rounds(float16), 1);
}

std::vector<bool> rounded(const std::string& text) {
  return kir::rounded_to_16_bits(kir::parse(text));
}

TEST(Precision, FollowsRelativeErrorsToStores) {
  const std::vector<bool> values = rounded(R"(kernel parallel
a0 input float16 unit
a1 output float16 unit
a2 output float32 unit
block
  %0 = load.float32 a0
  %1 = exp.float32 %0
  %2 = tanh.float32 %0
  %3 = mul.float32 %1, %0
  %4 = sin.float32 %2
  store.float32 a1, %3
  store.float32 a2, %2)");
  EXPECT_TRUE(values[1]);
  EXPECT_FALSE(values[2]);  // stored as float32
  EXPECT_TRUE(values[3]);
}

TEST(Precision, SumsOfRowsCountWhereNothingIsAddedToThem) {
  const auto kernel = [](const std::string& last) {
    return R"(kernel parallel reduce
a0 input bfloat16 any unit
a1 scratch float32 zero unit
a2 output bfloat16 any unit
block
  %0 = load.float32 a0
  %1 = exp.float32 %0
  store.float32 a1, %1
  %3 = reduce_sum.float32 %1
block
  %4 = load.float32 a1
  %5 = )" + last +
           R"(.float32 %4, %3
  store.float32 a2, %5)";
  };
  EXPECT_TRUE(rounded(kernel("div"))[1]);
  EXPECT_FALSE(rounded(kernel("sub"))[1]);
}

/// Whether one is the other or next to it, or both are no number.
bool is_next_to(uint16_t a, uint16_t b, Dtype dtype) {
  const float x = widen(a, dtype), y = widen(b, dtype);
  if (std::isnan(x) || std::isnan(y)) return std::isnan(x) && std::isnan(y);
  if (std::isinf(x) || std::isinf(y) || x == 0 || y == 0) return a == b;
  return std::abs(static_cast<int>(a) - static_cast<int>(b)) <= 1;
}

/// A row is divided by what is found of it by its reciprocal, which no number may overflow.
TEST(SixteenBits, DivisionOfARowByOneOfItsValues) {
  for (const Dtype dtype : {bfloat16, float16}) {
    const std::vector<uint16_t> values = all_values(every_value);
    const int size = static_cast<int>(values.size());
    const array x = view(array(values.begin(), Shape{1, size}), dtype);
    for (const float divisor : {1.0f, 3.0f, -7.0f, 1e-3f, 6e4f, 1e-7f, 0x1p-126f, 0x1p-133f, 0x1.8p127f, 0.0f,
                                -0.0f, INFINITY, -INFINITY, NAN}) {
      for (const JitMode mode : {JitMode::off, JitMode::sync}) {
        const test::JitModeScope jit(mode);
        auto function = compile(
            [](const std::vector<array>& in) { return std::vector<array>{in[0] / max(in[1], -1, true)}; });
        const array row = full({1, size}, divisor, dtype);
        std::vector<array> result = function({x, row});
        const array bits = view(result[0], uint16);
        eval(bits, row);
        const float rounded = widen(view(row, uint16).data<uint16_t>()[0], dtype);
        int wrong = 0;
        for (size_t i = 0; i < values.size(); ++i) {
          const float quotient = widen(values[i], dtype) / rounded;
          const uint16_t expected = dtype == float16 ? half_detail::float_to_float16_bits(quotient)
                                                     : half_detail::float_to_bfloat16_bits(quotient);
          wrong += is_next_to(bits.data<uint16_t>()[i], expected, dtype) ? 0 : 1;
        }
        EXPECT_EQ(wrong, 0) << dtype_name(dtype) << " by " << divisor << ", mode " << static_cast<int>(mode);
      }
    }
  }
}

}  // namespace
}  // namespace lazuli
