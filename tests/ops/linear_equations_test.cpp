// Inverses, linear equations, determinants, norms and cross products.

#include <gtest/gtest.h>

#include <cmath>

#include "helpers.h"

namespace lazuli::test {
namespace {

constexpr Dtype dtypes[] = {float32, float64, complex64};

double tolerance_of(Dtype dtype) {
  return dtype == float64 ? 1e-11 : 1e-3;
}

/// Matrices that are far from singular.
array matrices(const Shape& shape, Dtype dtype) {
  const Dtype real = dtype == complex64 ? float32 : dtype;
  const array a = make_numbers(shape, real, 0.5) +
                  eye(shape[shape.size() - 2], shape.back(), 0, real) * array(4.0f, real);
  if (dtype != complex64) return a;
  return astype(a, complex64) +
         astype(make_numbers(shape, float32, 0.3), complex64) * array(complex64_t(0, 1));
}

double difference(const array& a, const array& b) {
  EXPECT_EQ(shape_to_string(a.shape()), shape_to_string(b.shape()));
  if (a.size() == 0) return 0;
  return astype(max(abs(a - b)), float64).item<double>();
}

array identity_like(const array& a) {
  return broadcast_to(eye(a.shape(-1), a.dtype()), a.shape());
}

std::vector<Shape> square_shapes() {
  return {{1, 1},    {2, 2},       {3, 3},    {17, 17},  {40, 40},
          {2, 4, 4}, {2, 3, 5, 5}, {0, 3, 3}, {2, 0, 0}, {64, 3, 3}};
}

TEST(LinearEquations, Inverses) {
  for (const Dtype dtype : dtypes) {
    for (const Shape& shape : square_shapes()) {
      const array a = matrices(shape, dtype);
      for (const array& view : {a, swapaxes(contiguous(swapaxes(a, -1, -2)), -1, -2)}) {
        const array inverse = linalg::inv(view);
        ASSERT_EQ(inverse.dtype(), dtype);
        EXPECT_LE(difference(matmul(a, inverse), identity_like(a)), tolerance_of(dtype));
        for (const bool upper : {false, true}) {
          const array triangle = upper ? triu(a) : tril(a);
          const array of_triangle = linalg::tri_inv(view, upper);
          EXPECT_LE(difference(of_triangle, upper ? triu(of_triangle) : tril(of_triangle)), 0);
          EXPECT_LE(difference(matmul(triangle, of_triangle), identity_like(a)), tolerance_of(dtype));
        }
      }
    }
  }
  const array singular = make({1, 2, 2, 4}, {2, 2});
  expect_error<std::runtime_error>([&] { eval(linalg::inv(singular)); }, "[linalg::inv] ");
  expect_error<std::runtime_error>([&] { eval(linalg::solve(singular, ones({2}))); }, "[linalg::solve] ");
  const array zero_pivot = make({1, 0, 2, 0}, {2, 2});
  expect_error<std::runtime_error>([&] { eval(linalg::tri_inv(zero_pivot)); }, "[linalg::tri_inv] ");
  expect_error<std::runtime_error>([&] { eval(linalg::solve_triangular(zero_pivot, ones({2}))); },
                                   "[linalg::solve_triangular] ");
  // After an error everything still works.
  EXPECT_LE(difference(linalg::inv(make({2, 0, 0, 4}, {2, 2})), make({0.5, 0, 0, 0.25}, {2, 2})), 0);
}

TEST(LinearEquations, PseudoInverses) {
  for (const Dtype dtype : dtypes) {
    for (const Shape& shape :
         {Shape{3, 3}, Shape{5, 3}, Shape{3, 5}, Shape{2, 4, 6}, Shape{1, 7}, Shape{4, 0}, Shape{0, 2, 3}}) {
      const array a = matrices(shape, dtype);
      const array p = linalg::pinv(a);
      ASSERT_EQ(p.dtype(), dtype);
      ASSERT_EQ(p.shape(-1), a.shape(-2));
      if (a.size() == 0) continue;
      const array left = matmul(a, p);
      const array right = matmul(p, a);
      const double tolerance = tolerance_of(dtype) / 10;
      EXPECT_LE(difference(matmul(left, a), a), tolerance);
      EXPECT_LE(difference(matmul(p, left), p), tolerance);
      EXPECT_LE(difference(left, conjugate(swapaxes(left, -1, -2))), tolerance);
      EXPECT_LE(difference(right, conjugate(swapaxes(right, -1, -2))), tolerance);
    }
  }
  // Of lower rank.
  const array p = linalg::pinv(make({1, 2, 2, 4}, {2, 2}));
  expect_array(p, {2, 2}, float32, {0.04, 0.08, 0.08, 0.16}, 1e-5);
  expect_array(linalg::pinv(zeros({2, 3})), {3, 2}, float32, std::vector<double>(6, 0));
}

TEST(LinearEquations, Solve) {
  for (const Dtype dtype : dtypes) {
    for (const Shape& shape : square_shapes()) {
      const array a = matrices(shape, dtype);
      for (const int columns : {1, 3, 0}) {
        Shape of_side = shape;
        of_side.back() = columns;
        const array b = make_numbers(of_side, dtype == complex64 ? float32 : dtype);
        const array x = linalg::solve(a, b);
        ASSERT_EQ(x.dtype(), dtype);
        EXPECT_LE(difference(matmul(a, x), astype(b, dtype)), tolerance_of(dtype));
        for (const bool upper : {false, true}) {
          const array of_triangle = linalg::solve_triangular(a, b, upper);
          EXPECT_LE(difference(matmul(upper ? triu(a) : tril(a), of_triangle), astype(b, dtype)),
                    tolerance_of(dtype));
        }
      }
    }
  }
  // Vectors, and batches that broadcast.
  const array a = matrices({2, 1, 3, 3}, float32);
  const array v = make_numbers({3});
  EXPECT_LE(
      difference(squeeze(matmul(a, expand_dims(linalg::solve(a, v), -1)), -1), broadcast_to(v, {2, 1, 3})),
      1e-5);
  const array sides = make_numbers({4, 3, 2});
  EXPECT_LE(difference(matmul(a, linalg::solve(a, sides)), broadcast_to(sides, {2, 4, 3, 2})), 1e-5);
  const array one = matrices({3, 3}, float32);
  EXPECT_LE(difference(matmul(one, linalg::solve(one, sides)), sides), 1e-5);
  // Dtypes meet.
  ASSERT_EQ(linalg::solve(one, ones({3}, float64)).dtype(), float64);
  ASSERT_EQ(linalg::solve(one, ones({3}, int32)).dtype(), float32);
  expect_error([&] { linalg::solve(one, ones({2})); }, "[linalg::solve] ");
  expect_error([&] { linalg::solve(one, array(1.0f)); }, "[linalg::solve] ");
}

/// The determinant by its definition, in double precision.
double determinant(std::vector<double> a, int n) {
  if (n == 0) return 1;
  double sum = 0;
  for (int column = 0; column < n; ++column) {
    std::vector<double> rest;
    for (int i = 1; i < n; ++i) {
      for (int j = 0; j < n; ++j) {
        if (j != column) rest.push_back(a[static_cast<size_t>(i * n + j)]);
      }
    }
    sum += (column % 2 == 0 ? 1 : -1) * a[static_cast<size_t>(column)] * determinant(rest, n - 1);
  }
  return sum;
}

TEST(LinearEquations, Determinants) {
  for (const Dtype dtype : {float32, float64}) {
    for (int n = 0; n <= 6; ++n) {
      const array a = matrices({3, n, n}, dtype) * array(-0.5, dtype);
      std::vector<double> expected;
      std::vector<double> signs;
      std::vector<double> logarithms;
      const std::vector<double> elements = doubles(a);
      for (int i = 0; i < 3; ++i) {
        const auto begin = elements.begin() + i * n * n;
        expected.push_back(determinant({begin, begin + n * n}, n));
        signs.push_back(expected.back() > 0 ? 1 : expected.back() < 0 ? -1 : 0);
        logarithms.push_back(std::log(std::abs(expected.back())));
      }
      const double tolerance = dtype == float64 ? 1e-10 : 1e-4;
      expect_array(linalg::det(a), {3}, dtype, expected, tolerance, std::to_string(n));
      const auto [sign, logarithm] = linalg::slogdet(a);
      expect_array(sign, {3}, dtype, signs, tolerance);
      expect_array(logarithm, {3}, dtype, logarithms, tolerance);
    }
  }
  const array singular = make({1, 2, 2, 4}, {2, 2});
  EXPECT_EQ(linalg::det(singular).item<float>(), 0);
  const auto [sign, logarithm] = linalg::slogdet(singular);
  EXPECT_EQ(sign.item<float>(), 0);
  EXPECT_EQ(logarithm.item<float>(), -infinity);
  // Complex: i times the identity.
  const array turned = eye(4, complex64) * array(complex64_t(0, 2));
  EXPECT_NEAR(std::abs(linalg::det(turned).item<complex64_t>() - complex64_t(16, 0)), 0, 1e-4);
  const auto [phase, size] = linalg::slogdet(eye(3, complex64) * array(complex64_t(0, 2)));
  EXPECT_NEAR(std::abs(phase.item<complex64_t>() - complex64_t(0, -1)), 0, 1e-6);
  EXPECT_NEAR(size.item<float>(), 3 * std::log(2.0), 1e-6);
  // The determinant has a gradient where a small matrix is singular.
  expect_array(grad([](const array& x) { return linalg::det(x); })(singular), {2, 2}, float32,
               {4, -2, -2, 1});
}

TEST(Norms, OfVectors) {
  const std::vector<double> x{3, -4, 0, 1};
  for (const Dtype dtype : {float32, float64, float16, bfloat16, int32, int8}) {
    const array a = make(x, {4}, dtype);
    const Dtype result = issubdtype(dtype, floating) ? dtype : float32;
    const double tolerance = 2 * rounding_of(result) + 1e-6;
    expect_array(linalg::norm(a), {}, result, {std::sqrt(26.0)}, tolerance);
    expect_array(linalg::norm(a, 2.0), {}, result, {std::sqrt(26.0)}, tolerance);
    expect_array(linalg::norm(a, 0.0), {}, result, {3});
    expect_array(linalg::norm(a, 1.0), {}, result, {8});
    expect_array(linalg::norm(a, infinity), {}, result, {4});
    expect_array(linalg::norm(a, -infinity), {}, result, {0});
    expect_array(linalg::norm(a, 3.0), {}, result, {std::cbrt(92.0)}, 4 * tolerance);
    expect_array(linalg::norm(a, -1.0), {}, result, {0});
    expect_array(linalg::norm(a, 2.0, 0, true), {1}, result, {std::sqrt(26.0)}, tolerance);
  }
  const array z = astype(make(x, {4}), complex64) * array(complex64_t(0, 1));
  expect_array(linalg::norm(z), {}, float32, {std::sqrt(26.0)}, 1e-6);
  expect_array(linalg::norm(z, 1.0), {}, float32, {8}, 1e-6);
  const array m = make_numbers({3, 4, 5});
  const std::vector<double> squares = doubles(sum(square(astype(m, float64)), 1));
  std::vector<double> roots;
  for (const double value : squares) roots.push_back(std::sqrt(value));
  expect_array(linalg::norm(m, 1), {3, 5}, float32, roots, 1e-6);
  expect_array(linalg::norm(m, -2, true), {3, 1, 5}, float32, roots, 1e-6);
  expect_array(linalg::norm(m), {}, float32, {std::sqrt(sum(square(astype(m, float64))).item<double>())},
               1e-6);
  expect_array(linalg::norm(zeros({0})), {}, float32, {0});
  expect_array(linalg::norm(make({1, not_a_number}, {2})), {}, float32, {not_a_number});
}

TEST(Norms, OfMatrices) {
  const array a = make({1, -2, 3, 4, 5, -6}, {2, 3});
  const double first = std::sqrt(45.5 + std::sqrt(45.5 * 45.5 - (14.0 * 77 - 24.0 * 24)));
  const double second = std::sqrt(45.5 - std::sqrt(45.5 * 45.5 - (14.0 * 77 - 24.0 * 24)));
  expect_array(linalg::norm(a, 1.0), {}, float32, {9});
  expect_array(linalg::norm(a, -1.0), {}, float32, {5});
  expect_array(linalg::norm(a, infinity), {}, float32, {15});
  expect_array(linalg::norm(a, -infinity), {}, float32, {6});
  expect_array(linalg::norm(a, 2.0), {}, float32, {first}, 1e-6);
  expect_array(linalg::norm(a, -2.0), {}, float32, {second}, 1e-6);
  expect_array(linalg::norm(a, "nuc"), {}, float32, {first + second}, 1e-6);
  expect_array(linalg::norm(a, "fro"), {}, float32, {std::sqrt(91.0)}, 1e-6);
  expect_array(linalg::norm(a, "f", std::vector<int>{0, 1}, true), {1, 1}, float32, {std::sqrt(91.0)}, 1e-6);
  // Axes in any order, others a batch.
  const array batch = stack({transpose(a), transpose(a) * array(2.0f)}, 1);
  expect_array(linalg::norm(batch, 1.0, std::vector<int>{2, 0}), {2}, float32, {9, 18});
  expect_array(linalg::norm(batch, 2.0, std::vector<int>{-1, 0}), {2}, float32, {first, 2 * first}, 1e-6);
  expect_array(linalg::norm(batch, "nuc", std::vector<int>{0, 2}, true), {1, 2, 1}, float32,
               {first + second, 2 * (first + second)}, 1e-6);
  expect_error([&] { linalg::norm(a, 3.0); }, "[linalg::norm] ");
  expect_error([&] { linalg::norm(a, "max"); }, "[linalg::norm] ");
  expect_error([&] { linalg::norm(batch, 2.0); }, "[linalg::norm] ");
  expect_error([&] { linalg::norm(batch, "fro"); }, "[linalg::norm] ");
  expect_error([&] { linalg::norm(batch, std::vector<int>{0, 1, 2}); }, "[linalg::norm] ");
  expect_error([&] { linalg::norm(a, 5); }, "[linalg::norm] ");
}

TEST(Norms, CrossProducts) {
  const array a = make({1, 2, 3, -1, 0, 2}, {2, 3});
  const array b = make({4, 5, 6, 1, 1, 1}, {2, 3});
  const std::vector<double> expected{-3, 6, -3, -2, 3, -1};
  for (const Dtype dtype : {float32, float64, float16, int32}) {
    expect_array(linalg::cross(astype(a, dtype), astype(b, dtype)), {2, 3}, dtype, expected);
  }
  expect_array(transpose(linalg::cross(transpose(a), transpose(b), 0)), {2, 3}, float32, expected);
  expect_array(linalg::cross(a, make({1, 1, 1}, {3})), {2, 3}, float32, {-1, 2, -1, -2, 3, -1});
  expect_array(linalg::cross(make({1, 2}, {2}), make({3, 4}, {2})), {3}, float32, {0, 0, -2});
  expect_array(linalg::cross(make({1, 2}, {2}), make({3, 4, 5}, {3})), {3}, float32, {10, -5, -2});
  expect_array(linalg::cross(make({3, 4, 5}, {3}), make({1, 2}, {2})), {3}, float32, {-10, 5, 2});
  expect_array(linalg::cross(zeros({0, 3}), zeros({3})), {0, 3}, float32, {});
  expect_error([] { linalg::cross(zeros({4}), zeros({4})); }, "[linalg::cross] ");
  expect_error([] { linalg::cross(zeros({3}), zeros({3}), 2); }, "[linalg::cross] ");
}

TEST(MultivariateNormal, HasMeanAndCovariance) {
  const array mean = make({1, -2, 0.5}, {3});
  const array covariance = make({2, 0.6, 0.2, 0.6, 1, -0.3, 0.2, -0.3, 0.5}, {3, 3});
  const array drawn = random::multivariate_normal(mean, covariance, {40000}, float32, random::key(7));
  ASSERT_EQ(drawn.shape(), (Shape{40000, 3}));
  expect_array(lazuli::mean(drawn, 0), {3}, float32, doubles(mean), 0.03);
  const array centred = drawn - mean;
  expect_array(matmul(transpose(centred), centred) / array(40000.0f), {3, 3}, float32, doubles(covariance),
               0.05);
  // Batches of means and covariances broadcast with the shape.
  const array many = random::multivariate_normal(zeros({4, 1, 2}), stack({eye(2), eye(2) * array(4.0f)}),
                                                 {3, 4, 2}, float32, random::key(1));
  ASSERT_EQ(many.shape(), (Shape{3, 4, 2, 2}));
  expect_error([&] { random::multivariate_normal(array(0.0f), covariance, {}, float32); },
               "[multivariate_normal] ");
  expect_error([&] { random::multivariate_normal(mean, mean, {}, float32); }, "[multivariate_normal] ");
  expect_error([&] { random::multivariate_normal(mean, eye(2), {}, float32); }, "[multivariate_normal] ");
  expect_error(
      [&] {
        random::multivariate_normal(mean, ones({3, 2}), {}, float32);
      },
      "[multivariate_normal] ");
  expect_error(
      [&] {
        random::multivariate_normal(mean, covariance, {2, 2}, float64);
      },
      "[multivariate_normal] ");
}

}  // namespace
}  // namespace lazuli::test
