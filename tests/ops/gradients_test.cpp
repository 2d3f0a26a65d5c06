// Derivatives of every operation, against differences; in float64.

#include <gtest/gtest.h>

#include "differentiable_cases.h"

namespace lazuli::test {
namespace {

class Gradients : public testing::TestWithParam<DifferentiableCase> {
 protected:
  void of_each_element() const;
  void forward_agrees_with_reverse() const;
  void of_gradients() const;
  void compiled() const;
  void vectorized() const;

  static constexpr double step = 1e-5;

  const std::vector<array>& arguments() const { return GetParam().arguments; }
  ArrayFunction function() const {
    return [f = GetParam().function](const std::vector<array>& x) { return std::vector{f(x)}; };
  }
  array value(const std::vector<array>& x) const { return GetParam().function(x); }

  static bool is_variable(const array& a) { return a.dtype() == float64; }
  static double dot(const array& a, const array& b) { return sum(a * b).item<double>(); }

  /// Weights of the result's elements, all different.
  array weights() const { return between(0.4, 1.6, value(arguments()).shape()); }
  static std::vector<array> directions(const std::vector<array>& of) {
    std::vector<array> result;
    for (const array& a : of) {
      result.push_back(is_variable(a) ? negative(between(-1.2, 0.9, a.shape())) : zeros_like(a));
    }
    return result;
  }
  static std::vector<array> moved(const std::vector<array>& from, const std::vector<array>& by, double far) {
    std::vector<array> result = from;
    for (size_t i = 0; i < from.size(); ++i) {
      if (is_variable(from[i])) result[i] = from[i] + by[i] * array(far, float64);
    }
    return result;
  }
  static void expect_near(double found, double expected, const std::string& what) {
    EXPECT_NEAR(found, expected, 2e-7 * std::max(1.0, std::abs(expected))) << what;
  }
};

void Gradients::of_each_element() const {
  const array w = weights();
  const auto [results, gradients] = vjp(function(), arguments(), {w});
  const std::vector<double> expected = doubles(value(arguments()));
  // The two may run in different tiers, which add in different orders.
  expect_array(results[0], w.shape(), float64, expected, 1e-13);
  for (size_t i = 0; i < arguments().size(); ++i) {
    const array& argument = arguments()[i];
    ASSERT_EQ(shape_to_string(gradients[i].shape()), shape_to_string(argument.shape()));
    ASSERT_EQ(gradients[i].dtype(), argument.dtype());
    if (!is_variable(argument)) continue;
    const std::vector<double> found = doubles(gradients[i]);
    const std::vector<double> at = doubles(argument);
    for (size_t e = 0; e < at.size(); ++e) {
      const auto with = [&](double number) {
        std::vector<double> elements = at;
        elements[e] = number;
        std::vector<array> all = arguments();
        all[i] = make(elements, argument.shape(), float64);
        return dot(value(all), w);
      };
      expect_near(found[e], (with(at[e] + step) - with(at[e] - step)) / (2 * step),
                  "argument " + std::to_string(i) + ", element " + std::to_string(e));
    }
  }
}

void Gradients::forward_agrees_with_reverse() const {
  const array w = weights();
  const std::vector<array> along = directions(arguments());
  const auto [results, tangents] = jvp(function(), arguments(), along);
  const std::vector<array> gradients = vjp(function(), arguments(), {w}).second;
  ASSERT_EQ(shape_to_string(tangents[0].shape()), shape_to_string(w.shape()));
  ASSERT_EQ(tangents[0].dtype(), float64);
  double expected = 0;
  for (size_t i = 0; i < along.size(); ++i) {
    if (is_variable(along[i])) expected += dot(gradients[i], along[i]);
  }
  expect_near(dot(tangents[0], w), expected, "directional derivative");
}

void Gradients::of_gradients() const {
  const array w = weights();
  const std::vector<array> along = directions(arguments());
  std::vector<array> scales;
  for (const array& a : arguments()) scales.push_back(between(0.3, 1.1, a.shape()));
  // The gradient's elements, all in one number.
  const auto total = [&](const std::vector<array>& x) {
    const std::vector<array> gradients = vjp(function(), x, {w}).second;
    array result(0.0, float64);
    for (size_t i = 0; i < x.size(); ++i) {
      if (is_variable(x[i])) result = result + sum(gradients[i] * scales[i]);
    }
    return result;
  };
  const std::vector<array> x = arguments();
  const double expected =
      (total(moved(x, along, step)).item<double>() - total(moved(x, along, -step)).item<double>()) /
      (2 * step);
  const ArrayFunction totals = [&](const std::vector<array>& at) { return std::vector{total(at)}; };
  expect_near(jvp(totals, x, along).second[0].item<double>(), expected, "forward over reverse");
  double reverse = 0;
  const std::vector<array> gradients = vjp(totals, x, {array(1.0, float64)}).second;
  for (size_t i = 0; i < x.size(); ++i) {
    if (is_variable(x[i])) reverse += dot(gradients[i], along[i]);
  }
  expect_near(reverse, expected, "reverse over reverse");
}

void Gradients::compiled() const {
  const array w = weights();
  const ArrayFunction gradients = [&](const std::vector<array>& x) { return vjp(function(), x, {w}).second; };
  const std::vector<array> expected = gradients(arguments());
  const std::vector<array> found = compile(gradients)(arguments());
  for (size_t i = 0; i < expected.size(); ++i) {
    expect_array(found[i], expected[i].shape(), expected[i].dtype(), doubles(expected[i]), 1e-12);
  }
}

/// Batches of arguments along different axes, and one argument that all members share.
void Gradients::vectorized() const {
  constexpr int members = 3;
  const auto members_of = [](const array& a) {
    std::vector<array> result;
    for (int i = 0; i < members; ++i) {
      const bool shifts = is_variable(a);
      result.push_back(shifts ? a * array(1 - 0.03 * i, float64) : a);
    }
    return result;
  };
  const std::vector<array> x = arguments();
  for (int shared = -1; shared < static_cast<int>(x.size()); ++shared) {
    if (shared == 0 && x.size() == 1) continue;
    std::vector<array> batches;
    std::vector<int> axes;
    std::vector<std::vector<array>> each(members, x);
    for (size_t i = 0; i < x.size(); ++i) {
      if (static_cast<int>(i) == shared) {
        batches.push_back(x[i]);
        axes.push_back(-1);
        continue;
      }
      axes.push_back(static_cast<int>(x[i].ndim()) / 2);
      const std::vector<array> own = members_of(x[i]);
      batches.push_back(stack(own, axes.back()));
      for (int m = 0; m < members; ++m) each[static_cast<size_t>(m)][i] = own[static_cast<size_t>(m)];
    }
    const array w = weights();
    const ArrayFunction values_and_gradients = [&](const std::vector<array>& at) {
      auto [results, gradients] = vjp(function(), at, {w});
      std::vector<array> all = results;
      for (size_t i = 0; i < at.size(); ++i) {
        if (is_variable(at[i])) all.push_back(gradients[i]);
      }
      return all;
    };
    const std::vector<array> found = vmap(values_and_gradients, axes)(batches);
    for (int m = 0; m < members; ++m) {
      const std::vector<array> expected = values_and_gradients(each[static_cast<size_t>(m)]);
      ASSERT_EQ(found.size(), expected.size());
      for (size_t i = 0; i < found.size(); ++i) {
        expect_array(take(found[i], m, 0), expected[i].shape(), expected[i].dtype(), doubles(expected[i]),
                     1e-12,
                     "member " + std::to_string(m) + " of result " + std::to_string(i) +
                         ", shared argument " + std::to_string(shared));
      }
    }
  }
}

TEST_P(Gradients, Hold) {
  {
    SCOPED_TRACE("each element");
    of_each_element();
  }
  {
    SCOPED_TRACE("forward and reverse");
    forward_agrees_with_reverse();
  }
  {
    SCOPED_TRACE("gradients of gradients");
    of_gradients();
  }
  {
    SCOPED_TRACE("compiled");
    compiled();
  }
  SCOPED_TRACE("vectorized");
  vectorized();
}

INSTANTIATE_TEST_SUITE_P(Operations, Gradients, testing::ValuesIn(differentiable_cases()),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace lazuli::test
