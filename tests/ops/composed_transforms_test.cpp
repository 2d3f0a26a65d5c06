// Transforms in any order: each pair of wrappings, under each derivative.

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include <lazuli/lazuli.h>

#include "support/compare.h"

namespace lazuli {
namespace {

using Function = std::function<array(const array&)>;
using Arrays = std::vector<array>;

struct Case {
  std::string name;
  Function function;  ///< a number from a matrix
};

array constant(float value, const array& like) {
  return array(value, like.dtype());
}

const std::vector<Case> cases{
    {"Layer",
     [](const array& x) {
       const array w =
           astype(random::normal({x.shape(-1), 4}, float32, 0.0f, 1.0f, random::key(7)), x.dtype());
       return sum(square(tanh(matmul(x, w))));
     }},
    {"Softmax", [](const array& x) { return sum(softmax(x, -1) * cos(x)); }},
    {"Norm",
     [](const array& x) {
       const array centred = x - mean(x, -1, true);
       return sum(centred * rsqrt(mean(square(centred), -1, true) + constant(0.1f, x)) * sin(x));
     }},
    {"Pieces",
     [](const array& x) {
       return sum(square(concatenate({slice(x, {0, 1}, {x.shape(0), x.shape(1)}), x * x}, 1)));
     }},
    {"Sorted", [](const array& x) { return sum(cumsum(sort(x, -1), -1) * exp(-abs(x))); }},
    {"Choice",
     [](const array& x) { return sum(where(x > constant(0.0f, x), logsumexp(x, -1, true), x * x)); }},
    {"Gathered",
     [](const array& x) {
       return sum(take(transpose(x), array({0, 1, 0}), 0) * constant(3.0f, x)) + sum(sin(flip(x, 1)) * x);
     }},
    {"Extremes", [](const array& x) { return sum(max(x, 0) * min(x, 0)); }},
    {"Padded",
     [](const array& x) {
       return sum(square(pad(tile(x, {2, 1}), std::pair<int, int>{1, 2})));
     }},
    {"Einsum",
     [](const array& x) {
       return sum(tanh(einsum("ij,kj->ik", {x, x})));
     }},
};

ArrayFunction of_vectors(const Function& f) {
  return [f](const Arrays& in) { return Arrays{f(in[0])}; };
}

Function of_one(const ArrayFunction& f) {
  return [f](const array& x) { return f({x})[0]; };
}

/// What changes nothing about a function's value and derivatives.
struct Wrapping {
  const char* name;
  std::function<Function(const Function&)> wrap;
};

const std::vector<Wrapping> wrappings{
    {"plain", [](const Function& f) { return f; }},
    {"compiled", [](const Function& f) { return compile(f); }},
    {"checkpoint", [](const Function& f) { return of_one(checkpoint(of_vectors(f))); }},
    {"custom_vjp",
     [](const Function& f) {
       return of_one(
           custom_vjp(of_vectors(f), [f](const Arrays& primals, const Arrays& cotangents, const Arrays&) {
             return vjp(of_vectors(f), primals, cotangents).second;
           }));
     }},
    {"stop_gradient",
     [](const Function& f) {
       return [f](const array& x) { return f(x) + sum(stop_gradient(x) * constant(0.0f, x)); };
     }},
    {"vmap of one",
     [](const Function& f) {
       return [f = vmap(f)](const array& x) { return squeeze(f(expand_dims(x, 0)), 0); };
     }},
};

/// The gradient by central differences, in float64.
array by_differences(const Function& f, const array& x) {
  const array wide = reshape(astype(x, float64), {-1});
  const int n = static_cast<int>(x.size());
  Arrays found;
  for (int i = 0; i < n; ++i) {
    const array step = astype(equal(arange(n), array(i)), float64) * array(1e-5, float64);
    found.push_back((f(reshape(wide + step, x.shape())) - f(reshape(wide - step, x.shape()))) /
                    array(2e-5, float64));
  }
  return astype(reshape(stack(found), x.shape()), float32);
}

class ComposedTransforms : public testing::TestWithParam<Case> {
 protected:
  const Function& f_ = GetParam().function;
  const array x_ = random::normal({3, 5}, float32, 0.0f, 1.0f, random::key(1));
  const array batch_ = random::normal({4, 3, 5}, float32, 0.0f, 1.0f, random::key(2));
};

TEST_P(ComposedTransforms, GiveTheSame) {
  const array gradient = by_differences(f_, x_);
  const Function slope = [&](const array& x) { return sum(sin(grad(f_)(x))); };
  const array second = by_differences(slope, x_);
  Arrays of_members;
  for (int i = 0; i < 4; ++i) of_members.push_back(grad(f_)(take(batch_, array(i), 0)));
  const array of_batch = stack(of_members);
  for (const Wrapping& outer : wrappings) {
    for (const Wrapping& inner : wrappings) {
      SCOPED_TRACE(std::string(outer.name) + " " + inner.name);
      const Function f = outer.wrap(inner.wrap(f_));
      const Function summed = [&](const array& all) { return sum(vmap(f)(all)); };
      const Function slope_of = [&](const array& x) { return sum(sin(grad(f)(x))); };
      EXPECT_EQ(test::difference(f(x_), f_(x_), 1e-4), "");
      EXPECT_EQ(test::difference(grad(f)(x_), gradient, 5e-3), "");
      EXPECT_EQ(test::difference(jvp(f, x_, ones_like(x_)).second, sum(gradient), 1e-2), "");
      EXPECT_EQ(test::difference(grad(slope_of)(x_), second, 1e-2), "");
      EXPECT_EQ(test::difference(vmap(grad(f))(batch_), of_batch, 5e-3), "");
      EXPECT_EQ(test::difference(grad(summed)(batch_), of_batch, 5e-3), "");
      EXPECT_EQ(test::difference(compile(Function(vmap(grad(f))))(batch_), of_batch, 5e-3), "");
      EXPECT_EQ(test::difference(vmap(compile(Function(grad(f))))(batch_), of_batch, 5e-3), "");
    }
  }
  // Forward over reverse, and reverse over forward.
  const Function total = [&](const array& x) { return sum(grad(f_)(x)); };
  const array product = grad(total)(x_);
  EXPECT_EQ(test::difference(jvp(Function(grad(f_)), x_, ones_like(x_)).second, product, 1e-2), "");
  const Function forward = [&](const array& x) { return jvp(f_, x, ones_like(x)).second; };
  EXPECT_EQ(test::difference(grad(forward)(x_), product, 1e-2), "");
}

INSTANTIATE_TEST_SUITE_P(Of, ComposedTransforms, testing::ValuesIn(cases),
                         [](const auto& of) { return of.param.name; });

}  // namespace
}  // namespace lazuli
