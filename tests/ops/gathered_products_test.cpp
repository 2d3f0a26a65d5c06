// Products of matrices that are chosen, cut out, or masked, against loops over plain products.

#include <gtest/gtest.h>

#include "helpers.h"

namespace lazuli::test {
namespace {

array matrix(const array& stack, int i) {
  return take(stack, i, 0);
}

void expect_gathered(const array& a, const array& b, const std::vector<int>& lhs, const std::vector<int>& rhs,
                     double tolerance) {
  const int count = static_cast<int>(lhs.size());
  const array found = gather_mm(a, b, array(lhs.begin(), {count}), array(rhs.begin(), {count}));
  ASSERT_EQ(found.shape(), (Shape{count, a.shape(-2), b.shape(-1)}));
  for (int i = 0; i < count; ++i) {
    const array expected =
        matmul(matrix(a, lhs[static_cast<size_t>(i)]), matrix(b, rhs[static_cast<size_t>(i)]));
    expect_array(matrix(found, i), expected.shape(), expected.dtype(), doubles(expected), tolerance);
  }
}

TEST(GatherMatmul, ChosenMatrices) {
  for (const Dtype dtype : {float32, float16, bfloat16, float64}) {
    for (const int m : {1, 3}) {
      const array a = make_numbers({4, m, 6}, dtype);
      const array b = make_numbers({3, 6, 5}, dtype);
      const double tolerance = 8 * rounding_of(dtype);
      expect_gathered(a, b, {0, 1, 2, 3, 3, 0}, {0, 0, 0, 1, 1, 2}, tolerance);  // runs
      expect_gathered(a, b, {3, 2, 1, 0}, {1, 1, 1, 1}, tolerance);              // backwards
      expect_gathered(a, b, {2, 2, 2}, {0, 0, 0}, tolerance);                    // one and the same
      expect_gathered(a, b, {0, 3, 1}, {2, 0, 1}, tolerance);
    }
  }
}

TEST(GatherMatmul, ShapesOfBatchesAndIndices) {
  const array a = make_numbers({2, 2, 3, 4});
  const array b = make_numbers({3, 4, 5});
  const array all = gather_mm(a, b, std::nullopt, make({0, 2}, {2}, int32));
  EXPECT_EQ(all.shape(), (Shape{2, 2, 3, 5}));
  expect_array(all, {2, 2, 3, 5}, float32, doubles(matmul(a, take(b, make({0, 2}, {2}, int32), 0))), 1e-5);
  const array outer = gather_mm(a, b, make({-1, 0}, {2, 1}, int32), make({1, 0, 9}, {3}, uint32));
  EXPECT_EQ(outer.shape(), (Shape{2, 3, 3, 5}));
  expect_array(take(take(outer, 0, 0), 2, 0), {3, 5}, float32,
               doubles(matmul(take(flatten(a, 0, 1), 3, 0), matrix(b, 2))), 1e-5);
  expect_array(gather_mm(matrix(b, 0), swapaxes(matrix(b, 1), 0, 1)), {4, 4}, float32,
               doubles(matmul(matrix(b, 0), swapaxes(matrix(b, 1), 0, 1))), 1e-5);
  EXPECT_EQ(gather_mm(a, b, zeros({0}, int32), zeros({0}, int32)).shape(), (Shape{0, 3, 5}));
  // Views: transposed matrices, and every second one.
  const array views = swapaxes(slice(make_numbers({4, 5, 4}), {0, 0, 0}, {4, 5, 4}, {2, 1, 1}), -1, -2);
  expect_gathered(flatten(a, 0, 1), contiguous(views), {0, 1, 2}, {1, 0, 1}, 1e-5);
  expect_array(gather_mm(a, views, zeros({1}, int32), ones({1}, int32)), {1, 3, 5}, float32,
               doubles(matmul(take(flatten(a, 0, 1), 0, 0), matrix(views, 1))), 1e-5);
}

TEST(GatherMatmul, Errors) {
  const array a = zeros({2, 3, 4});
  expect_error([&] { gather_mm(a, a); }, "[gather_mm]");
  expect_error([&] { gather_mm(zeros({4}), a); }, "[gather_mm]");
  expect_error([&] { gather_mm(a, zeros({4, 3}), zeros({2})); }, "[gather_mm]");
  expect_error([&] { gather_mm(zeros({2, 3}, int32), zeros({3, 2}, int32)); }, "[gather_mm]");
  expect_error([&] { gather_mm(zeros({0, 3, 4}), zeros({4, 3}), zeros({1}, int32)); }, "[gather_mm]");
}

TEST(GatherQuantizedMatmul, AsDequantized) {
  for (const int bits : {4, 8}) {
    for (const bool transpose : {true, false}) {
      const array w = make_numbers({3, 64, 128}, float32);
      const std::vector<array> parts = quantize(w, 64, bits);
      const array plain = dequantize(parts[0], parts[1], parts[2], 64, bits);
      for (const int m : {1, 2}) {
        const array x = make_numbers({4, m, transpose ? 128 : 64});
        const array lhs = make({0, 1, 2, 3, 0}, {5}, int32);
        const array rhs = make({0, 0, 2, 1, 1}, {5}, int32);
        const array found = gather_qmm(x, parts[0], parts[1], parts[2], lhs, rhs, transpose, 64, bits);
        const array expected = gather_mm(x, transpose ? swapaxes(plain, -1, -2) : plain, lhs, rhs);
        expect_array(found, expected.shape(), float32, doubles(expected), 1e-4);
      }
    }
  }
}

TEST(GatherQuantizedMatmul, GradientsAndBatches) {
  const std::vector<array> parts = quantize(make_numbers({3, 32, 64}), 64, 8);
  const array plain = swapaxes(dequantize(parts[0], parts[1], parts[2], 64, 8), -1, -2);
  const array lhs = make({0, 1, 0}, {3}, int32);
  const array rhs = make({2, 2, 1}, {3}, int32);
  const array x = make_numbers({2, 1, 64});
  const auto quantized = std::function<array(const array&)>(
      [&](const array& at) { return gather_qmm(at, parts[0], parts[1], parts[2], lhs, rhs, true, 64, 8); });
  const auto exact =
      std::function<array(const array&)>([&](const array& at) { return gather_mm(at, plain, lhs, rhs); });
  const array g = make_numbers({3, 1, 32});
  expect_array(vjp(quantized, x, g).second, {2, 1, 64}, float32, doubles(vjp(exact, x, g).second), 1e-4);
  const array batch = make_numbers({2, 2, 1, 64});
  expect_array(vmap(quantized)(batch), {2, 3, 1, 32}, float32, doubles(vmap(exact)(batch)), 1e-4);
  expect_error([&] { gather_qmm(x, parts[0], parts[1]); }, "[gather_qmm]");
  expect_error([&] { gather_qmm(x, parts[0], parts[1], parts[2], lhs, rhs, true, 64, 4); }, "[gather_qmm]");
  expect_error([&] { gather_qmm(x, parts[0], parts[1], parts[2], lhs, rhs, true, 64, 8, "mxfp4"); },
               "[gather_qmm]");
}

TEST(SegmentedMatmul, PartsOfTheSum) {
  for (const Dtype dtype : {float32, bfloat16, float64}) {
    const array a = make_numbers({5, 40}, dtype);
    const array b = transpose(make_numbers({7, 40}, dtype));
    const std::vector<int> bounds{0, 12, 12, 13, 5, 5, 30, 99, 0, 40, 9, 3};
    const array found = segmented_mm(a, b, array(bounds.begin(), {2, 3, 2}));
    ASSERT_EQ(found.shape(), (Shape{2, 3, 5, 7}));
    for (int i = 0; i < 6; ++i) {
      const int from = bounds[static_cast<size_t>(2 * i)];
      const int to = std::max(from, std::min(40, bounds[static_cast<size_t>(2 * i + 1)]));
      const array expected = matmul(slice(a, {0, from}, {5, to}), slice(b, {from, 0}, {to, 7}));
      expect_array(take(flatten(found, 0, 1), i, 0), {5, 7}, dtype, doubles(expected),
                   40 * rounding_of(dtype));
    }
  }
  expect_error([] { segmented_mm(zeros({2, 3}), zeros({2, 3}), zeros({1, 2}, int32)); }, "[segmented_mm]");
  expect_error([] { segmented_mm(zeros({2, 3}), zeros({3, 3}), zeros({1, 3}, int32)); }, "[segmented_mm]");
  expect_error([] { segmented_mm(zeros({2, 3}), zeros({3, 3}), zeros({1, 2})); }, "[segmented_mm]");
}

TEST(BlockMaskedMatmul, Masks) {
  const array a = make_numbers({2, 70, 33});
  const array b = make_numbers({33, 64});
  const array left = make({1, 0, 0, 1, 1, 1}, {3, 2}, bool_);
  const array right = make({0.5, 2, -1, 0}, {2, 2});
  const array out = make({1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1}, {2, 3, 2}, bool_);
  const auto wide = [](const array& mask, int rows, int columns) {
    const array repeated = astype(repeat(repeat(mask, 32, -1), 32, -2), float32);
    Shape stop = repeated.shape();
    stop[stop.size() - 2] = rows;
    stop[stop.size() - 1] = columns;
    return slice(repeated, Shape(repeated.ndim(), Dim(0)), stop);
  };
  const array expected = matmul(a * wide(left, 70, 33), b * wide(right, 33, 64)) * wide(out, 70, 64);
  expect_array(block_masked_mm(a, b, 32, out, left, right), {2, 70, 64}, float32, doubles(expected), 1e-4);
  expect_array(block_masked_mm(a, b, 64), {2, 70, 64}, float32, doubles(matmul(a, b)), 1e-4);
  // What is masked out does not matter.
  expect_array(block_masked_mm(full({32, 32}, infinity, float32), ones({32, 32}), 32, std::nullopt,
                               zeros({1, 1}, bool_)),
               {32, 32}, float32, std::vector<double>(1024, 0));
  expect_error([&] { block_masked_mm(a, b, 16); }, "[block_masked_mm]");
  expect_error([&] { block_masked_mm(a, b, 32, ones({2, 2}, bool_)); }, "[block_masked_mm]");
  expect_error([&] { block_masked_mm(a, a, 32); }, "[block_masked_mm]");
}

}  // namespace
}  // namespace lazuli::test
