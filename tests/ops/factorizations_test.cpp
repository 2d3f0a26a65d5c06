// Factorizations: what they are of, put together again in double precision.

#include <gtest/gtest.h>

#include <cmath>
#include <complex>

#include "helpers.h"

namespace lazuli::test {
namespace {

constexpr Dtype dtypes[] = {float32, float64, complex64};

double tolerance_of(Dtype dtype) {
  return dtype == float64 ? 1e-12 : 3e-5;
}

/// Matrices of a dtype, without pattern; the imaginary parts differ from the real ones.
array matrices(const Shape& shape, Dtype dtype) {
  if (dtype != complex64) return make_numbers(shape, dtype, 0.5);
  const array re = astype(make_numbers(shape, float32, 0.5), complex64);
  return re + astype(make_numbers(shape, float32, 0.37) * make_numbers(shape), complex64) *
                  array(complex64_t(0, 1));
}

/// The same, hermitian and with eigenvalues of at least one.
array positive_definite(const Shape& shape, Dtype dtype) {
  const array a = matrices(shape, dtype);
  const int n = shape.back();
  return matmul(a, conjugate(swapaxes(a, -1, -2))) +
         eye(n, dtype) * array(1.0f + static_cast<float>(n), dtype);
}

/// The largest difference of elements.
double difference(const array& a, const array& b) {
  EXPECT_EQ(shape_to_string(a.shape()), shape_to_string(b.shape()));
  if (a.size() == 0) return 0;
  return astype(max(abs(a - b)), float64).item<double>();
}

array adjoint_of(const array& a) {
  return conjugate(swapaxes(a, -1, -2));
}

/// Views that are no plain row-major matrices, of the same elements as `a`.
std::vector<array> views_of(const array& a) {
  return {a, swapaxes(contiguous(swapaxes(a, -1, -2)), -1, -2), flip(contiguous(flip(a, -1)), -1),
          slice(repeat(a, 2, -1), Shape(a.ndim(), Dim(0)), repeat(a, 2, -1).shape(), [&] {
            Shape steps(a.ndim(), Dim(1));
            steps.back() = 2;
            return steps;
          }())};
}

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all{{1, 1},       {2, 2},    {3, 5},    {5, 3},    {1, 4},
                                      {4, 1},       {17, 17},  {33, 20},  {20, 33},  {2, 4, 4},
                                      {3, 1, 5, 2}, {0, 3, 3}, {2, 0, 3}, {2, 3, 0}, {64, 3, 3}};
  return all;
}

std::vector<Shape> square_shapes() {
  return {{1, 1},    {2, 2},       {3, 3},    {17, 17},  {40, 40},
          {2, 4, 4}, {2, 3, 5, 5}, {0, 3, 3}, {2, 0, 0}, {64, 3, 3}};
}

TEST(Factorizations, Qr) {
  for (const Dtype dtype : dtypes) {
    for (const Shape& shape : shapes()) {
      const array a = matrices(shape, dtype);
      for (const array& view : a.size() == 0 ? std::vector<array>{a} : views_of(a)) {
        const auto [q, r] = linalg::qr(view);
        const int k = std::min<int>(a.shape(-1), a.shape(-2));
        ASSERT_EQ(q.shape(-1), k);
        ASSERT_EQ(r.shape(-2), k);
        ASSERT_EQ(q.dtype(), dtype);
        ASSERT_EQ(r.dtype(), dtype);
        EXPECT_LE(difference(matmul(q, r), a), 20 * tolerance_of(dtype));
        EXPECT_LE(difference(matmul(adjoint_of(q), q),
                             broadcast_to(eye(k, dtype), matmul(adjoint_of(q), q).shape())),
                  20 * tolerance_of(dtype));
        EXPECT_LE(difference(r, triu(r)), 0);
      }
    }
  }
}

TEST(Factorizations, Svd) {
  for (const Dtype dtype : dtypes) {
    for (const Shape& shape : shapes()) {
      const array a = matrices(shape, dtype);
      for (const array& view : a.size() == 0 ? std::vector<array>{a} : views_of(a)) {
        const std::vector<array> found = linalg::svd(view);
        const int m = a.shape(-2);
        const int n = a.shape(-1);
        const int k = std::min(m, n);
        ASSERT_EQ(found[0].shape(-1), m);
        ASSERT_EQ(found[0].shape(-2), m);
        ASSERT_EQ(found[1].shape(-1), k);
        ASSERT_EQ(found[2].shape(-1), n);
        ASSERT_EQ(found[2].shape(-2), n);
        ASSERT_EQ(found[1].dtype(), dtype == complex64 ? float32 : dtype);
        const double tolerance = 30 * tolerance_of(dtype);
        const auto first = [&](const array& x, int axis) {
          Shape stop = x.shape();
          stop[x.ndim() - static_cast<size_t>(axis)] = k;
          return slice(x, Shape(x.ndim(), Dim(0)), stop);
        };
        const array put_together =
            matmul(first(found[0], 1) * astype(expand_dims(found[1], -2), dtype), first(found[2], 2));
        EXPECT_LE(difference(put_together, a), tolerance);
        for (const array& unitary : {found[0], found[2]}) {
          const array product = matmul(unitary, adjoint_of(unitary));
          EXPECT_LE(difference(product, broadcast_to(eye(product.shape(-1), dtype), product.shape())),
                    tolerance);
        }
        EXPECT_FALSE(k > 1 && any(diff(found[1], 1, -1) > array(0.0f)).item<bool>());
        const array alone = linalg::svd(view, false, {})[0];
        EXPECT_LE(difference(alone, found[1]), tolerance);
      }
    }
  }
}

TEST(Factorizations, Cholesky) {
  for (const Dtype dtype : dtypes) {
    for (const Shape& shape : square_shapes()) {
      const array a = positive_definite(shape, dtype);
      // What the other triangle holds makes no difference.
      const array lower_only = where(tril(ones(shape, bool_)), a, array(not_a_number, dtype));
      for (const array& of : {a, lower_only}) {
        const array l = linalg::cholesky(of);
        ASSERT_EQ(l.dtype(), dtype);
        EXPECT_LE(difference(l, tril(l)), 0);
        EXPECT_LE(difference(matmul(l, adjoint_of(l)), a), 60 * tolerance_of(dtype));
      }
      const array u = linalg::cholesky(a, true);
      EXPECT_LE(difference(u, triu(u)), 0);
      EXPECT_LE(difference(matmul(adjoint_of(u), u), a), 60 * tolerance_of(dtype));
      const array inverse = linalg::cholesky_inv(u, true);
      EXPECT_LE(difference(inverse, linalg::cholesky_inv(linalg::cholesky(a))), 20 * tolerance_of(dtype));
      const array one = matmul(a, inverse);
      EXPECT_LE(difference(one, broadcast_to(eye(a.shape(-1), dtype), one.shape())),
                60 * tolerance_of(dtype));
    }
  }
  // Not positive definite: NaNs, and only for that member.
  const array mixed = make({4, 2, 2, 3, 1, 2, 2, 1}, {2, 2, 2});
  const std::vector<double> found = doubles(linalg::cholesky(mixed));
  EXPECT_NEAR(found[0], 2, 1e-6);
  for (size_t i = 4; i < 8; ++i) EXPECT_TRUE(std::isnan(found[i]));
}

TEST(Factorizations, Lu) {
  for (const Dtype dtype : dtypes) {
    for (const Shape& shape : shapes()) {
      const array a = matrices(shape, dtype);
      for (const array& view : a.size() == 0 ? std::vector<array>{a} : views_of(a)) {
        const std::vector<array> found = linalg::lu(view);
        const int k = std::min<int>(a.shape(-1), a.shape(-2));
        ASSERT_EQ(found[0].dtype(), uint32);
        ASSERT_EQ(found[1].shape(-1), k);
        ASSERT_EQ(found[2].shape(-2), k);
        EXPECT_LE(difference(found[1], tril(found[1])), 0);
        EXPECT_LE(difference(found[2], triu(found[2])), 0);
        const array product = matmul(found[1], found[2]);
        EXPECT_LE(
            difference(take_along_axis(product, broadcast_to(expand_dims(found[0], -1), a.shape()), -2), a),
            20 * tolerance_of(dtype));
        // The factors in one matrix, and rows exchanged in turn.
        const auto [factors, exchanges] = linalg::lu_factor(view);
        ASSERT_EQ(exchanges.shape(-1), k);
        if (a.shape(-1) == a.shape(-2)) {
          EXPECT_LE(difference(factors, tril(found[1], -1) + found[2]), 0);
        }
        if (a.ndim() == 2 && a.size() > 0) {
          std::vector<double> order = numbers(a.shape(-2));
          for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<double>(i);
          const std::vector<double> with = doubles(exchanges);
          for (size_t i = 0; i < with.size(); ++i) std::swap(order[i], order[static_cast<size_t>(with[i])]);
          EXPECT_LE(difference(take(a, make(order, {a.shape(-2)}, int32), 0), product),
                    20 * tolerance_of(dtype));
        }
      }
    }
  }
}

TEST(Factorizations, Eigh) {
  for (const Dtype dtype : dtypes) {
    for (const Shape& shape : square_shapes()) {
      const array b = matrices(shape, dtype);
      const array a = b + adjoint_of(b);
      for (const std::string uplo : {"L", "U", "l", "u"}) {
        const bool upper = uplo == "U" || uplo == "u";
        const array half = upper ? triu(a) : tril(a);
        const auto [w, v] = linalg::eigh(half, uplo);
        ASSERT_EQ(w.dtype(), dtype == complex64 ? float32 : dtype);
        ASSERT_EQ(v.dtype(), dtype);
        EXPECT_LE(difference(matmul(a, v), v * astype(expand_dims(w, -2), dtype)), 60 * tolerance_of(dtype));
        EXPECT_LE(difference(matmul(adjoint_of(v), v), broadcast_to(eye(a.shape(-1), dtype), v.shape())),
                  30 * tolerance_of(dtype));
        EXPECT_LE(difference(linalg::eigvalsh(half, uplo), w), 60 * tolerance_of(dtype));
        EXPECT_FALSE(a.shape(-1) > 1 && any(diff(w, 1, -1) < array(0.0f)).item<bool>());
      }
    }
  }
}

TEST(Factorizations, Eig) {
  for (const Dtype dtype : dtypes) {
    for (const Shape& shape : square_shapes()) {
      const array a = matrices(shape, dtype);
      const auto [w, v] = linalg::eig(a);
      ASSERT_EQ(w.dtype(), complex64);
      ASSERT_EQ(v.dtype(), complex64);
      EXPECT_LE(difference(matmul(astype(a, complex64), v), v * expand_dims(w, -2)), 2e-3);
      const array lengths = linalg::norm(v, -2);
      EXPECT_LE(difference(lengths, ones(lengths.shape())), 1e-4);
      const array trace_of = sum(linalg::eigvals(a), -1);
      EXPECT_LE(difference(trace_of, astype(trace(a, 0, -2, -1), complex64)), 2e-3);
    }
  }
  // A turn by a right angle.
  const array w = linalg::eigvals(make({0, -1, 1, 0}, {2, 2}));
  EXPECT_NEAR(astype(max(imag(w)), float64).item<double>(), 1, 1e-6);
  EXPECT_NEAR(astype(min(imag(w)), float64).item<double>(), -1, 1e-6);
}

TEST(Factorizations, WhatIsNotFiniteGivesNans) {
  for (const Dtype dtype : dtypes) {
    for (const double bad : {infinity, -infinity, not_a_number}) {
      std::vector<double> elements = numbers(18);
      elements[12] = bad;
      const array a = make(elements, {2, 3, 3}, dtype == complex64 ? float32 : dtype);
      const array given = astype(a, dtype);
      const auto [q, r] = linalg::qr(given);
      const auto [w, v] = linalg::eigh(given);
      const auto [e, f] = linalg::eig(given);
      const std::vector<array> factored = linalg::lu(given);
      const std::vector<array> values = linalg::svd(given);
      const auto [sign, logarithm] = linalg::slogdet(given);
      for (const array& found :
           {q, r, w, v, e, f, factored[2], values[0], values[1], values[2], sign, logarithm,
            linalg::inv(given), linalg::cholesky(given), linalg::tri_inv(given),
            linalg::solve(given, ones_like(given)), linalg::pinv(given)}) {
        const array second = take(found, 1, 0);
        EXPECT_TRUE(any(isnan(second)).item<bool>()) << found.shape();
      }
      for (const array& found :
           {q, r, w, v, e, f, factored[2], values[0], values[1], values[2], sign, logarithm}) {
        EXPECT_FALSE(any(isnan(take(found, 0, 0))).item<bool>()) << found.shape();
      }
    }
  }
}

TEST(Factorizations, RefuseOtherArrays) {
  using Function = std::function<void(const array&)>;
  const std::vector<std::pair<std::string, Function>> any_shape{
      {"qr", [](const array& a) { linalg::qr(a); }},
      {"svd", [](const array& a) { linalg::svd(a); }},
      {"lu", [](const array& a) { linalg::lu(a); }},
      {"lu_factor", [](const array& a) { linalg::lu_factor(a); }},
      {"pinv", [](const array& a) { linalg::pinv(a); }}};
  const std::vector<std::pair<std::string, Function>> square{
      {"cholesky", [](const array& a) { linalg::cholesky(a); }},
      {"cholesky_inv", [](const array& a) { linalg::cholesky_inv(a); }},
      {"eig", [](const array& a) { linalg::eig(a); }},
      {"eigvals", [](const array& a) { linalg::eigvals(a); }},
      {"eigh", [](const array& a) { linalg::eigh(a); }},
      {"eigvalsh", [](const array& a) { linalg::eigvalsh(a); }},
      {"inv", [](const array& a) { linalg::inv(a); }},
      {"tri_inv", [](const array& a) { linalg::tri_inv(a); }},
      {"det", [](const array& a) { linalg::det(a); }},
      {"slogdet", [](const array& a) { linalg::slogdet(a); }},
      {"solve", [](const array& a) { linalg::solve(a, a); }},
      {"solve_triangular", [](const array& a) { linalg::solve_triangular(a, a); }}};
  for (const auto* functions : {&any_shape, &square}) {
    for (const auto& [name, function] : *functions) {
      const std::string prefix = "[linalg::" + name + "] ";
      for (const Dtype dtype : {int32, bool_, float16, bfloat16, uint8}) {
        expect_error([&, f = function] { f(ones({2, 2}, dtype)); }, prefix);
      }
      expect_error([&, f = function] { f(ones({4})); }, prefix);
      expect_error([&, f = function] { f(array(1.0f)); }, prefix);
      if (functions == &square) expect_error([&, f = function] { f(ones({2, 3})); }, prefix);
    }
  }
  expect_error([] { linalg::eigh(ones({2, 2}), "X"); }, "[linalg::eigh] UPLO");
  expect_error([] { linalg::eigvalsh(ones({2, 2}), ""); }, "[linalg::eigvalsh] UPLO");
}

TEST(Factorizations, CompiledForManyShapesAndInBatches) {
  const ArrayFunction f = [](const std::vector<array>& x) {
    const auto [q, r] = linalg::qr(x[0]);
    const std::vector<array> s = linalg::svd(x[0], false, {});
    return std::vector<array>{matmul(q, r) * array(2.0f), sum(s[0], -1)};
  };
  const auto compiled = compile(f);
  for (const Shape& shape : {Shape{4, 6}, Shape{7, 3}, Shape{5, 5}, Shape{9, 4}, Shape{1, 3}, Shape{6, 8}}) {
    const array a = make_numbers(shape);
    const std::vector<array> expected = f({a});
    const std::vector<array> found = compiled({a});
    EXPECT_LE(difference(found[0], a * array(2.0f)), 2e-5);
    EXPECT_LE(difference(found[1], expected[1]), 2e-5);
  }
  const array batch = make_numbers({5, 4, 3});
  const std::vector<array> mapped = vmap(f, {1}, {2, 0})({moveaxis(batch, 0, 1)});
  EXPECT_LE(difference(moveaxis(mapped[0], 2, 0), batch * array(2.0f)), 2e-5);
}

}  // namespace
}  // namespace lazuli::test
