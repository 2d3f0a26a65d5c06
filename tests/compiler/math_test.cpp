#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <lazuli/compiler/interpreter/interpreter.h>
#include <lazuli/compiler/kernel_ir/builder.h>
#include <lazuli/compiler/kernel_ir/instruction_table.h>

/// The accuracy of math expansions, against the C library in a wider type.
namespace lazuli {
namespace {

using kir::Access;
using kir::Opcode;
using kir::StrideClass;

using Wide = long double;

/// The derivative of erf, for Halley's steps to its inverse.
Wide erf_slope(Wide y) {
  return 2 / std::sqrt(std::numbers::pi_v<Wide>) * std::exp(-y * y);
}

Wide inverse_erf(Wide x) {
  const Wide a = std::fabs(x);
  if (!(a <= 1)) return std::numeric_limits<Wide>::quiet_NaN();
  if (a == 1) return x * std::numeric_limits<Wide>::infinity();
  if (a == 0) return x;
  const Wide w = -std::log((1 - a) * (1 + a));
  Wide y = w < 5 ? a * 0.9L : std::sqrt(w) * 0.95L;
  for (int i = 0; i < 50; ++i) {
    const Wide residual = a < 0.5L ? std::erf(y) - a : (1 - a) - std::erfc(y);
    const Wide newton = residual / erf_slope(y);
    y -= newton / (1 + y * newton);
  }
  return std::copysign(y, x);
}

Wide logistic(Wide x) {
  return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
}

struct Function {
  Opcode op;
  Wide (*reference)(Wide);
  double ulps32;  ///< largest error allowed in float32
  double ulps64;
};

const Function functions[] = {
    {Opcode::exp, [](Wide x) { return std::exp(x); }, 2, 2},
    {Opcode::expm1, [](Wide x) { return std::expm1(x); }, 2, 3},
    {Opcode::log, [](Wide x) { return std::log(x); }, 2, 2},
    {Opcode::log2, [](Wide x) { return std::log2(x); }, 2, 2},
    {Opcode::log10, [](Wide x) { return std::log10(x); }, 2, 2},
    {Opcode::log1p, [](Wide x) { return std::log1p(x); }, 2, 2},
    {Opcode::sin, [](Wide x) { return std::sin(x); }, 2, 2},
    {Opcode::cos, [](Wide x) { return std::cos(x); }, 2, 2},
    {Opcode::tan, [](Wide x) { return std::tan(x); }, 2, 3},
    {Opcode::asin, [](Wide x) { return std::asin(x); }, 2, 3},
    {Opcode::acos, [](Wide x) { return std::acos(x); }, 2, 3},
    {Opcode::atan, [](Wide x) { return std::atan(x); }, 2, 2},
    {Opcode::sinh, [](Wide x) { return std::sinh(x); }, 2, 3},
    {Opcode::cosh, [](Wide x) { return std::cosh(x); }, 2, 2},
    {Opcode::tanh, [](Wide x) { return std::tanh(x); }, 2, 2},
    {Opcode::asinh, [](Wide x) { return std::asinh(x); }, 1, 3},
    {Opcode::acosh, [](Wide x) { return std::acosh(x); }, 1, 4},
    {Opcode::atanh, [](Wide x) { return std::atanh(x); }, 1, 4},
    {Opcode::erf, [](Wide x) { return std::erf(x); }, 2, 2},
    {Opcode::erfinv, inverse_erf, 2, 4},
    {Opcode::rsqrt, [](Wide x) { return 1 / std::sqrt(x); }, 2, 2},
    {Opcode::sigmoid, logistic, 2, 2},
};

struct BinaryFunction {
  Opcode op;
  Wide (*reference)(Wide, Wide);
};

template <typename T>
std::vector<T> evaluate(Opcode op, std::vector<T> x, std::vector<T> y = {},
                        kir::MathForm form = kir::MathForm::polynomials) {
  const Dtype dtype = sizeof(T) == 4 ? Dtype(float32) : Dtype(float64);
  kir::Kernel kernel;
  kernel.dims = {kir::Role::parallel};
  kernel.accesses.assign(2, {Access::Kind::input, dtype, {StrideClass::unit}, 0});
  kernel.accesses.push_back({Access::Kind::output, dtype, {StrideClass::unit}, 0});
  kir::Builder b(kernel);
  b.begin_block(true);
  const kir::Value a = b.load(0);
  b.store(2, kir::row_of(op).operands == 2 ? b.math(op, a, b.load(1)) : b.math(op, a));
  b.end_block();
  if (y.empty()) y = x;
  std::vector<T> result(x.size());
  const auto n = static_cast<int64_t>(x.size());
  std::byte* pointers[] = {reinterpret_cast<std::byte*>(x.data()), reinterpret_cast<std::byte*>(y.data()),
                           reinterpret_cast<std::byte*>(result.data())};
  const int64_t strides[] = {1, 1, 1};
  InterpretedKernel(kir::expand_math(kernel, form)).run({&n, pointers, strides}, nullptr, 0, 1, 0, n);
  return result;
}

/// The distance in units of the last place of T at `expected`; infinite where they differ in kind.
template <typename T>
double error_in_ulps(T value, Wide expected) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  using Limits = std::numeric_limits<T>;
  if (std::isnan(expected) || std::isnan(value)) {
    return std::isnan(expected) && std::isnan(value) ? 0 : infinity;
  }
  const T rounded = static_cast<T>(expected);
  if (value == rounded) return value != 0 || std::signbit(value) == std::signbit(rounded) ? 0 : infinity;
  // One may round to infinity where the other stays just below.
  const Wide unit_at_top = std::ldexp(Wide{1}, Limits::max_exponent - Limits::digits);
  const Wide actual =
      std::isinf(value) ? std::copysign(Limits::max() + unit_at_top, Wide{value}) : Wide{value};
  if (std::isinf(expected)) return infinity;
  int exponent;
  std::frexp(expected, &exponent);
  exponent = std::max(exponent, Limits::min_exponent);
  return static_cast<double>(std::fabs(actual - expected) / std::ldexp(Wide{1}, exponent - Limits::digits));
}

template <typename T>
std::vector<T> special_values() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> values;
  for (T v : {T(0),
              Limits::denorm_min(),
              T(3e-42),
              Limits::min(),
              T(1e-20),
              T(1e-8),
              T(0.25),
              T(0.5),
              T(0.75),
              T(0.93),
              T(1),
              T(1.5),
              T(2),
              T(2.5),
              T(3),
              T(4),
              T(7.5),
              T(10),
              T(17),
              T(39.5),
              T(64),
              T(88.5),
              T(88.72),
              T(89.3),
              T(103.5),
              T(104),
              T(709.5),
              T(710.4),
              T(745),
              T(1e5),
              T(33554430),
              T(1e10),
              T(1e22),
              T(1e30),
              Limits::max() / 2,
              Limits::max(),
              Limits::infinity(),
              Limits::quiet_NaN()}) {
    for (T near : {v, std::nextafter(v, T(0)), std::nextafter(v, Limits::infinity())}) {
      values.push_back(near);
      values.push_back(-near);
    }
  }
  return values;
}

