// Reductions against loops, over axes, dtypes and layouts.

#include <algorithm>

#include "helpers.h"

namespace lazuli::test {
namespace {

using Fold = std::function<double(const std::vector<double>&)>;

/// Reduces by a function of the elements along the axes, in row-major order.
std::vector<double> reduced(const array& a, const std::vector<int>& axes, const Fold& fold) {
  const std::vector<double> x = doubles(a);
  Shape outer = a.shape();
  for (int axis : axes) outer[static_cast<size_t>(axis)] = 1;
  std::vector<std::vector<double>> rows(static_cast<size_t>(element_count(outer)));
  for_each_index(a.shape(), [&](const std::vector<int>& index) {
    rows[place(outer, index)].push_back(x[place(a.shape(), index)]);
  });
  std::vector<double> result;
  for (const std::vector<double>& row : rows) result.push_back(fold(row));
  return result;
}

double sum_of(const std::vector<double>& x) {
  double total = 0;
  for (double value : x) total += value;
  return total;
}
double mean_of(const std::vector<double>& x) {
  return sum_of(x) / static_cast<double>(x.size());
}
double var_of(const std::vector<double>& x) {
  double total = 0;
  for (double value : x) total += (value - mean_of(x)) * (value - mean_of(x));
  return total / static_cast<double>(x.size());
}

struct Case {
  const char* name;
  array (*operation)(const array&, const std::vector<int>&, bool, StreamOrDevice);
  Fold fold;
};

const std::vector<Case> cases{
    {"sum", sum, sum_of},
    {"mean", mean, mean_of},
    {"max", max, [](const std::vector<double>& x) { return *std::max_element(x.begin(), x.end()); }},
    {"min", min, [](const std::vector<double>& x) { return *std::min_element(x.begin(), x.end()); }},
    {"var",
     [](const array& a, const std::vector<int>& axes, bool keep, StreamOrDevice s) {
       return var(a, axes, keep, 0, s);
     },
     var_of},
    {"std",
     [](const array& a, const std::vector<int>& axes, bool keep, StreamOrDevice s) {
       return lazuli::std(a, axes, keep, 0, s);
     },
     [](const std::vector<double>& x) { return std::sqrt(var_of(x)); }},
    {"logsumexp", logsumexp,
     [](const std::vector<double>& x) {
       double total = 0;
       for (double value : x) total += std::exp(value);
       return std::log(total);
     }},
};

TEST(Reduce, AxesShapesAndLayouts) {
  const std::pair<Shape, std::vector<int>> problems[] = {
      {{7}, {0}},        {{3, 67}, {1}},   {{67, 3}, {0}},         {{3, 67}, {0, 1}}, {{2, 3, 35}, {0, 2}},
      {{2, 3, 35}, {1}}, {{4, 5, 6}, {0}}, {{2, 3, 4, 5}, {1, 3}}, {{1, 1}, {0, 1}},  {{1, 300}, {1}},
  };
  for (const Case& c : cases) {
    for (Dtype dtype : {float32, float64, float16, bfloat16}) {
      for (const auto& [shape, axes] : problems) {
        Shape turned_shape(shape.rbegin(), shape.rend());
        const array plain = make_numbers(shape, dtype);
        const array turned = transpose(make_numbers(turned_shape, dtype));
        for (const array& a : {plain, turned}) {
          const std::vector<double> expected = reduced(a, axes, c.fold);
          Shape kept = shape;
          Shape dropped;
          for (size_t i = 0; i < shape.size(); ++i) {
            if (std::find(axes.begin(), axes.end(), static_cast<int>(i)) != axes.end()) {
              kept[i] = 1;
            } else {
              dropped.push_back(shape[i]);
            }
          }
          const double tolerance = rounding_of(dtype) + (dtype == float64 ? 1e-13 : 2e-5);
          const std::string what =
              std::string(c.name) + " of " + std::string(dtype_name(dtype)) + " " + shape_to_string(shape);
          expect_array(c.operation(a, axes, true, {}), kept, dtype, expected, tolerance, what);
          expect_array(c.operation(a, axes, false, {}), dropped, dtype, expected, tolerance, what);
        }
      }
    }
  }
}

TEST(Reduce, NegativeAxesAndWholeArrays) {
  const array a = counting({2, 3});
  expect_array(sum(a), {}, float32, {15});
  expect_array(sum(a, true), {1, 1}, float32, {15});
  expect_array(sum(a, -1), {2}, float32, {3, 12});
  expect_array(sum(a, {-1, 0}), {}, float32, {15});
  expect_array(sum(a, std::vector<int>{}), {2, 3}, float32, {0, 1, 2, 3, 4, 5});
  expect_array(sum(array(3.0f)), {}, float32, {3});
  expect_array(max(a, 0, true), {1, 3}, float32, {3, 4, 5});
  expect_error([&] { sum(a, 2); }, "[sum]");
  expect_error([&] { sum(a, {0, 0}); }, "[sum]");
  expect_error([&] { max(a, -3); }, "[max]");
}

TEST(Reduce, IntegerRules) {
  const std::pair<Dtype, Dtype> sums[] = {{bool_, int32},   {int8, int32},    {int16, int32},
                                          {int32, int32},   {int64, int64},   {uint8, uint32},
                                          {uint16, uint32}, {uint32, uint32}, {uint64, uint64}};
  for (const auto& [from, to] : sums) {
    const array x = make({1, 0, 1, 1}, {4}, from);
    expect_array(sum(x), {}, to, {3});
    expect_array(prod(x), {}, to, {0});
    expect_array(max(x), {}, from, {1});
    expect_array(min(x), {}, from, {0});
    expect_array(mean(x), {}, float32, {0.75});
  }
  expect_array(sum(full({300}, 100, int8)), {}, int32, {30000});
  expect_array(sum(full({300}, 200, uint8)), {}, uint32, {60000});
  expect_array(prod(make({-2, 3, 5}, {3}, int16)), {}, int32, {-30});
  expect_array(prod(make({1.5, 2, 4}, {3})), {}, float32, {12});
}

TEST(Reduce, Logic) {
  const array a = make({1, 2, 0, 3, 0, 0}, {3, 2});
  expect_array(all(a), {}, bool_, {0});
  expect_array(any(a), {}, bool_, {1});
  expect_array(all(a, 1), {3}, bool_, {1, 0, 0});
  expect_array(any(a, 1), {3}, bool_, {1, 1, 0});
  expect_array(any(a, 0, true), {1, 2}, bool_, {1, 1});
  expect_array(all(make({not_a_number, 0.25}, {2})), {}, bool_, {1});
  expect_array(count_nonzero(a), {}, int32, {3});
  expect_array(count_nonzero(a, 1), {3}, int32, {2, 1, 0});
}

TEST(Reduce, NothingToReduce) {
  const array empty = zeros({0, 3});
  expect_array(sum(empty), {}, float32, {0});
  expect_array(sum(empty, 0), {3}, float32, {0, 0, 0});
  expect_array(sum(empty, 1), {0}, float32, {});
  expect_array(prod(empty, 0), {3}, float32, {1, 1, 1});
  expect_array(all(empty), {}, bool_, {1});
  expect_array(any(empty), {}, bool_, {0});
  expect_array(mean(empty, 0), {3}, float32, {not_a_number, not_a_number, not_a_number});
  expect_array(max(empty, 1), {0}, float32, {});
  expect_array(softmax(empty, 0), {0, 3}, float32, {});
  expect_error([&] { max(empty, 0); }, "[max]");
  expect_error([&] { min(empty); }, "[min]");
  expect_error([&] { argmax(empty, 0); }, "[argmax]");
  expect_error([&] { logsumexp(empty, 0); }, "[logsumexp]");
}

TEST(Reduce, NanAndInfinity) {
  const array a = make({1, not_a_number, 3, infinity, -infinity, 2}, {3, 2});
  expect_array(max(a, 1), {3}, float32, {not_a_number, infinity, 2});
  expect_array(min(a, 1), {3}, float32, {not_a_number, 3, -infinity});
  expect_array(sum(a, 0), {2}, float32, {-infinity, not_a_number});
  expect_array(argmax(a, 1), {3}, uint32, {1, 1, 1});
  expect_array(argmin(a, 1), {3}, uint32, {1, 0, 0});
  const array edges = make({-infinity, -infinity, infinity, 1, not_a_number, 1}, {3, 2});
  expect_array(logsumexp(edges, 1), {3}, float32, {-infinity, infinity, not_a_number});
}

TEST(Reduce, Positions) {
  const array a = make({3, 1, 3, 0, 5, 5}, {2, 3});
  expect_array(argmax(a), {}, uint32, {4});
  expect_array(argmin(a), {}, uint32, {3});
  expect_array(argmax(a, true), {1, 1}, uint32, {4});
  expect_array(argmax(a, 1), {2}, uint32, {0, 1});
  expect_array(argmin(a, 0), {3}, uint32, {1, 0, 0});
  expect_array(argmax(a, -1, true), {2, 1}, uint32, {0, 1});
  for (Dtype dtype : {int8, uint8, int64, uint64, bool_, float16, bfloat16, float64}) {
    expect_array(argmax(make({0, 1, 0, 1}, {4}, dtype)), {}, uint32, {1}, 0, std::string(dtype_name(dtype)));
  }
  // Long rows, so that every lane and tail takes part.
  for (int n : {1, 7, 64, 129, 1000}) {
    const array row = make_numbers({n});
    const std::vector<double> x = doubles(row);
    expect_array(argmax(row), {}, uint32,
                 {static_cast<double>(std::max_element(x.begin(), x.end()) - x.begin())});
    expect_array(argmin(row), {}, uint32,
                 {static_cast<double>(std::min_element(x.begin(), x.end()) - x.begin())});
  }
  expect_array(argmax(array(2.0f)), {}, uint32, {0});
}

TEST(Reduce, VarianceWithFewerDegreesOfFreedom) {
  const array a = make({1, 2, 4, 9}, {4});
  expect_array(var(a, false, 1), {}, float32, {38.0 / 3}, 1e-6);
  expect_array(lazuli::std(a, 0, false, 1), {}, float32, {std::sqrt(38.0 / 3)}, 1e-6);
  expect_array(var(make({5}, {1}), false, 1), {}, float32, {not_a_number});
  // A large mean does not swallow a small variance.
  expect_array(var(make({10001, 10002, 10003}, {3})), {}, float32, {2.0 / 3}, 1e-4);
}

TEST(Reduce, HalfPrecisionSumsAreWide) {
  // 4096 ones more than float16 can count one by one, and a mean whose sum overflows it.
  expect_array(sum(ones({6000}, float16)), {}, float16, {6000});
  expect_array(mean(full({3000}, 100.0f, float16)), {}, float16, {100});
  expect_array(sum(ones({300}, bfloat16)), {}, bfloat16, {300});
}

TEST(Reduce, LongSumsAreAccurate) {
  const array x = full({1000003}, 0.1f);
  expect_array(sum(x), {}, float32, {1000003 * static_cast<double>(0.1f)}, 1e-3);
}

TEST(Reduce, ComplexSums) {
  const array z = view(counting({2, 4}), complex64);  // 0+1i, 2+3i; 4+5i, 6+7i
  expect_array(real(sum(z)), {}, float32, {12});
  expect_array(imag(sum(z, 0)), {2}, float32, {6, 10});
  expect_array(imag(mean(z, 1)), {2}, float32, {2, 6});
}

TEST(Reduce, ComplexProducts) {
  const auto expect_parts = [](const array& found, const Shape& shape, const std::vector<double>& re,
                               const std::vector<double>& im) {
    EXPECT_EQ(found.dtype(), complex64);
    expect_array(real(found), shape, float32, re, 1e-6);
    expect_array(imag(found), shape, float32, im, 1e-6);
  };
  const array z = view(counting({2, 4}), complex64);  // 0+1i, 2+3i; 4+5i, 6+7i
  expect_parts(prod(z), {}, {-83}, {-196});
  expect_parts(prod(z, 0), {2}, {-5, -9}, {4, 32});
  expect_parts(prod(z, -1, true), {2, 1}, {-3, -11}, {2, 58});
  expect_parts(prod(z, {0, 1}, true), {1, 1}, {-83}, {-196});
  expect_parts(prod(transpose(z), 0), {2}, {-3, -11}, {2, 58});
  expect_parts(prod(zeros({2, 0}, complex64), 1), {2}, {1, 1}, {0, 0});
  expect_parts(prod(zeros({0, 2}, complex64), 1), {0}, {}, {});
  expect_error([&] { prod(z, 2); }, "[prod]");
  // Zeros are right, in gradients too.
  const auto part = [](const array& a) { return real(prod(a)); };
  const array with_zero = view(make({0, 0, 2, 3, 1, -1}, {6}), complex64);
  const array gradient = grad(std::function<array(const array&)>(part))(with_zero);
  expect_parts(gradient, {3}, {5, 0, 0}, {-1, 0, 0});
  const CompiledFunction f =
      compile([](const std::vector<array>& in) { return std::vector<array>{prod(in[0], 0)}; });
  for (const int n : {1, 3, 7}) {
    const array x = view(make_numbers({n, 4}), complex64);
    const array found = f({x})[0];
    expect_parts(found, {2}, doubles(real(prod(x, 0))), doubles(imag(prod(x, 0))));
  }
}

TEST(Reduce, ComplexVariances) {
  const array z = view(counting({2, 4}), complex64);  // 0+1i, 2+3i; 4+5i, 6+7i: apart by multiples of 1+i
  expect_array(real(var(z, 0)), {2}, float32, {0, 0}, 1e-6);
  expect_array(imag(var(z, 0)), {2}, float32, {8, 8}, 1e-6);
  expect_array(imag(var(z, 1, true, 1)), {2, 1}, float32, {4, 4}, 1e-6);
  EXPECT_EQ(var(z).dtype(), complex64);
  expect_array(real(std(z, 0)), {2}, float32, {2, 2}, 1e-6);
  expect_array(imag(std(z, 0)), {2}, float32, {2, 2}, 1e-6);
  // Rows that are long enough for kernels of their own.
  const array rows = view(make_numbers({3, 2048}), complex64);
  const array distance = rows - mean(rows, 1, true);
  expect_array(imag(var(rows, 1)), {3}, float32, doubles(imag(mean(distance * distance, 1))), 1e-5);
}

TEST(Reduce, Softmax) {
  const array x = make_numbers({3, 37}, float32, 10);
  const std::vector<double> v = doubles(x);
  std::vector<double> expected(v.size());
  for (size_t i = 0; i < 3; ++i) {
    const double top =
        *std::max_element(v.begin() + static_cast<long>(i * 37), v.begin() + static_cast<long>((i + 1) * 37));
    double total = 0;
    for (size_t j = 0; j < 37; ++j) total += std::exp(v[i * 37 + j] - top);
    for (size_t j = 0; j < 37; ++j) expected[i * 37 + j] = std::exp(v[i * 37 + j] - top) / total;
  }
  expect_array(softmax(x, -1), {3, 37}, float32, expected, 1e-6);
  expect_array(softmax(x, 1, true), {3, 37}, float32, expected, 1e-6);
  expect_array(softmax(astype(x, bfloat16), -1), {3, 37}, bfloat16, expected, 0.2);
  expect_array(softmax(make({1, 1, 1, 1}, {2, 2})), {2, 2}, float32, {0.25, 0.25, 0.25, 0.25});
  expect_array(softmax(make({1, 1}, {2}, int32)), {2}, float32, {0.5, 0.5});
  expect_array(softmax(make({-infinity, 0, 0}, {3})), {3}, float32, {0, 0.5, 0.5});
  expect_array(softmax(make({1000, 1000}, {2})), {2}, float32, {0.5, 0.5});
  expect_array(softmax(make({1, 1, 1, 1}, {2, 2}), 0), {2, 2}, float32, {0.5, 0.5, 0.5, 0.5});
}

TEST(Reduce, ExponentialsOfComplexNumbers) {
  using Complex = std::complex<double>;
  const std::vector<complex64_t> elements{{1, 2}, {300, 0.5f}, {300, -1}, {-4, 1}, {0, 0}, {0.5f, -0.25f}};
  const array z(elements.begin(), {2, 3});
  const array shares = softmax(z, std::vector<int>{1});
  const array logarithms = logsumexp(z, 1);
  for (int row = 0; row < 2; ++row) {
    Complex highest(elements[static_cast<size_t>(row * 3)]);
    for (size_t i = 0; i < 3; ++i) {
      const Complex x(elements[static_cast<size_t>(row * 3) + i]);
      const bool is_higher =
          x.real() != highest.real() ? x.real() > highest.real() : x.imag() > highest.imag();
      if (is_higher) highest = x;
    }
    Complex sum = 0;
    for (size_t i = 0; i < 3; ++i)
      sum += std::exp(Complex(elements[static_cast<size_t>(row * 3) + i]) - highest);
    const Complex logarithm(take(logarithms, row, 0).item<complex64_t>());
    EXPECT_LE(std::abs(logarithm - (std::log(sum) + highest)), 1e-5 * std::abs(logarithm)) << row;
    for (size_t i = 0; i < 3; ++i) {
      const Complex share(take(take(shares, row, 0), static_cast<int>(i), 0).item<complex64_t>());
      const Complex expected = std::exp(Complex(elements[static_cast<size_t>(row * 3) + i]) - highest) / sum;
      EXPECT_LE(std::abs(share - expected), 1e-6) << row << " " << i;
    }
  }
  EXPECT_EQ(logsumexp(make({-infinity, -infinity}, {2}, complex64)).item<complex64_t>().real(), -infinity);
  EXPECT_EQ(logsumexp(make({infinity, 1}, {2}, complex64)).item<complex64_t>().real(), infinity);
  EXPECT_TRUE(isnan(logsumexp(make({not_a_number, 1}, {2}, complex64))).item<bool>());
  EXPECT_EQ(softmax(zeros({0, 2}, complex64)).shape(), Shape({0, 2}));
}

/// By real parts, then by imaginary ones; no number comes before all.
TEST(Reduce, ExtremesOfComplexNumbers) {
  using Complex = std::complex<float>;
  const float nan = std::nanf(""), infinity = std::numeric_limits<float>::infinity();
  const auto before = [](Complex a, Complex b) {
    const bool a_is_nan = std::isnan(a.real()) || std::isnan(a.imag());
    const bool b_is_nan = std::isnan(b.real()) || std::isnan(b.imag());
    if (a_is_nan || b_is_nan) return a_is_nan && !b_is_nan;
    return a.real() != b.real() ? a.real() > b.real() : a.imag() > b.imag();
  };
  const auto after = [](Complex a, Complex b) {
    const bool a_is_nan = std::isnan(a.real()) || std::isnan(a.imag());
    const bool b_is_nan = std::isnan(b.real()) || std::isnan(b.imag());
    if (a_is_nan || b_is_nan) return a_is_nan && !b_is_nan;
    return a.real() != b.real() ? a.real() < b.real() : a.imag() < b.imag();
  };
  const std::vector<std::vector<Complex>> rows{
      {{1, 2}, {1, 3}, {1, -1}, {0, 9}},
      {{-infinity, -infinity}, {-infinity, -infinity}, {-infinity, -infinity}, {-infinity, -infinity}},
      {{infinity, -infinity}, {infinity, 0}, {2, infinity}, {infinity, 0}},
      {{5, 0}, {7, nan}, {9, 0}, {nan, 1}},
      {{0, 0}, {0, 0}, {0, -0.0f}, {0, 0}},
  };
  std::vector<complex64_t> flat;
  std::vector<double> greatest, least;
  for (const std::vector<Complex>& row : rows) {
    for (const Complex& value : row) flat.emplace_back(value);
    const auto first = [&](const auto& wins) {
      size_t best = 0;
      for (size_t i = 1; i < row.size(); ++i) best = wins(row[i], row[best]) ? i : best;
      return static_cast<double>(best);
    };
    greatest.push_back(first(before));
    least.push_back(first(after));
  }
  const array x(flat.begin(), {5, 4}, complex64);
  for (const bool compiled : {false, true}) {
    const auto all = [](const std::vector<array>& in) {
      return std::vector<array>{argmax(in[0], 1), argmin(in[0], 1), max(in[0], 1), min(in[0], 1)};
    };
    const std::vector<array> found = compiled ? compile(all)({x}) : all({x});
    expect_array(found[0], {5}, uint32, greatest);
    expect_array(found[1], {5}, uint32, least);
    for (size_t which : {0, 1}) {
      const array chosen = squeeze(take_along_axis(x, expand_dims(found[which], 1), 1), 1);
      EXPECT_TRUE(array_equal(real(found[2 + which]), real(chosen), true).item<bool>());
      EXPECT_TRUE(array_equal(imag(found[2 + which]), imag(chosen), true).item<bool>());
    }
  }
  const array y = reshape(slice(x, {0, 0}, {3, 4}), {3, 2, 2});
  EXPECT_EQ(max(y, std::vector<int>{0, 2}).shape(), Shape({2}));
  EXPECT_EQ(max(y, std::vector<int>{2, 0}, true).shape(), Shape({1, 2, 1}));
  EXPECT_EQ(max(y, std::vector<int>{}).shape(), Shape({3, 2, 2}));
  EXPECT_TRUE(array_equal(max(y), max(flatten(y), 0)).item<bool>());
  EXPECT_TRUE(array_equal(min(y, true), reshape(min(y), {1, 1, 1})).item<bool>());
  expect_error([] { max(zeros({0}, complex64)); }, "[max]");
  expect_error([] { argmin(zeros({2, 0}, complex64), 1); }, "[argmin]");

  // The gradient goes to the element that is taken.
  const array z = astype(make({1, 4, 2, 4}, {4}), complex64);
  const auto squared = [](const array& a) { return real(max(a) * max(a)); };
  const array slope = grad(squared)(z);
  EXPECT_TRUE(array_equal(slope, astype(make({0, 8, 0, 0}, {4}), complex64)).item<bool>());
}

TEST(Reduce, NumberOfElements) {
  const array a = zeros({2, 3, 5});
  expect_array(number_of_elements(a, {0, -1}, false), {}, int32, {10});
  expect_array(number_of_elements(a, {1}, true, float32), {}, float32, {1.0 / 3}, 1e-7);
  expect_array(number_of_elements(a, {}, false, float32), {}, float32, {1});
}

TEST(Reduce, FollowTheLengthThatACompiledFunctionIsCalledWith) {
  const CompiledFunction f = compile([](const std::vector<array>& in) {
    return std::vector<array>{mean(in[0]), var(in[0], false, 1), softmax(in[0]),
                              number_of_elements(in[0], {0}, true, float32), argmax(in[0])};
  });
  for (int n : {6, 10, 33}) {
    const array x = counting({n});
    const std::vector<array> out = f({x});
    expect_array(out[0], {}, float32, {(n - 1) / 2.0}, 1e-6);
    expect_array(out[1], {}, float32, {n * (n + 1) / 12.0}, 1e-5);
    expect_array(sum(out[2]), {}, float32, {1}, 1e-6);
    expect_array(out[3], {}, float32, {1.0 / n}, 1e-6);
    expect_array(out[4], {}, uint32, {static_cast<double>(n - 1)});
  }
  EXPECT_EQ(f.trace_count(), 1);
}

}  // namespace
}  // namespace lazuli::test
