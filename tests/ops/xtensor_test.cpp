#include <gtest/gtest.h>

#include <xtensor/xarray.hpp>
#include <xtensor/xbuilder.hpp>
#include <xtensor/xindex_view.hpp>
#include <xtensor/xmanipulation.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xsort.hpp>
#include <xtensor/xview.hpp>

#include <lazuli/array/interop/xtensor.h>
#include <lazuli/lazuli.h>

#include "helpers.h"

using namespace lazuli;
using namespace lazuli::test;

namespace {

/// Compares an array with an expression of xtensor.
template <typename E>
void expect_near(const array& actual, const xt::xexpression<E>& expression, double tolerance = 1e-12) {
  const xt::xarray<double> expected = expression.derived_cast();
  const xt::xarray<double> values = as_xtensor<double>(actual);
  ASSERT_EQ(values.shape(), expected.shape());
  EXPECT_LE(xt::amax(xt::abs(values - expected))(), tolerance);
}

TEST(Xtensor, ViewsShareMemoryAndKeepItAlive) {
  const array a = counting({3, 4});
  eval(a);
  const auto view = as_xtensor<float>(a);
  EXPECT_EQ(view.data(), a.data<float>());
  EXPECT_EQ(view(2, 3), 11);
  const auto turned = as_xtensor<float>(transpose(a));
  EXPECT_EQ(turned(3, 2), 11);
  EXPECT_EQ(turned.shape()[0], 4u);
  // An expression that outlives the view and the array.
  const auto sum = [] { return as_xtensor<float>(counting({1000})) + 1.0f; }();
  EXPECT_EQ(sum(999), 1000.0f);
  EXPECT_THROW(as_xtensor<int>(a), std::invalid_argument);
}

TEST(Xtensor, EveryShapeAndLayout) {
  const array a = counting({2, 3, 4}, float64);
  const xt::xarray<double> x = as_xtensor<double>(a);
  expect_near(
      slice(a, {0, 2, 3}, {2, -4, -5}, {1, -1, -2}),
      xt::view(x, xt::all(), xt::range(2, xt::placeholders::_, -1), xt::range(3, xt::placeholders::_, -2)));
  expect_near(transpose(a, {2, 0, 1}), xt::transpose(x, {2, 0, 1}));
  expect_near(broadcast_to(slice(a, {0, 1, 0}, {2, 2, 4}), {2, 3, 4}),
              xt::broadcast(xt::view(x, xt::all(), xt::range(1, 2), xt::all()), {2, 3, 4}));
  expect_near(array(2.5), xt::xarray<double>(2.5));
  EXPECT_EQ(as_xtensor<double>(zeros({3, 0}, float64)).size(), 0u);
}

TEST(Xtensor, ExpressionsBecomeArrays) {
  const xt::xarray<double> x = xt::arange<double>(12).reshape({3, 4});
  expect_near(from_xtensor(x * 2.0 + 1.0), x * 2.0 + 1.0);
  expect_near(from_xtensor(xt::transpose(x)), xt::transpose(x));
  EXPECT_EQ(from_xtensor(xt::xarray<long long>({1, 2})).dtype(), int64);
  EXPECT_EQ(from_xtensor(xt::cast<bool>(x)).dtype(), bool_);
  EXPECT_EQ(from_xtensor(x > 3.0).shape(), (Shape{3, 4}));
  EXPECT_EQ(from_xtensor(xt::xarray<double>(7.0) + 1.0).item<double>(), 8.0);
  EXPECT_EQ(from_xtensor(xt::zeros<float>({0, 2})).shape(), (Shape{0, 2}));
  xt::xarray<float> given_up = xt::ones<float>({100});
  const float* data = given_up.data();
  const array taken = from_xtensor(std::move(given_up));
  EXPECT_EQ(taken.data<float>(), data);
  EXPECT_EQ(sum(taken).item<float>(), 100);
}

/// What xtensor computes itself is an oracle for operations.
TEST(Xtensor, AgreesOnOperations) {
  const array a = make_numbers({4, 5, 6}, float64);
  const array b = make_numbers({5, 1}, float64, 0.7);
  const xt::xarray<double> x = as_xtensor<double>(a);
  const xt::xarray<double> y = as_xtensor<double>(b);
  expect_near(a + b, x + y);
  expect_near(a * b - a / (b * b + 1.0), x * y - x / (y * y + 1.0));
  expect_near(exp(a), xt::exp(x), 1e-13 * 10);
  expect_near(sin(a) + cos(b), xt::sin(x) + xt::cos(y));
  expect_near(tanh(a), xt::tanh(x));
  expect_near(sqrt(abs(a)), xt::sqrt(xt::abs(x)));
  expect_near(maximum(a, b), xt::maximum(x, y));
  expect_near(where(a > b, a, b), xt::where(x > y, x, y));
  expect_near(sum(a, 1), xt::sum(x, {1}));
  expect_near(sum(a, std::vector<int>{0, 2}), xt::sum(x, {0, 2}));
  expect_near(prod(a, 2), xt::prod(x, {2}));
  expect_near(max(a, 0), xt::amax(x, {0}));
  expect_near(min(a, 1), xt::amin(x, {1}));
  expect_near(mean(a, 2), xt::mean(x, {2}));
  expect_near(var(a, 1), xt::mean(x * x, {1}) - xt::square(xt::mean(x, {1})));
  expect_near(cumsum(a, 1), xt::cumsum(x, 1));
  expect_near(cumprod(a, 2), xt::cumprod(x, 2));
  expect_near(sort(a, 1), xt::sort(x, 1));
  expect_near(flatten(a), xt::flatten(x));
  expect_near(roll(a, 2, 1), xt::roll(x, 2, 1));
  expect_near(astype(argmax(a, 1), float64), xt::cast<double>(xt::argmax(x, 1)));
  expect_near(concatenate({a, a}, 1), xt::concatenate(xt::xtuple(x, x), 1));
  expect_near(diagonal(a, 0, 1, 2), xt::diagonal(x, 0, 1, 2));
}

}  // namespace
