#pragma once

#include <vector>

#include <lazuli/lazuli.h>

#include "differentiable_case.h"

namespace lazuli::test {

/// Functions that are made of others.
inline std::vector<DifferentiableCase> composed_cases() {
  using Arrays = const std::vector<array>&;
  const array x = between(-1.4, 1.7, {2, 3, 2});
  const array plane = between(-1, 1, {1, 3, 4, 2});
  const array space = between(-1, 1, {1, 2, 2, 3, 1});
  const auto joined = [](const std::vector<array>& arrays) {
    std::vector<array> flat;
    for (const array& a : arrays) flat.push_back(flatten(a));
    return concatenate(flat);
  };
  return {
      {"astype", [](Arrays a) { return astype(a[0] * a[0], float64); }, {x}},
      {"clip",
       [](Arrays a) { return clip(a[0], array(-0.6, float64), a[1]); },
       {x, between(0.5, 1.2, {3, 1})}},
      {"divmod",
       [](Arrays a) { return divmod(a[0], a[1])[1]; },
       {between(0.4, 2, {2, 3}), between(0.7, 1.3, {3})}},
      {"nan_to_num", [](Arrays a) { return nan_to_num(a[0] * a[0]); }, {x}},
      {"positive", [](Arrays a) { return positive(a[0]) * a[0]; }, {x}},
      {"full_like",
       [](Arrays a) { return full_like(a[0], a[1], float64) * a[0]; },
       {x, between(-1, 1, {3, 1})}},
      {"triu", [](Arrays a) { return triu(a[0], -1); }, {between(-1, 1, {3, 4})}},
      {"atleast_1d", [](Arrays a) { return atleast_1d(a[0]) * a[0]; }, {between(0.5, 1, {})}},
      {"atleast_2d", [](Arrays a) { return atleast_2d(a[0]) * a[0]; }, {between(0.5, 1, {3})}},
      {"atleast_3d", [](Arrays a) { return square(atleast_3d(a[0])); }, {between(0.5, 1, {3, 2})}},
      {"broadcast_arrays",
       [=](Arrays a) {
         return joined(broadcast_arrays({a[0], a[1]}));
       },
       {between(-1, 1, {2, 1}), between(-1, 1, {3})}},
      {"meshgrid",
       [=](Arrays a) {
         return joined(meshgrid({a[0], a[1]}));
       },
       {between(-1, 1, {2}), between(-1, 1, {3})}},
      {"moveaxis", [](Arrays a) { return square(moveaxis(a[0], 0, -1)); }, {x}},
      {"unflatten",
       [](Arrays a) {
         return square(unflatten(a[0], 1, {3, 2}));
       },
       {between(-1, 1, {2, 6})}},
      {"unstack", [](Arrays a) { return square(stack(unstack(a[0], 1))); }, {x}},
      {"conv_general",
       [](Arrays a) {
         return conv_general(a[0], a[1], std::vector<int>{1, 2}, std::vector<int>{1, 1});
       },
       {plane, between(-1, 2, {2, 2, 3, 2})}},
      {"conv_transpose2d",
       [](Arrays a) {
         return conv_transpose2d(a[0], a[1], {2, 1}, {1, 0});
       },
       {plane, between(-1, 2, {2, 2, 2, 2})}},
      {"conv_transpose3d",
       [](Arrays a) { return conv_transpose3d(a[0], a[1]); },
       {space, between(-1, 2, {2, 1, 2, 2, 1})}},
  };
}

}  // namespace lazuli::test