/// Random numbers of all magnitudes, and closer together where functions are interesting.
template <typename T>
T random_value(std::mt19937_64& random, int kind) {
  std::uniform_real_distribution<double> flat(-1, 1);
  switch (kind) {
    case 0: {
      T value;
      const uint64_t bits = random();
      std::memcpy(&value, &bits, sizeof(T));
      return value;
    }
    case 1:
      return static_cast<T>(flat(random));
    case 2:
      return static_cast<T>(flat(random) * 10);
    case 3:
      return static_cast<T>(flat(random) * (sizeof(T) == 4 ? 105 : 750));
    case 4:
      return static_cast<T>(1 + flat(random) * 0.01);
    default:
      return static_cast<T>(flat(random) * std::exp(flat(random) * 30));
  }
}

template <typename T>
std::vector<T> sample(size_t count, uint64_t seed) {
  std::vector<T> values = special_values<T>();
  std::mt19937_64 random(seed);
  while (values.size() < count)
    values.push_back(random_value<T>(random, static_cast<int>(values.size() % 6)));
  return values;
}

class MathAccuracy : public ::testing::TestWithParam<Function> {
 protected:
  template <typename T>
  void check(const std::vector<T>& x, double limit) {
    check(x, limit, kir::MathForm::polynomials);
    check(x, limit, kir::MathForm::tables);
  }
  template <typename T>
  void check(const std::vector<T>& x, double limit, kir::MathForm form) {
    const Function& function = GetParam();
    const std::vector<T> result = evaluate(function.op, x, {}, form);
    double worst = 0;
    size_t worst_at = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double error = error_in_ulps(result[i], function.reference(x[i]));
      if (error > worst) {
        worst = error;
        worst_at = i;
      }
    }
    EXPECT_LE(worst, limit) << (form == kir::MathForm::tables ? "by tables, at " : "at ") << x[worst_at]
                            << ": " << result[worst_at] << ", not " << function.reference(x[worst_at]);
  }
};

