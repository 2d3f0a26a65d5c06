// Matrix products against loops, over ranks, dtypes and layouts.

#include "helpers.h"

namespace lazuli::test {
namespace {

/// Products of matrices by loops over broadcast batches.
std::vector<double> product(const array& a, const array& b, Shape& shape) {
  const std::vector<double> x = doubles(a);
  const std::vector<double> y = doubles(b);
  const Shape a_batch(a.shape().begin(), a.shape().end() - 2);
  const Shape b_batch(b.shape().begin(), b.shape().end() - 2);
  const size_t m = static_cast<size_t>(a.shape(-2).hint());
  const size_t k = static_cast<size_t>(a.shape(-1).hint());
  const size_t n = static_cast<size_t>(b.shape(-1).hint());
  shape = broadcast_shapes(a_batch, b_batch);
  std::vector<double> result;
  for_each_index(shape, [&](const std::vector<int>& index) {
    const size_t from_a = place(a_batch, index) * m * k;
    const size_t from_b = place(b_batch, index) * k * n;
    for (size_t i = 0; i < m; ++i) {
      for (size_t j = 0; j < n; ++j) {
        double total = 0;
        for (size_t p = 0; p < k; ++p) total += x[from_a + i * k + p] * y[from_b + p * n + j];
        result.push_back(total);
      }
    }
  });
  shape.push_back(a.shape(-2));
  shape.push_back(b.shape(-1));
  return result;
}

double tolerance_of(Dtype dtype, int k) {
  return 2 * rounding_of(dtype) + (dtype == float64 ? 1e-14 : 1e-6) * std::sqrt(k);
}

TEST(Linalg, MatmulOverShapes) {
  const std::pair<Shape, Shape> problems[] = {
      {{1, 1}, {1, 1}},       {{3, 5}, {5, 7}},          {{33, 65}, {65, 17}},   {{2, 3, 4}, {4, 5}},
      {{2, 3, 4}, {2, 4, 5}}, {{2, 1, 3, 4}, {5, 4, 2}}, {{3, 4}, {2, 4, 5}},    {{1, 200}, {200, 1}},
      {{2, 0}, {0, 3}},       {{0, 2}, {2, 3}},          {{4, 1, 8}, {1, 8, 6}},
  };
  for (Dtype dtype : {float32, float64, float16, bfloat16}) {
    for (const auto& [a_shape, b_shape] : problems) {
      const array a = make_numbers(a_shape, dtype);
      const array b = make_numbers(b_shape, dtype, 0.5);
      Shape shape;
      const std::vector<double> expected = product(a, b, shape);
      expect_array(matmul(a, b), shape, dtype, expected, tolerance_of(dtype, a_shape.back().hint()),
                   shape_to_string(a_shape) + " " + shape_to_string(b_shape));
    }
  }
}

TEST(Linalg, MatmulOfViews) {
  const array a = make_numbers({6, 5, 4});
  const array b = make_numbers({7, 4, 6});
  const auto check = [](const array& x, const array& y) {
    Shape shape;
    const std::vector<double> expected = product(x, y, shape);
    expect_array(matmul(x, y), shape, float32, expected, 1e-5);
  };
  check(a, transpose(b, {2, 1, 0}));
  check(transpose(a, {0, 2, 1}), a);
  check(flip(a), slice(b, {0, 0, 0}, {6, 4, 6}, {1, 1, 2}));
  check(broadcast_to(slice(a, {0, 0, 0}, {1, 5, 4}), {7, 5, 4}), b);
  check(transpose(a, {1, 0, 2}), make_numbers({4, 3}));
  check(transpose(a, {1, 0, 2}), transpose(make_numbers({3, 4})));
}

TEST(Linalg, MatmulOfVectors) {
  const array m = counting({2, 3});
  const array v = make({1, 2, 3}, {3});
  const array u = make({1, 10}, {2});
  expect_array(matmul(m, v), {2}, float32, {8, 26});
  expect_array(matmul(u, m), {3}, float32, {30, 41, 52});
  expect_array(matmul(v, v), {}, float32, {14});
  expect_array(matmul(stack({m, m}), v), {2, 2}, float32, {8, 26, 8, 26});
  expect_array(matmul(v, counting({2, 3, 1})), {2, 1}, float32, {8, 26});
}

TEST(Linalg, MatmulPromotesAndReadsNarrowOperands) {
  const array half = make({1, 2, 3, 4}, {2, 2}, float16);
  const array wide = make({0.5, 1, 1.5, 2}, {2, 2});
  expect_array(matmul(half, wide), {2, 2}, float32, {3.5, 5, 7.5, 11});
  expect_array(matmul(wide, astype(half, bfloat16)), {2, 2}, float32, {3.5, 5, 7.5, 11});
  expect_array(matmul(half, astype(half, bfloat16)), {2, 2}, float32, {7, 10, 15, 22});
  expect_array(matmul(half, make({1, 0, 0, 1}, {2, 2}, int32)), {2, 2}, float16, {1, 2, 3, 4});
  // A conversion that rounds happens all the same.
  const array fine = full({1, 1}, 1.0f + 0x1p-12f);
  expect_array(matmul(astype(fine, float16), make({1}, {1, 1}, float16)), {1, 1}, float16, {1});
  const array z = make({1, 2}, {1, 2}, complex64) * array(complex64_t{0, 1});
  expect_array(imag(matmul(z, counting({2, 1}))), {1, 1}, float32, {2});
  expect_array(real(matmul(z, transpose(z))), {1, 1}, float32, {-5});
}

TEST(Linalg, MatmulErrors) {
  const array a = zeros({2, 3});
  expect_error([&] { matmul(a, zeros({2, 3})); }, "[matmul]");
  expect_error([&] { matmul(a, array(1.0f)); }, "[matmul]");
  expect_error([&] { matmul(zeros({2, 2}, int32), zeros({2, 2}, int32)); }, "[matmul]");
  expect_error([&] { matmul(zeros({2, 2, 3}), zeros({3, 3, 2})); }, "[broadcast_shapes]");
  expect_error([&] { addmm(a, a, a); }, "[addmm]");
}

TEST(Linalg, Addmm) {
  const array a = make_numbers({4, 6});
  const array b = make_numbers({6, 5});
  Shape shape;
  const std::vector<double> ab = product(a, b, shape);
  for (const Shape& c_shape : {Shape{}, Shape{5}, Shape{4, 1}, Shape{4, 5}}) {
    const array c = make_numbers(c_shape, float32, 3);
    const std::vector<double> x = doubles(broadcast_to(c, {4, 5}));
    for (const auto& [alpha, beta] : {std::pair{1.0f, 1.0f}, {2.0f, -0.5f}, {1.0f, 0.0f}}) {
      std::vector<double> expected;
      for (size_t i = 0; i < ab.size(); ++i) expected.push_back(alpha * ab[i] + beta * x[i]);
      expect_array(addmm(c, a, b, alpha, beta), {4, 5}, float32, expected, 1e-5);
    }
  }
  const array v = make_numbers({6});
  expect_array(addmm(array(1.0f), a, v), {4}, float32, doubles(matmul(a, v) + array(1.0f)), 1e-6);
  expect_array(addmm(zeros({5}), v, b), {5}, float32, doubles(matmul(v, b)), 1e-6);
  expect_array(addmm(ones({2, 1, 5}), stack({a, a}), b), {2, 4, 5}, float32,
               doubles(matmul(stack({a, a}), b) + array(1.0f)), 1e-6);
  expect_error([&] { addmm(zeros({3}), a, b); }, "[broadcast_to]");
}

TEST(Linalg, OtherProducts) {
  const array a = counting({2, 3});
  const array b = counting({3, 2});
  expect_array(inner(a, a), {2, 2}, float32, {5, 14, 14, 50});
  expect_array(inner(make({1, 2}, {2}), make({3, 4}, {2})), {}, float32, {11});
  expect_array(inner(array(2.0f), a), {2, 3}, float32, {0, 2, 4, 6, 8, 10});
  expect_array(outer(make({1, 2}, {2}), a), {2, 6}, float32, {0, 1, 2, 3, 4, 5, 0, 2, 4, 6, 8, 10});
  expect_array(vecdot(a, a), {2}, float32, {5, 50});
  expect_array(vecdot(a, make({1, 1}, {2, 1}), 0), {3}, float32, {3, 5, 7});
  expect_array(tensordot(a, b, 1), {2, 2}, float32, doubles(matmul(a, b)));
  expect_array(tensordot(a, transpose(b), 2), {}, float32, {0 + 2 + 8 + 3 + 12 + 25});
  expect_array(tensordot(a, b, {0}, {1}), {3, 3}, float32, {3, 9, 15, 4, 14, 24, 5, 19, 33});
  expect_array(tensordot(a, b, 0), {2, 3, 3, 2}, float32, doubles(outer(a, b)));
  expect_array(kron(make({1, 2}, {2}), make({1, 10}, {2})), {4}, float32, {1, 10, 2, 20});
  expect_array(kron(eye(2), make({1, 2, 3, 4}, {2, 2})), {4, 4}, float32,
               {1, 2, 0, 0, 3, 4, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4});
  expect_array(kron(make({1, 2}, {2}), make({1, 1}, {2, 1})), {2, 2}, float32, {1, 2, 1, 2});
  expect_error([&] { inner(a, b); }, "[inner]");
  expect_error([&] { tensordot(a, b, 3); }, "[tensordot]");
  expect_error([&] { tensordot(a, b, {0}, {0}); }, "[tensordot]");
  expect_error([&] { tensordot(a, b, {0, 1}, {0}); }, "[tensordot]");
}

TEST(Linalg, ProductsOfAnyLengthInACompiledFunction) {
  const CompiledFunction f = compile([](const std::vector<array>& in) {
    return std::vector<array>{matmul(in[0], in[1]), addmm(in[2], in[0], in[1])};
  });
  const array w = make_numbers({4, 3});
  const array bias = make({1, 2, 3}, {3});
  for (int n : {2, 9}) {
    const array x = make_numbers({n, 4});
    Shape shape;
    std::vector<double> expected = product(x, w, shape);
    const std::vector<array> out = f({x, w, bias});
    expect_array(out[0], {n, 3}, float32, expected, 1e-5);
    for (size_t i = 0; i < expected.size(); ++i) expected[i] += static_cast<double>(i % 3 + 1);
    expect_array(out[1], {n, 3}, float32, expected, 1e-5);
  }
  EXPECT_EQ(f.trace_count(), 1);
}

}  // namespace
}  // namespace lazuli::test
