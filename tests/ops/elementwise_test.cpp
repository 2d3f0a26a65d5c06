// Elementwise operations against scalar functions of the host, over dtypes and shapes.

#include <complex>
#include <set>

#include <lazuli/ops/elementwise_table.h>

#include "helpers.h"

namespace lazuli::test {
namespace {

const std::vector<Dtype> float_dtypes{float32, float64, float16, bfloat16};
const std::vector<Dtype> integer_dtypes{int8, int16, int32, int64, uint8, uint16, uint32, uint64};

struct UnaryCase {
  const char* name;
  array (*operation)(const array&, StreamOrDevice);
  double (*reference)(double);
  double ulps;  ///< beyond the rounding of the result
  double low;
  double high;  ///< of the arguments
};

double sigmoid_of(double x) {
  return 1 / (1 + std::exp(-x));
}
double sign_of(double x) {
  return x > 0 ? 1 : x < 0 ? -1 : 0;
}
double rint_of(double x) {
  return std::nearbyint(x);
}

const UnaryCase unary_cases[] = {
    {"negative", negative, [](double x) { return -x; }, 0, -100, 100},
    {"abs", abs, [](double x) { return std::abs(x); }, 0, -100, 100},
    {"sign", sign, sign_of, 0, -3, 3},
    {"square", square, [](double x) { return x * x; }, 1, -9, 9},
    {"reciprocal", reciprocal, [](double x) { return 1 / x; }, 1, 0.1, 50},
    {"floor", floor, [](double x) { return std::floor(x); }, 0, -9, 9},
    {"ceil", ceil, [](double x) { return std::ceil(x); }, 0, -9, 9},
    {"trunc", trunc, [](double x) { return std::trunc(x); }, 0, -9, 9},
    {"round", round, rint_of, 0, -9, 9},
    {"sqrt", sqrt, [](double x) { return std::sqrt(x); }, 1, 0, 100},
    {"rsqrt", rsqrt, [](double x) { return 1 / std::sqrt(x); }, 3, 0.01, 100},
    {"exp", exp, [](double x) { return std::exp(x); }, 3, -9, 9},
    {"expm1", expm1, [](double x) { return std::expm1(x); }, 4, -9, 9},
    {"log", log, [](double x) { return std::log(x); }, 3, 0.01, 100},
    {"log2", log2, [](double x) { return std::log2(x); }, 3, 0.01, 100},
    {"log10", log10, [](double x) { return std::log10(x); }, 3, 0.01, 100},
    {"log1p", log1p, [](double x) { return std::log1p(x); }, 3, -0.9, 100},
    {"sin", sin, [](double x) { return std::sin(x); }, 3, -20, 20},
    {"cos", cos, [](double x) { return std::cos(x); }, 3, -20, 20},
    {"tan", tan, [](double x) { return std::tan(x); }, 5, -1.4, 1.4},
    {"arcsin", arcsin, [](double x) { return std::asin(x); }, 4, -1, 1},
    {"arccos", arccos, [](double x) { return std::acos(x); }, 4, -1, 1},
    {"arctan", arctan, [](double x) { return std::atan(x); }, 4, -9, 9},
    {"sinh", sinh, [](double x) { return std::sinh(x); }, 4, -7, 7},
    {"cosh", cosh, [](double x) { return std::cosh(x); }, 4, -7, 7},
    {"tanh", tanh, [](double x) { return std::tanh(x); }, 4, -7, 7},
    {"arcsinh", arcsinh, [](double x) { return std::asinh(x); }, 4, -9, 9},
    {"arccosh", arccosh, [](double x) { return std::acosh(x); }, 4, 1, 90},
    {"arctanh", arctanh, [](double x) { return std::atanh(x); }, 4, -0.99, 0.99},
    {"degrees", degrees, [](double x) { return x * 180 / M_PI; }, 2, -7, 7},
    {"radians", radians, [](double x) { return x * M_PI / 180; }, 2, -360, 360},
    {"sigmoid", sigmoid, sigmoid_of, 4, -9, 9},
    {"erf", erf, [](double x) { return std::erf(x); }, 4, -4, 4},
};

std::vector<double> spread(int64_t count, double low, double high) {
  std::vector<double> result;
  for (int64_t i = 0; i < count; ++i) {
    result.push_back(low + (high - low) * static_cast<double>((i * 37) % 101) / 100.0);
  }
  return result;
}

TEST(Elementwise, UnaryFunctionsOfFloats) {
  for (const UnaryCase& c : unary_cases) {
    for (Dtype dtype : float_dtypes) {
      for (const Shape& shape : {Shape{}, Shape{1}, Shape{5}, Shape{3, 67}}) {
        const array x = make(spread(element_count(shape), c.low, c.high), shape, dtype);
        std::vector<double> expected;
        for (double value : doubles(x)) expected.push_back(c.reference(value));
        const double compute = dtype == float64 ? rounding_of(float64) : rounding_of(float32);
        const double tolerance = rounding_of(dtype) + 2 * c.ulps * compute;
        expect_array(c.operation(x, {}), shape, dtype, expected, tolerance,
                     std::string(c.name) + " of " + std::string(dtype_name(dtype)));
      }
    }
  }
}

TEST(Elementwise, UnaryFunctionsOfIntegersAreFloat32) {
  for (const UnaryCase& c : unary_cases) {
    const std::string name = c.name;
    if (name == "negative" || name == "abs" || name == "sign" || name == "square" || name == "floor" ||
        name == "ceil" || name == "trunc" || name == "round") {
      continue;
    }
    for (Dtype dtype : integer_dtypes) {
      const array x = make({1, 1, 1}, {3}, dtype);
      expect_array(c.operation(x, {}), {3}, float32, std::vector<double>(3, c.reference(1)), 2e-6,
                   name + " of " + std::string(dtype_name(dtype)));
    }
  }
}

TEST(Elementwise, IntegersKeepTheirDtypeWhereTheyCan) {
  for (Dtype dtype : {int8, int16, int32, int64}) {
    const array x = make({-3, 0, 2, 7}, {4}, dtype);
    expect_array(negative(x), {4}, dtype, {3, 0, -2, -7});
    expect_array(abs(x), {4}, dtype, {3, 0, 2, 7});
    expect_array(sign(x), {4}, dtype, {-1, 0, 1, 1});
    expect_array(square(x), {4}, dtype, {9, 0, 4, 49});
    expect_array(floor(x), {4}, dtype, {-3, 0, 2, 7});
    expect_array(round(x), {4}, dtype, {-3, 0, 2, 7});
  }
  for (Dtype dtype : {uint8, uint16, uint32, uint64}) {
    const array x = make({0, 2, 200}, {3}, dtype);
    expect_array(abs(x), {3}, dtype, {0, 2, 200});
    expect_array(sign(x), {3}, dtype, {0, 1, 1});
  }
  expect_array(square(make({200}, {1}, uint8)), {1}, uint8, {200 * 200 % 256});
  expect_array(negative(make({1}, {1}, uint8)), {1}, uint8, {255});
}

TEST(Elementwise, SpecialValues) {
  const array x = make({not_a_number, infinity, -infinity, 0.0, -0.0}, {5});
  expect_array(exp(x), {5}, float32, {not_a_number, infinity, 0, 1, 1});
  expect_array(log(x), {5}, float32, {not_a_number, infinity, not_a_number, -infinity, -infinity});
  expect_array(tanh(x), {5}, float32, {not_a_number, 1, -1, 0, 0});
  expect_array(sigmoid(x), {5}, float32, {not_a_number, 1, 0, 0.5, 0.5});
  expect_array(erf(x), {5}, float32, {not_a_number, 1, -1, 0, 0});
  expect_array(sqrt(x), {5}, float32, {not_a_number, infinity, not_a_number, 0, 0});
  expect_array(sin(x), {5}, float32, {not_a_number, not_a_number, not_a_number, 0, 0});
  expect_array(floor(x), {5}, float32, {not_a_number, infinity, -infinity, 0, 0});
  expect_array(sign(x), {5}, float32, {0, 1, -1, 0, 0});
  expect_array(isnan(x), {5}, bool_, {1, 0, 0, 0, 0});
  expect_array(isinf(x), {5}, bool_, {0, 1, 1, 0, 0});
  expect_array(isfinite(x), {5}, bool_, {0, 0, 0, 1, 1});
  expect_array(isposinf(x), {5}, bool_, {0, 1, 0, 0, 0});
  expect_array(isneginf(x), {5}, bool_, {0, 0, 1, 0, 0});
  expect_array(isfinite(array({1, 2}, int32)), {2}, bool_, {1, 1});
  expect_array(isnan(array({1, 2}, int32)), {2}, bool_, {0, 0});
  expect_array(nan_to_num(x), {5}, float32, {0, 3.4028234663852886e38, -3.4028234663852886e38, 0, 0});
  expect_array(nan_to_num(x, 7, 8, 9), {5}, float32, {7, 8, 9, 0, 0});
  expect_array(nan_to_num(astype(x, float16)), {5}, float16, {0, 65504, -65504, 0, 0});
  expect_array(maximum(x, array(1.0f)), {5}, float32, {not_a_number, infinity, 1, 1, 1});
  expect_array(minimum(x, array(1.0f)), {5}, float32, {not_a_number, 1, -infinity, 0, 0});
  expect_array(logaddexp(x, array(-std::numeric_limits<float>::infinity())), {5}, float32,
               {not_a_number, infinity, -infinity, 0, 0});
  expect_array(logaddexp(array(100.0f), array(100.0f)), {}, float32, {100 + std::log(2.0)}, 1e-6);
}

TEST(Elementwise, InverseErrorFunction) {
  const std::vector<double> points{-0.999, -0.5, -1e-4, 0, 0.25, 0.9, 0.99999};
  const array y = erfinv(make(points, {7}));
  std::vector<double> back;
  for (double value : doubles(y)) back.push_back(std::erf(value));
  expect_array(make(back, {7}), {7}, float32, points, 1e-6);
  expect_array(erfinv(make({1, -1, 2}, {3})), {3}, float32, {infinity, -infinity, not_a_number});
}

struct BinaryCase {
  const char* name;
  array (*operation)(const array&, const array&, StreamOrDevice);
  double (*reference)(double, double);
  double ulps;
};

double floor_mod(double a, double b) {
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
double log_add_exp(double a, double b) {
  return std::max(a, b) + std::log1p(std::exp(-std::abs(a - b)));
}

const BinaryCase binary_cases[] = {
    {"add", add, [](double a, double b) { return a + b; }, 1},
    {"subtract", subtract, [](double a, double b) { return a - b; }, 1},
    {"multiply", multiply, [](double a, double b) { return a * b; }, 1},
    {"divide", divide, [](double a, double b) { return a / b; }, 1},
    {"floor_divide", floor_divide, [](double a, double b) { return std::floor(a / b); }, 0},
    {"remainder", remainder, floor_mod, 1},
    {"maximum", maximum, [](double a, double b) { return std::max(a, b); }, 0},
    {"minimum", minimum, [](double a, double b) { return std::min(a, b); }, 0},
    {"arctan2", arctan2, [](double a, double b) { return std::atan2(a, b); }, 4},
    {"logaddexp", logaddexp, log_add_exp, 6},
};

TEST(Elementwise, BinaryFunctionsBroadcast) {
  const std::pair<Shape, Shape> shapes[] = {
      {{}, {}},   {{5}, {}}, {{1}, {7}}, {{3, 1}, {1, 4}}, {{2, 3, 4}, {3, 1}}, {{2, 3, 67}, {2, 3, 67}},
      {{0}, {1}},
  };
  for (const BinaryCase& c : binary_cases) {
    for (Dtype dtype : float_dtypes) {
      for (const auto& shape_pair : shapes) {
        const Shape& a_shape = shape_pair.first;
        const Shape& b_shape = shape_pair.second;
        const array a = make_numbers(a_shape, dtype);
        // Quotients that are no whole numbers, so that rounding does not decide what `floor` gives.
        const array b = make_numbers(b_shape, dtype, 1.7);
        const std::vector<double> x = doubles(a);
        const std::vector<double> y = doubles(b);
        const Shape shape = broadcast_shapes(a_shape, b_shape);
        std::vector<double> expected;
        for_each_index(shape, [&](const std::vector<int>& index) {
          expected.push_back(c.reference(x[place(a_shape, index)], y[place(b_shape, index)]));
        });
        const double compute = dtype == float64 ? rounding_of(float64) : rounding_of(float32);
        expect_array(c.operation(a, b, {}), shape, dtype, expected, rounding_of(dtype) + 4 * c.ulps * compute,
                     std::string(c.name) + " of " + std::string(dtype_name(dtype)));
      }
    }
  }
}

TEST(Elementwise, IntegerDivisionRoundsDown) {
  for (Dtype dtype : {int8, int16, int32, int64}) {
    const array a = make({7, -7, 7, -7, 6, -6, 5, 0}, {8}, dtype);
    const array b = make({3, 3, -3, -3, 3, 3, 0, -4}, {8}, dtype);
    expect_array(floor_divide(a, b), {8}, dtype, {2, -3, -3, 2, 2, -2, 0, 0});
    expect_array(remainder(a, b), {8}, dtype, {1, 2, -2, -1, 0, 0, 0, 0});
    const std::vector<array> both = divmod(a, b);
    expect_array(both[0], {8}, dtype, {2, -3, -3, 2, 2, -2, 0, 0});
    expect_array(both[1], {8}, dtype, {1, 2, -2, -1, 0, 0, 0, 0});
  }
  expect_array(floor_divide(make({-128}, {1}, int8), make({-1}, {1}, int8)), {1}, int8, {-128});
  expect_array(remainder(make({250}, {1}, uint8), make({7}, {1}, uint8)), {1}, uint8, {250 % 7});
  expect_array(remainder(make({-1}, {1}), make({infinity}, {1})), {1}, float32, {infinity});
  expect_array(divide(make({7}, {1}, int32), make({2}, {1}, int32)), {1}, float32, {3.5});
}

TEST(Elementwise, PowerOfIntegersAndFloats) {
  for (Dtype dtype : {int8, int16, int32, int64}) {
    expect_array(
        power(make({2, -3, 0, 0, 1, -1, 2}, {7}, dtype), make({5, 3, 0, 4, 100, 99, -1}, {7}, dtype)), {7},
        dtype, {32, -27, 1, 0, 1, -1, 0});
  }
  expect_array(power(make({3}, {1}, uint32), make({20}, {1}, uint32)), {1}, uint32, {3486784401.0});
  expect_array(power(make({3}, {1}, uint32), make({21}, {1}, uint32)), {1}, uint32,
               {std::fmod(3486784401.0 * 3, 4294967296.0)});
  const array a = make({2, 9, 0.5, 0, 10, -2, -8}, {7});
  const array b = make({10, 0.5, -2, 0, -3, 3, 1.0 / 3}, {7});
  expect_array(power(a, b), {7}, float32, {1024, 3, 4, 1, 1e-3, -8, not_a_number}, 1e-6);
  expect_array(power(make({0, 1, 0, 1}, {4}, bool_), make({0, 0, 1, 1}, {4}, bool_)), {4}, bool_,
               {1, 1, 0, 1});
}

TEST(Elementwise, BoolArithmetic) {
  const array a = make({0, 0, 1, 1}, {4}, bool_);
  const array b = make({0, 1, 0, 1}, {4}, bool_);
  expect_array(add(a, b), {4}, bool_, {0, 1, 1, 1});
  expect_array(multiply(a, b), {4}, bool_, {0, 0, 0, 1});
  expect_array(maximum(a, b), {4}, bool_, {0, 1, 1, 1});
  expect_array(minimum(a, b), {4}, bool_, {0, 0, 0, 1});
  expect_array(equal(a, b), {4}, bool_, {1, 0, 0, 1});
  expect_array(less(a, b), {4}, bool_, {0, 1, 0, 0});
  expect_array(greater_equal(a, b), {4}, bool_, {1, 0, 1, 1});
  expect_array(add(a, array(2)), {4}, int32, {2, 2, 3, 3});
  expect_error([&] { negative(a); }, "[negative]");
}

TEST(Elementwise, Comparison) {
  for (Dtype dtype : {float32, float16, int8, int64, uint8, uint32, float64}) {
    const array a = make({1, 2, 3}, {3}, dtype);
    const array b = make({2, 2, 2}, {3}, dtype);
    expect_array(a == b, {3}, bool_, {0, 1, 0});
    expect_array(a != b, {3}, bool_, {1, 0, 1});
    expect_array(a < b, {3}, bool_, {1, 0, 0});
    expect_array(a <= b, {3}, bool_, {1, 1, 0});
    expect_array(a > b, {3}, bool_, {0, 0, 1});
    expect_array(a >= b, {3}, bool_, {0, 1, 1});
  }
  const array nan = make({not_a_number}, {1});
  expect_array(nan == nan, {1}, bool_, {0});
  expect_array(nan != nan, {1}, bool_, {1});
  expect_array(nan <= nan, {1}, bool_, {0});
  // Unsigned numbers are not compared as signed ones.
  expect_array(make({4000000000.0}, {1}, uint32) > make({5}, {1}, uint32), {1}, bool_, {1});
}

TEST(Elementwise, IsCloseAndEqualArrays) {
  const array a = make({1, infinity, infinity, not_a_number, 1}, {5});
  const array b = make({1 + 1e-6, infinity, -infinity, not_a_number, infinity}, {5});
  expect_array(isclose(a, b), {5}, bool_, {1, 1, 0, 0, 0});
  expect_array(isclose(a, b, 1e-5, 1e-8, true), {5}, bool_, {1, 1, 0, 1, 0});
  expect_array(allclose(a, a), {}, bool_, {0});
  expect_array(allclose(a, a, 1e-5, 1e-8, true), {}, bool_, {1});
  expect_array(array_equal(a, a), {}, bool_, {0});
  expect_array(array_equal(a, a, true), {}, bool_, {1});
  expect_array(array_equal(make({1, 2}, {2}), make({1, 2}, {2}, int32)), {}, bool_, {1});
  expect_array(array_equal(make({1, 2}, {2}), make({1, 2}, {1, 2})), {}, bool_, {0});
}

TEST(Elementwise, LogicAndBits) {
  const array a = make({0, 2, 0, -1}, {4});
  const array b = make({0, 0, 1, 1}, {4}, int32);
  expect_array(logical_and(a, b), {4}, bool_, {0, 0, 0, 1});
  expect_array(a || b, {4}, bool_, {0, 1, 1, 1});
  expect_array(logical_xor(a, b), {4}, bool_, {0, 1, 1, 0});
  expect_array(logical_not(a), {4}, bool_, {1, 0, 1, 0});
  for (Dtype dtype : integer_dtypes) {
    const array x = make({12, 10, 0}, {3}, dtype);
    const array y = make({10, 3, 7}, {3}, dtype);
    expect_array(x & y, {3}, dtype, {8, 2, 0});
    expect_array(x | y, {3}, dtype, {14, 11, 7});
    expect_array(x ^ y, {3}, dtype, {6, 9, 7});
    expect_array(x << array(2, dtype), {3}, dtype, {48, 40, 0});
    expect_array(x >> array(2, dtype), {3}, dtype, {3, 2, 0});
  }
  expect_array(~make({0, 5}, {2}, uint8), {2}, uint8, {255, 250});
  expect_array(~make({0, 5}, {2}, int16), {2}, int16, {-1, -6});
  expect_array(~make({0, 1}, {2}, bool_), {2}, bool_, {1, 0});
  expect_array(make({1, 1}, {2}, uint32) << make({32, 40}, {2}, uint32), {2}, uint32, {0, 0});
  expect_array(make({-8}, {1}, int32) >> array(1), {1}, int32, {-4});
  expect_array(left_shift(make({1}, {1}, bool_), make({1}, {1}, bool_)), {1}, uint8, {2});
  expect_error([&] { bitwise_and(a, b); }, "[bitwise_and]");
  expect_error([&] { left_shift(a, b); }, "[left_shift]");
}

TEST(Elementwise, WhereAndClip) {
  const array condition = make({1, 0, 2}, {3}, int32);
  expect_array(where(condition, make({1, 2, 3}, {3}), array(9)), {3}, float32, {1, 9, 3});
  expect_array(where(make({1, 0}, {2, 1}, bool_), make({1, 2}, {2}, int8), make({5, 6}, {2}, int16)), {2, 2},
               int16, {1, 2, 5, 6});
  const array x = make({-2, 0.5, 3, not_a_number}, {4});
  expect_array(clip(x, array(0.0f), array(1.0f)), {4}, float32, {0, 0.5, 1, not_a_number});
  expect_array(clip(x, std::nullopt, array(1.0f)), {4}, float32, {-2, 0.5, 1, not_a_number});
  expect_array(clip(x, array(0.0f)), {4}, float32, {0, 0.5, 3, not_a_number});
  expect_error([&] { clip(x); }, "[clip]");
}

TEST(Elementwise, RoundToDecimals) {
  const array x = make({1.2345, -1.2355, 0.5, 1.5, 2.5}, {5});
  expect_array(round(x), {5}, float32, {1, -1, 0, 2, 2});
  expect_array(round(x, 2), {5}, float32, {1.23, -1.24, 0.5, 1.5, 2.5}, 1e-6);
  expect_array(round(make({1234, 1250}, {2}, int32), -2), {2}, int32, {1200, 1200});
}

TEST(Elementwise, PromotesDtypes) {
  EXPECT_EQ(add(array(1, int8), array(1, uint8)).dtype(), int16);
  EXPECT_EQ(add(array(1, int32), array(1.0f, float16)).dtype(), float16);
  EXPECT_EQ(add(array(1.0f, bfloat16), array(1.0f, float16)).dtype(), float32);
  EXPECT_EQ(add(array(true), array(1, uint8)).dtype(), uint8);
  EXPECT_EQ(multiply(array(1.0f), array(complex64_t{1, 1})).dtype(), complex64);
  EXPECT_EQ(divide(array(1, int64), array(2, int64)).dtype(), float32);
  EXPECT_EQ(exp(array(1, int64)).dtype(), float32);
}

TEST(Elementwise, ReadsThroughViews) {
  const array base = counting({4, 6});
  const array turned = transpose(base);
  const array flipped = slice(base, {3, 5}, {-5, -7}, {-1, -2});
  std::vector<double> expected;
  for (int i = 0; i < 6; ++i) {
    for (int j = 0; j < 4; ++j) expected.push_back(2 * (j * 6 + i));
  }
  expect_array(turned + turned, {6, 4}, float32, expected);
  expect_array(flipped * array(1.0f), {4, 3}, float32, {23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1});
  expect_array(broadcast_to(slice(base, {1, 0}, {2, 6}), {3, 6}) - array(6.0f), {3, 6}, float32,
               {0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5});
}

TEST(Elementwise, RowsAreOperationsOfTheirOwn) {
  std::set<std::string> names;
  std::set<uint64_t> hashes;
  for (const ElementwiseRow& row : elementwise_table()) {
    const Ref<const Operation>& operation = elementwise_operation(row.id);
    EXPECT_EQ(operation->name(), row.name);
    EXPECT_EQ(operation.get(), elementwise_operation(row.id).get());
    names.emplace(row.name);
    hashes.insert(operation->hash());
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(elementwise_count));
  EXPECT_EQ(hashes.size(), static_cast<size_t>(elementwise_count));
}

TEST(Elementwise, Errors) {
  expect_error([] { add(zeros({2}), zeros({3})); }, "[broadcast_shapes]");
  const array z(complex64_t{1, 2});
  expect_error([&] { floor(z); }, "[floor]");
  expect_error([&] { remainder(z, z); }, "[remainder]");
  expect_error([&] { floor_divide(z, z); }, "[floor_divide]");
  expect_error([&] { erf(z); }, "[erf]");
  expect_error([&] { arctan2(z, z); }, "[arctan2]");
  expect_error([] { exp(zeros({2}), Device(Device::gpu)); }, "[");
}

using Complex = std::complex<double>;

TEST(Elementwise, ComplexFunctions) {
  struct Case {
    const char* name;
    array (*operation)(const array&, StreamOrDevice);
    Complex (*reference)(const Complex&);
  };
  const Case cases[] = {
      {"exp", exp, std::exp},
      {"log", log, std::log},
      {"sin", sin, std::sin},
      {"cos", cos, std::cos},
      {"tan", tan, std::tan},
      {"sinh", sinh, std::sinh},
      {"cosh", cosh, std::cosh},
      {"tanh", tanh, std::tanh},
      {"arcsin", arcsin, std::asin},
      {"arccos", arccos, std::acos},
      {"arctan", arctan, std::atan},
      {"sqrt", sqrt, std::sqrt},
      {"log10", log10, std::log10},
      {"square", square, [](const Complex& z) { return z * z; }},
      {"reciprocal", reciprocal, [](const Complex& z) { return 1.0 / z; }},
      {"rsqrt", rsqrt, [](const Complex& z) { return 1.0 / std::sqrt(z); }},
      {"sign", sign, [](const Complex& z) { return z / std::abs(z); }},
      {"conjugate", conjugate, [](const Complex& z) { return std::conj(z); }},
      {"negative", negative, [](const Complex& z) { return -z; }},
  };
  const std::vector<complex64_t> points{{1, 2}, {-1.5f, 0.25f}, {0.5f, -0.75f}, {-0.1f, -2}, {3, 0.01f}};
  const array z(points.begin(), {5});
  for (const Case& c : cases) {
    const array result = c.operation(z, {});
    ASSERT_EQ(result.dtype(), complex64) << c.name;
    const std::vector<double> re = doubles(real(result));
    const std::vector<double> im = doubles(imag(result));
    for (size_t i = 0; i < points.size(); ++i) {
      const Complex expected = c.reference(Complex(points[i].real(), points[i].imag()));
      EXPECT_LE(std::abs(Complex(re[i], im[i]) - expected), 2e-6 * std::max(1.0, std::abs(expected)))
          << c.name << " " << points[i];
    }
  }
  expect_array(
      abs(z), {5}, float32,
      {std::sqrt(5.0), std::hypot(1.5, 0.25), std::hypot(0.5, 0.75), std::hypot(0.1, 2), std::hypot(3, 0.01)},
      1e-6);
  const array sums = logaddexp(z, z * z);
  for (size_t i = 0; i < points.size(); ++i) {
    const Complex point(points[i]);
    const Complex found(take(sums, static_cast<int>(i), 0).item<complex64_t>());
    // Logarithms differ by multiples of 2 pi i: exponentials don't.
    const Complex expected = std::exp(point) + std::exp(point * point);
    EXPECT_LE(std::abs(std::exp(found) - expected), 1e-5 * std::abs(std::exp(found))) << points[i];
  }
  const array far(complex64_t(-infinity, 1));
  EXPECT_EQ(logaddexp(far, array(complex64_t(2, 3))).item<complex64_t>(), complex64_t(2, 3));
  expect_array(real(z * z), {5}, float32, {-3, 2.1875, -0.3125, 0.01 - 4, 8.9999}, 1e-6);
  expect_array(z == z, {5}, bool_, {1, 1, 1, 1, 1});
  expect_array(real(array(2.0f)), {}, float32, {2});
  expect_array(imag(array(2.0f)), {}, float32, {0});
}

}  // namespace
}  // namespace lazuli::test