TEST_P(MathAccuracy, Float32) {
  check(sample<float>(200'000, 1), GetParam().ulps32);
}

TEST_P(MathAccuracy, Float32OverAllExponents) {
  std::vector<float> values;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 20011) {
    values.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  }
  check(values, GetParam().ulps32);
}

TEST_P(MathAccuracy, Float64) {
  check(sample<double>(100'000, 2), GetParam().ulps64);
}

INSTANTIATE_TEST_SUITE_P(All, MathAccuracy, ::testing::ValuesIn(functions),
                         [](const auto& tested) { return std::string(kir::row_of(tested.param.op).name); });

class BinaryMathAccuracy : public ::testing::TestWithParam<BinaryFunction> {
 protected:
  template <typename T>
  void check() {
    const BinaryFunction& function = GetParam();
    std::vector<T> x, y;
    const std::vector<T> special = special_values<T>();
    for (T a : special) {
      for (T b : special) {
        x.push_back(a);
        y.push_back(b);
      }
    }
    std::mt19937_64 random(3);
    for (int i = 0; i < 100'000; ++i) {
      x.push_back(random_value<T>(random, i % 6));
      const T exponent = random_value<T>(random, i / 6 % 6);
      y.push_back(i % 4 == 0 ? std::round(exponent) : exponent);
    }
    const std::vector<T> result = evaluate(function.op, x, y);
    for (size_t i = 0; i < x.size(); ++i) {
      const Wide expected = function.reference(x[i], y[i]);
      ASSERT_LE(error_in_ulps(result[i], expected), 2)
          << x[i] << ", " << y[i] << ": " << result[i] << ", not " << expected;
    }
  }
};

TEST_P(BinaryMathAccuracy, Float32) {
  check<float>();
}
TEST_P(BinaryMathAccuracy, Float64) {
  check<double>();
}

INSTANTIATE_TEST_SUITE_P(
    All, BinaryMathAccuracy,
    ::testing::Values(BinaryFunction{Opcode::pow, [](Wide a, Wide b) { return std::pow(a, b); }},
                      BinaryFunction{Opcode::atan2, [](Wide a, Wide b) { return std::atan2(a, b); }}),
    [](const auto& tested) { return std::string(kir::row_of(tested.param.op).name); });

TEST(MathAccuracy, ReducesFloatsClosestToMultiplesOfHalfPi) {
  // Found by continued fractions: hard cases of range reduction, and large powers of two.
  std::vector<float> x{16367173.0f * 0x1p72f, 0x1.6ac5b2p+77f, 0x1p127f, 0x1p100f,
                       0x1.921fb6p0f,         0x1.921fb6p1f};
  for (int n = 1; n < 3000; ++n) x.push_back(static_cast<float>(n * (std::numbers::pi / 2)));
  for (Opcode op : {Opcode::sin, Opcode::cos, Opcode::tan}) {
    const std::vector<float> result = evaluate(op, x);
    for (size_t i = 0; i < x.size(); ++i) {
      const Wide angle = x[i];
      const Wide expected = op == Opcode::sin   ? std::sin(angle)
                            : op == Opcode::cos ? std::cos(angle)
                                                : std::tan(angle);
      ASSERT_LE(error_in_ulps(result[i], expected), 2) << kir::row_of(op).name << " " << x[i];
    }
  }
}

TEST(IntegerPower, MultipliesRepeatedlyAndWraps) {
  kir::Kernel kernel;
  kernel.dims = {kir::Role::parallel};
  kernel.accesses.assign(2, {Access::Kind::input, int32, {StrideClass::unit}, 0});
  kernel.accesses.push_back({Access::Kind::output, int32, {StrideClass::unit}, 0});
  kir::Builder b(kernel);
  b.begin_block(true);
  const kir::Value base = b.load(0);
  b.store(2, b.math(Opcode::pow, base, b.load(1)));
  b.end_block();
  std::vector<int32_t> x, y, result;
  for (int32_t i = -12; i <= 12; ++i) {
    for (int32_t k = -3; k < 70; ++k) {
      x.push_back(i);
      y.push_back(k);
    }
  }
  result.resize(x.size());
  const auto n = static_cast<int64_t>(x.size());
  std::byte* pointers[] = {reinterpret_cast<std::byte*>(x.data()), reinterpret_cast<std::byte*>(y.data()),
                           reinterpret_cast<std::byte*>(result.data())};
  const int64_t strides[] = {1, 1, 1};
  InterpretedKernel(kernel).run({&n, pointers, strides}, nullptr, 0, 1, 0, n);
  for (size_t i = 0; i < x.size(); ++i) {
    uint32_t expected = 1;
    for (int32_t k = 0; k < std::abs(y[i]); ++k) expected *= static_cast<uint32_t>(x[i]);
    if (y[i] < 0 && std::abs(x[i]) != 1) expected = 0;
    ASSERT_EQ(result[i], static_cast<int32_t>(expected)) << x[i] << " to the " << y[i];
  }
}

}  // namespace
}  // namespace lazuli
