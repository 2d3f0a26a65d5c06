#pragma once

#include <functional>
#include <string>
#include <vector>

#include <lazuli/lazuli.h>

#include "differentiable_case.h"

namespace lazuli::test {

inline std::vector<DifferentiableCase> sorting_cases() {
  using Arrays = const std::vector<array>&;
  const array x = between(-2, 2, {2, 3, 4});
  return {
      {"sort", [](Arrays a) { return sort(a[0] * a[0], 1); }, {x}},
      {"sort_all", [](Arrays a) { return sort(a[0]); }, {x}},
      {"partition", [](Arrays a) { return partition(a[0], 2, 2); }, {x}},
      {"topk", [](Arrays a) { return topk(a[0], 2, -1); }, {x}},
      {"median",
       [](Arrays a) {
         return median(a[0], {0, 2});
       },
       {x}},
      {"median_odd", [](Arrays a) { return median(a[0], 1); }, {x}},
  };
}

inline std::vector<DifferentiableCase> cumulative_cases() {
  using Arrays = const std::vector<array>&;
  const array x = between(-1.3, 1.2, {2, 4, 3});
  const array with_zeros = make({0.5, 0, 2, -1, 0, 3, 0, 0, 1.5}, {3, 3}, float64);
  std::vector<DifferentiableCase> cases{
      {"cumprod_zeros",
       [](Arrays a) { return cumprod(a[0] * a[1], 1); },
       {with_zeros, between(0.5, 2, {3, 3})}},
      {"cumsum_all", [](Arrays a) { return cumsum(a[0]) * cumsum(a[0], true); }, {x}},
      {"logcumsumexp_apart", [](Arrays a) { return logcumsumexp(a[0] * array(40.0, float64), 1); }, {x}},
      {"diff", [](Arrays a) { return diff(a[0] * a[0], 2, 1); }, {x}},
  };
  for (const bool reverse : {false, true}) {
    for (const bool inclusive : {false, true}) {
      const std::string suffix = std::string(reverse ? "_reverse" : "") + (inclusive ? "" : "_exclusive");
      // What exclusive extremes begin with is infinite.
      const auto finite = [](const array& a) { return where(isfinite(a), a, zeros_like(a)); };
      cases.push_back(
          {"cumsum" + suffix, [=](Arrays a) { return cumsum(a[0], 1, reverse, inclusive); }, {x}});
      cases.push_back(
          {"cumprod" + suffix, [=](Arrays a) { return cumprod(a[0], 1, reverse, inclusive); }, {x}});
      cases.push_back(
          {"cummax" + suffix, [=](Arrays a) { return finite(cummax(a[0], 1, reverse, inclusive)); }, {x}});
      cases.push_back(
          {"cummin" + suffix, [=](Arrays a) { return finite(cummin(a[0], 2, reverse, inclusive)); }, {x}});
      cases.push_back({"logcumsumexp" + suffix,
                       [=](Arrays a) { return finite(logcumsumexp(a[0], 1, reverse, inclusive)); },
                       {x}});
    }
  }
  return cases;
}

inline std::vector<DifferentiableCase> gathered_cases() {
  using Arrays = const std::vector<array>&;
  const array a = between(-1, 1, {3, 2, 4});
  const array b = between(-1, 2, {2, 4, 3});
  const array lhs = integers({0, 2, 2, 1}, {4});
  const array rhs = integers({1, 1, 0, -1}, {4});
  return {
      {"gather_mm", [](Arrays x) { return gather_mm(x[0], x[1], x[2], x[3]); }, {a, b, lhs, rhs}},
      {"gather_mm_rows",
       [](Arrays x) { return gather_mm(x[0], x[1], x[2], x[3]); },
       {between(-1, 1, {3, 1, 4}), b, lhs, rhs}},
      {"segmented_mm",
       [](Arrays x) { return segmented_mm(x[0], x[1], x[2]); },
       {between(-1, 1, {2, 5}), between(-1, 2, {5, 3}), integers({0, 3, 2, 9, 1, 1}, {3, 2})}},
      {"block_masked_mm",
       [](Arrays x) { return block_masked_mm(x[0], x[1], 32, std::nullopt, x[2]); },
       {between(-1, 1, {2, 33}), between(-1, 2, {33, 2}), between(0.5, 2, {1, 2})}},
      {"hadamard_transform",
       [](Arrays x) { return hadamard_transform(x[0] * x[0]); },
       {between(-1, 1, {2, 24})}},
  };
}

inline std::vector<DifferentiableCase> convolution_cases() {
  using Arrays = const std::vector<array>&;
  const auto general = [](std::vector<int> stride, std::vector<int> lo, std::vector<int> hi,
                          std::vector<int> kernel, std::vector<int> input, int groups, bool flip) {
    return [=](Arrays a) { return conv_general(a[0], a[1], stride, lo, hi, kernel, input, groups, flip); };
  };
  const array line = between(-1, 1, {2, 6, 2});
  const array plane = between(-1, 1, {1, 4, 5, 2});
  return {
      {"conv1d", general({1}, {1}, {1}, {1}, {1}, 1, false), {line, between(-1, 2, {3, 3, 2})}},
      {"conv1d_uneven", general({3}, {2}, {1}, {2}, {1}, 1, true), {line, between(-1, 2, {2, 2, 2})}},
      {"conv1d_apart", general({2}, {1}, {2}, {1}, {3}, 1, false), {line, between(-1, 2, {2, 3, 2})}},
      {"conv1d_depthwise", general({1}, {1}, {0}, {1}, {1}, 2, false), {line, between(-1, 2, {2, 3, 1})}},
      {"conv1d_depthwise_apart",
       general({2}, {2}, {1}, {2}, {3}, 2, true),
       {line, between(-1, 2, {2, 3, 1})}},
      {"conv1d_groups",
       general({2}, {1}, {1}, {1}, {1}, 2, false),
       {between(-1, 1, {2, 5, 4}), between(-1, 2, {2, 3, 2})}},
      {"conv2d",
       general({2, 1}, {1, 0}, {1, 1}, {1, 2}, {1, 1}, 1, false),
       {plane, between(-1, 2, {3, 2, 2, 2})}},
      {"conv2d_pointwise", general({}, {}, {}, {}, {}, 1, false), {plane, between(-1, 2, {3, 1, 1, 2})}},
      {"conv3d",
       general({1, 2, 1}, {0, 1, 1}, {1, 0, 0}, {}, {}, 1, false),
       {between(-1, 1, {1, 2, 3, 2, 1}), between(-1, 2, {2, 2, 2, 2, 1})}},
      {"conv_transpose1d",
       [](Arrays a) { return conv_transpose1d(a[0], a[1], 2, 1, 1, 1); },
       {line, between(-1, 2, {2, 3, 2})}},
      {"einsum",
       [](Arrays a) {
         return einsum("bij,jk,bk->i", {a[0], a[1], a[2]});
       },
       {between(-1, 1, {2, 3, 2}), between(-1, 2, {2, 4}), between(-1, 1, {2, 4})}},
  };
}

}  // namespace lazuli::test
