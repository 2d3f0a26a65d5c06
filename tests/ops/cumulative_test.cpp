// Cumulative operations against a loop.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "helpers.h"

namespace lazuli::test {
namespace {

using Combine = double (*)(double, double);

struct Kind {
  std::string name;
  array (*function)(const array&, int, bool, bool);
  Combine combine;
  double first;
};

double log_add(double a, double b) {
  const double high = std::max(a, b);
  return std::isinf(high) ? high : high + std::log(std::exp(a - high) + std::exp(b - high));
}

const std::vector<Kind> kinds{
    {"cumsum", [](const array& a, int axis, bool r, bool i) { return cumsum(a, axis, r, i); },
     [](double a, double b) { return a + b; }, 0},
    {"cumprod", [](const array& a, int axis, bool r, bool i) { return cumprod(a, axis, r, i); },
     [](double a, double b) { return a * b; }, 1},
    {"cummax", [](const array& a, int axis, bool r, bool i) { return cummax(a, axis, r, i); },
     [](double a, double b) { return std::isnan(a) || a >= b ? a : b; }, -infinity},
    {"cummin", [](const array& a, int axis, bool r, bool i) { return cummin(a, axis, r, i); },
     [](double a, double b) { return std::isnan(a) || a <= b ? a : b; }, infinity},
    {"logcumsumexp", [](const array& a, int axis, bool r, bool i) { return logcumsumexp(a, axis, r, i); },
     log_add, -infinity},
};

/// Along the middle of [outer, length, inner].
std::vector<double> expected_of(const Kind& kind, const std::vector<double>& x, int outer, int length,
                                int inner, bool reverse, bool inclusive, double first) {
  std::vector<double> result(x.size());
  for (int o = 0; o < outer; ++o) {
    for (int j = 0; j < inner; ++j) {
      double so_far = first;
      for (int i = 0; i < length; ++i) {
        const auto at = static_cast<size_t>((o * length + (reverse ? length - 1 - i : i)) * inner + j);
        const double before = so_far;
        so_far = i == 0 && kind.name != "logcumsumexp" ? x[at] : kind.combine(so_far, x[at]);
        result[at] = inclusive ? so_far : before;
      }
    }
  }
  return result;
}

double lowest(Dtype dtype, bool highest) {
  return dispatch_dtype(dtype, [&]<typename T>(std::type_identity<T>) -> double {
    if constexpr (std::is_integral_v<T>) {
      using Limits = std::numeric_limits<T>;
      return static_cast<double>(highest ? Limits::max() : Limits::lowest());
    } else {
      return highest ? infinity : -infinity;
    }
  });
}

void check(const Kind& kind, Dtype dtype, const array& x, int outer, int length, int inner, bool reverse,
           bool inclusive, double tolerance) {
  double first = kind.first;
  if (kind.name == "cummax") first = lowest(dtype, false);
  if (kind.name == "cummin") first = lowest(dtype, true);
  const array found = kind.function(x, 1, reverse, inclusive);
  expect_array(found, {outer, length, inner}, found.dtype(),
               expected_of(kind, doubles(x), outer, length, inner, reverse, inclusive, first), tolerance,
               kind.name + " " + std::string(dtype_name(dtype)) + " " + shape_to_string(x.shape()) +
                   (reverse ? " reverse" : "") + (inclusive ? "" : " exclusive"));
}

void check_all(Dtype dtype, int outer, int length, int inner) {
  std::vector<double> small;  // few that are not 1, so that products stay exact
  for (int i = 0; i < outer * length * inner; ++i) {
    small.push_back(i % 37 == 5 ? 2 : i % 41 == 7 && dtype != bool_ ? 0.5 : 1);
  }
  const array ones_and_twos = make(small, {outer, length, inner}, dtype);
  const array x = make(numbers(int64_t{outer} * length * inner, issubdtype(dtype, integer) ? 3 : 1),
                       {outer, length, inner}, dtype);
  for (const Kind& kind : kinds) {
    const bool is_exact = kind.name == "cummax" || kind.name == "cummin";
    for (const bool reverse : {false, true}) {
      for (const bool inclusive : {false, true}) {
        if (is_exact) {
          check(kind, dtype, x, outer, length, inner, reverse, inclusive, 0);
        } else if (!issubdtype(dtype, floating)) {
          if (kind.name == "cumsum" && length < 30) {
            check(kind, dtype, ones_and_twos, outer, length, inner, reverse, inclusive, 0);
          }
        } else {
          check(kind, dtype, kind.name == "cumprod" ? ones_and_twos : x, outer, length, inner, reverse,
                inclusive,
                rounding_of(dtype) * 2 + 4 * length * rounding_of(dtype == float64 ? float64 : float32));
        }
      }
    }
  }
}

TEST(Cumulative, EveryDtype) {
  for (const Dtype dtype : {bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64, float16,
                            bfloat16, float32, float64}) {
    check_all(dtype, 2, 21, 1);
    check_all(dtype, 2, 21, 3);
    check_all(dtype, 1, 1, 40);
  }
}

TEST(Cumulative, ManyLengths) {
  for (const int length : {1, 2, 15, 16, 17, 31, 33, 100, 1023, 1025, 3000}) {
    check_all(float32, 3, length, 1);
    check_all(float64, 1, length, 5);
  }
  check_all(float32, 1, 5, 1500);
  check_all(bfloat16, 1, 7, 1100);
  for (const Dtype dtype : {float16, bfloat16, int32, int64}) {
    for (const int length : {15, 16, 33, 100}) check_all(dtype, 3, length, 1);
    for (const int columns : {8, 16, 17, 32, 33, 64}) check_all(dtype, 2, 9, columns);
  }
  check_all(float32, 1, 6, 4500);
  check_all(int16, 2, 3, 2500);
}

/// So large that results are written past the caches, where rows begin at lines and where they don't.
TEST(Cumulative, PastTheCaches) {
  for (const auto& [outer, length, inner] : {std::tuple{3, 3000017, 1}, std::tuple{1, 2048, 4096},
                                             std::tuple{1, 2003, 4099}, std::tuple{1, 600001, 16}}) {
    const array x = make(numbers(int64_t{outer} * length * inner, 1000), {outer, length, inner}, int32);
    for (const Kind& kind : kinds) {
      if (kind.name != "cummax" && kind.name != "cummin") continue;
      const bool reverse = kind.name == "cummin";
      check(kind, int32, x, outer, length, inner, reverse, !reverse, 0);
    }
  }
}

/// Long enough that threads share a row, or columns.
TEST(Cumulative, SharedByThreads) {
  const int usual = num_threads();
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    for (const Dtype dtype : {float64, int32, uint8}) {
      for (const auto& [length, inner] : {std::pair{300007, 1}, std::pair{70000, 3}}) {
        const array x = make(numbers(int64_t{length} * inner), {1, length, inner}, dtype);
        for (const Kind& kind : kinds) {
          if (kind.name == "cumprod" || (kind.name == "logcumsumexp" && dtype != float64)) continue;
          if (kind.name == "cumsum" && dtype == uint8) continue;
          for (const bool reverse : {false, true}) {
            check(kind, dtype, x, 1, length, inner, reverse, !reverse, 1e-11);
          }
        }
      }
    }
  }
  set_num_threads(usual);
}

TEST(Cumulative, IntegersWrapAround) {
  expect_array(cumsum(make({100, 100, 100}, {3}, int8)), {3}, int8, {100, -56, 44});
  expect_array(cumprod(make({200, 2, 2}, {3}, uint8)), {3}, uint8, {200, 144, 32});
  expect_array(cumsum(make({4294967295.0, 2}, {2}, uint32)), {2}, uint32, {4294967295.0, 1});
}

/// Down through denormal numbers, and up again; to 0, and from there to nothing else.
TEST(Cumulative, SmallProducts) {
  for (const Dtype dtype : {float32, bfloat16, float16, float64}) {
    for (const bool reverse : {false, true}) {
      for (const bool inclusive : {false, true}) {
        const auto products_of = [&](std::vector<double> row) {
          if (reverse) std::reverse(row.begin(), row.end());
          const array x = make(row, {static_cast<int>(row.size())}, dtype);
          std::vector<double> found = doubles(cumprod(x, 0, reverse, inclusive));
          if (reverse) std::reverse(found.begin(), found.end());
          return found;
        };
        SCOPED_TRACE(std::string(dtype_name(dtype)) + (reverse ? " reverse" : "") +
                     (inclusive ? "" : " exclusive"));
        const int lowest_power = dtype == bfloat16 ? -133 : dtype == float16 ? -24 : -149;
        for (const int steps : {149, 160}) {
          std::vector<double> row(400, 2);
          for (int i = 0; i < steps; ++i) row[static_cast<size_t>(i)] = i % 3 == 1 ? -0.5 : 0.5;
          const std::vector<double> found = products_of(row);
          double power = 1;
          for (size_t i = 0; i < row.size(); ++i) {
            const double before = power;
            power *= row[i];
            if (dtype != float64 && std::abs(power) < std::ldexp(1, -149)) power = 0;
            double expected = inclusive ? power : before;
            if (dtype == float16 && std::abs(expected) > 65504) expected = std::copysign(infinity, expected);
            // (Of two neighbours that are as near, the even one, 0.)
            if (std::abs(expected) <= std::ldexp(0.5, lowest_power) && dtype != float64) expected = 0;
            ASSERT_EQ(found[i], expected) << i << " of " << steps;
          }
        }
        std::vector<double> row(200, 0.5);
        row[130] = infinity;
        row[190] = not_a_number;
        const std::vector<double> found = products_of(row);
        for (size_t i = inclusive ? 130 : 131; i < (inclusive ? 190 : 191); ++i)
          ASSERT_EQ(found[i], infinity) << i;
        for (size_t i = inclusive ? 190 : 191; i < 200; ++i) ASSERT_TRUE(std::isnan(found[i])) << i;
      }
    }
  }
  // Random numbers, against double precision. What denormal numbers are rounded by grows with the product.
  const array x = random::normal({40, 700});
  const std::vector<double> found = doubles(cumprod(x, 1));
  const std::vector<double> factors = doubles(x);
  for (size_t row = 0; row < 40; ++row) {
    double product = 1, error = 0;
    for (size_t i = row * 700; i < (row + 1) * 700; ++i) {
      product *= factors[i];
      error = error * std::abs(factors[i]) + std::ldexp(2, -149);
      ASSERT_NEAR(found[i], product, std::abs(product) * 1e-4 + error) << i;
    }
  }
}

TEST(Cumulative, NotANumberAndInfinities) {
  const array x = make({1, 3, not_a_number, 5, infinity}, {5});
  expect_array(cummax(x), {5}, float32, {1, 3, not_a_number, not_a_number, not_a_number});
  expect_array(cummin(x, true), {5}, float32, {not_a_number, not_a_number, not_a_number, 5, infinity});
  expect_array(cumsum(make({infinity, 1, -infinity}, {3})), {3}, float32, {infinity, infinity, not_a_number});
  expect_array(logcumsumexp(make({-infinity, -infinity, 2, infinity, 0, infinity}, {6})), {6}, float32,
               {-infinity, -infinity, 2, infinity, infinity, infinity}, 1e-6);
  expect_array(logcumsumexp(make({1000, 1000, -1000}, {3})), {3}, float32,
               {1000, 1000 + std::log(2.0), 1000 + std::log(2.0)}, 1e-6);
  std::vector<double> long_row(100, 1);
  long_row[40] = not_a_number;
  const std::vector<double> found = doubles(cummax(make(long_row, {100})));
  for (size_t i = 0; i < 100; ++i) EXPECT_EQ(std::isnan(found[i]), i >= 40) << i;
}

/// Whatever bits it has, also where rounding could carry into its exponent.
TEST(Cumulative, NotANumberStaysSoInBfloat16) {
  for (const int bits : {0x7f81, 0x7fbf, 0x7fc0, 0x7fff, 0xff81, 0xffc0, 0xffff}) {
    std::vector<double> row(100, 0x3f80);
    row[40] = bits;
    const array x = view(make(row, {100}, uint16), bfloat16);
    for (const array& y : {cumsum(x), cumprod(x), cummax(x), cummin(x)}) {
      const std::vector<double> found = doubles(y);
      for (size_t i = 0; i < 100; ++i) EXPECT_EQ(std::isnan(found[i]), i >= 40) << bits << " " << i;
    }
    const std::vector<double> found = doubles(cumsum(x, 0, true));
    for (size_t i = 0; i < 100; ++i) EXPECT_EQ(std::isnan(found[i]), i <= 40) << bits << " " << i;
  }
}

TEST(Cumulative, HalfPrecisionIsRoundedWhenStored) {
  const std::vector<double> found = doubles(cumsum(ones({4096}, float16)));
  EXPECT_EQ(found.back(), 4096);
}

TEST(Cumulative, Dtypes) {
  expect_array(cumsum(make({1, 1, 0}, {3}, bool_)), {3}, int32, {1, 2, 2});
  expect_array(cumsum(make({100, 100}, {2}, int8), false, true, int32), {2}, int32, {100, 200});
  expect_array(cumprod(make({100, 100}, {2}, int8), 0, false, true, float32), {2}, float32, {100, 10000});
  expect_array(cumsum(make({1, 2}, {2}), 0, true, false, default_stream(default_device())), {2}, float32,
               {2, 0});
  expect_array(logcumsumexp(make({0, 0}, {2}, int32)), {2}, float32, {0, std::log(2.0)}, 1e-6);
  const array z = make({1, 2}, {2}, complex64) * array(complex64_t(0, 1));
  expect_array(imag(cumsum(z)), {2}, float32, {1, 3});
  expect_array(real(cumprod(z)), {2}, float32, {0, -2});
}

/// Against a loop, in rows, columns and parts that threads share.
TEST(Cumulative, ComplexNumbers) {
  using Complex = std::complex<double>;
  const auto is_less = [](Complex a, Complex b) {
    return a.real() != b.real() ? a.real() < b.real() : a.imag() < b.imag();
  };
  struct ComplexKind {
    const char* name;
    array (*scan)(const array&, int, bool, bool, StreamOrDevice);
    std::function<Complex(Complex, Complex)> combine;
    Complex identity;
  };
  const std::vector<ComplexKind> complex_kinds{
      {"cummax", cummax, [&](Complex a, Complex b) { return is_less(a, b) ? b : a; }, {-infinity, -infinity}},
      {"cummin", cummin, [&](Complex a, Complex b) { return is_less(b, a) ? b : a; }, {infinity, infinity}},
      {"logcumsumexp",
       logcumsumexp,
       [](Complex a, Complex b) { return a.real() == -infinity ? b : a + std::log(1.0 + std::exp(b - a)); },
       {-infinity, 0}},
  };
  for (const ComplexKind& kind : complex_kinds) {
    for (const Shape& shape : {Shape{7, 1}, Shape{5, 3}, Shape{300000, 1}}) {
      const int rows = shape[0].hint(), columns = shape[1].hint();
      // Real parts are often equal, and logarithms stay near the principal branch.
      const array re = floor(multiply(make_numbers(shape), array(2.0f)));
      const array im = multiply(make_numbers(shape, float32, 0.37), array(0.05f));
      const array z = add(astype(re, complex64), multiply(astype(im, complex64), array(complex64_t(0, 1))));
      const std::vector<double> x = doubles(re), y = doubles(im);
      for (const bool reverse : {false, true}) {
        for (const bool inclusive : {true, false}) {
          SCOPED_TRACE(std::string(kind.name) + (reverse ? " reverse" : "") +
                       (inclusive ? "" : " exclusive"));
          std::vector<double> expected_re(x.size()), expected_im(x.size());
          for (int column = 0; column < columns; ++column) {
            Complex last = kind.identity;
            for (int i = 0; i < rows; ++i) {
              const auto at = static_cast<size_t>((reverse ? rows - 1 - i : i) * columns + column);
              const Complex before = last;
              last = i == 0 ? Complex(x[at], y[at]) : kind.combine(before, {x[at], y[at]});
              expected_re[at] = (inclusive ? last : before).real();
              expected_im[at] = (inclusive ? last : before).imag();
            }
          }
          const array found = kind.scan(z, 0, reverse, inclusive, {});
          ASSERT_EQ(found.dtype(), complex64);
          // Logarithms are rounded at every step.
          const double tolerance = rows > 1000 && kind.scan == complex_kinds.back().scan ? 1e-3 : 1e-5;
          expect_array(real(found), shape, float32, expected_re, tolerance);
          expect_array(imag(found), shape, float32, expected_im, 10 * tolerance);
        }
      }
    }
  }
  const array none(complex64_t(not_a_number, 1));
  const array numbers =
      concatenate({array({complex64_t(1, 2)}), reshape(none, {1}), array({complex64_t(9, 0)})}, 0);
  for (const array& found : {cummax(numbers), cummin(numbers), logcumsumexp(numbers)}) {
    expect_array(isnan(found), {3}, bool_, {0, 1, 1});
  }
  const array levels = make({-infinity, -infinity, 2, infinity}, {4}, complex64);
  expect_array(real(logcumsumexp(levels)), {4}, float32, {-infinity, -infinity, 2, infinity});
}

TEST(Cumulative, AxesAndViews) {
  const array x = make_numbers({3, 4, 5});
  for (int axis = -3; axis < 3; ++axis) {
    const array rows = moveaxis(x, axis, -1);
    expect_array(cumsum(x, axis), {3, 4, 5}, float32,
                 doubles(moveaxis(cumsum(contiguous(rows), -1), -1, axis)), 1e-6);
  }
  expect_array(cumsum(flip(counting({5}))), {5}, float32, {4, 7, 9, 10, 10});
  expect_array(cumsum(broadcast_to(make({1, 2}, {2, 1}), {2, 3}), 1), {2, 3}, float32, {1, 2, 3, 2, 4, 6});
  expect_array(cumsum(transpose(counting({2, 3}))), {6}, float32, {0, 3, 4, 8, 10, 15});
  expect_array(cumsum(zeros({0, 3}), 0), {0, 3}, float32, {});
  expect_array(cummax(zeros({3, 0}), 0), {3, 0}, float32, {});
  expect_array(cumprod(array(3.0f)), {1}, float32, {3});
}

TEST(Cumulative, Differences) {
  const array x = make({1, 4, 9, 16, 5}, {5});
  expect_array(diff(x), {4}, float32, {3, 5, 7, -11});
  expect_array(diff(x, 2), {3}, float32, {2, 2, -18});
  expect_array(diff(x, 0), {5}, float32, doubles(x));
  expect_array(diff(x, 7), {0}, float32, {});
  expect_array(diff(make({1, 0, 0, 1}, {4}, bool_)), {3}, bool_, {1, 0, 1});
  expect_array(diff(counting({2, 3}), 1, 0), {1, 3}, float32, {3, 3, 3});
  expect_error([&] { diff(x, -1); }, "[diff]");
  expect_error([&] { diff(x, 1, 1); }, "[diff]");
}

TEST(Cumulative, Errors) {
  expect_error([] { cumsum(zeros({2}), 1); }, "[cumsum]");
  expect_error([] { cumprod(zeros({2}), -2); }, "[cumprod]");
}

TEST(Cumulative, InACompiledFunction) {
  const CompiledFunction f = compile([](const std::vector<array>& in) {
    return std::vector<array>{cumsum(in[0] * 2.0f, 0) + 1.0f, cummax(transpose(in[0]), 0)};
  });
  for (const int n : {2, 5, 40}) {
    const array x = make_numbers({n, n + 1});
    const std::vector<array> found = f({x});
    expect_array(found[0], {n, n + 1}, float32, doubles(cumsum(x * 2.0f, 0) + 1.0f), 1e-6);
    expect_array(found[1], {n + 1, n}, float32, doubles(cummax(transpose(x), 0)));
  }
  EXPECT_EQ(f.trace_count(), 1);
}

}  // namespace
}  // namespace lazuli::test
