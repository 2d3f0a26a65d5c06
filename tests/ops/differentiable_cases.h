#pragma once

#include <functional>
#include <string>
#include <vector>

#include <lazuli/lazuli.h>
#include <lazuli/ops/elementwise_table.h>

#include "differentiable_case.h"
#include "differentiable_composed_cases.h"
#include "differentiable_host_cases.h"
#include "differentiable_matrix_cases.h"

namespace lazuli::test {

/// Every row of the table of elementwise operations that takes and gives real numbers.
inline std::vector<DifferentiableCase> elementwise_cases() {
  struct Range {
    std::string_view name;
    double low;
    double high;
  };
  // Where the usual interval, from -1.4 to 1.7, is not within the function's domain.
  static constexpr Range ranges[] = {{"power", 0.3, 1.7},    {"sqrt", 0.2, 2},        {"rsqrt", 0.2, 2},
                                     {"log", 0.2, 2},        {"log2", 0.2, 2},        {"log10", 0.2, 2},
                                     {"log1p", -0.6, 2},     {"arcsin", -0.8, 0.8},   {"arccos", -0.8, 0.8},
                                     {"arccosh", 1.2, 3},    {"arctanh", -0.8, 0.8},  {"erfinv", -0.8, 0.8},
                                     {"divide", 0.4, 2},     {"remainder", 0.4, 2},   {"arctan2", 0.2, 2},
                                     {"reciprocal", 0.3, 2}, {"floor_divide", 0.4, 2}};
  std::vector<DifferentiableCase> cases;
  for (const ElementwiseRow& row : elementwise_table()) {
    if (row.operands == OperandRule::boolean || row.operands == OperandRule::bits ||
        row.operands == OperandRule::shift || row.result == ResultRule::boolean ||
        row.result == ResultRule::complex) {
      continue;
    }
    double low = -1.4;
    double high = 1.7;
    for (const Range& range : ranges) {
      if (range.name == row.name) std::tie(low, high) = std::pair{range.low, range.high};
    }
    const auto apply_row = [id = row.id](const std::vector<array>& x) {
      return apply_elementwise(id, x, {});
    };
    const std::string name(row.name);
    if (row.operands == OperandRule::selection) {
      const array condition = integers({1, 0, 1, 1, 0, 0}, {2, 3}, bool_);
      cases.push_back({name, apply_row, {condition, between(low, high, {2, 3}), between(low, high, {3})}});
    } else if (row.arity == 1) {
      cases.push_back({name, apply_row, {between(low, high, {2, 3})}});
      cases.push_back({name + "_scalar", apply_row, {between(low, high, {})}});
    } else {
      const array wide = between(low + 0.02, high + 0.02, {2, 1, 3});
      cases.push_back({name, apply_row, {between(low, high, {2, 3}), wide}});
      cases.push_back({name + "_scalar", apply_row, {wide, between(low, high, {})}});
    }
  }
  return cases;
}

inline std::vector<DifferentiableCase> view_cases() {
  using Arrays = const std::vector<array>&;
  const array x = between(-2, 2, {2, 3, 4});
  return {
      {"reshape",
       [](Arrays a) {
         return reshape(a[0], {4, 6});
       },
       {x}},
      {"flatten", [](Arrays a) { return flatten(transpose(a[0])); }, {x}},
      {"transpose",
       [](Arrays a) {
         return transpose(a[0], {2, 0, 1});
       },
       {x}},
      {"swapaxes", [](Arrays a) { return swapaxes(a[0], 0, 2) * swapaxes(a[0], 0, 2); }, {x}},
      {"expand_dims",
       [](Arrays a) {
         return expand_dims(a[0], {0, 2});
       },
       {x}},
      {"squeeze", [](Arrays a) { return squeeze(a[0], 1); }, {between(-1, 1, {3, 1, 2})}},
      {"broadcast_to",
       [](Arrays a) {
         return broadcast_to(a[0], {4, 3, 2});
       },
       {between(-1, 1, {3, 1})}},
      {"slice",
       [](Arrays a) {
         return slice(a[0], {0, 1, 3}, {2, 3, 0}, {1, 1, -2});
       },
       {x}},
      {"slice_empty",
       [](Arrays a) {
         return slice(a[0], {0, 1, 0}, {2, 1, 4});
       },
       {x}},
      {"slice_at",
       [](Arrays a) {
         return slice(a[0], a[1], {1, 2}, {2, 2, 3});
       },
       {x, integers({1, 1}, {2})}},
      {"slice_update",
       [](Arrays a) {
         return slice_update(a[0], a[1], {0, 1, 0}, {2, 3, 4}, {1, 1, 2});
       },
       {x, between(-1, 1, {2, 2})}},
      {"slice_update_at",
       [](Arrays a) {
         return slice_update(a[0], a[1], a[2], {0, 2});
       },
       {x, between(-1, 1, {1, 3, 2}), integers({1, 2}, {2})}},
      {"slice_update_add",
       [](Arrays a) {
         return slice_update_add(a[0], a[1] * a[1], {0, 1, 0}, {2, 3, 4});
       },
       {x, between(-1, 1, {2, 4})}},
      {"slice_update_prod",
       [](Arrays a) {
         return slice_update_prod(a[0], a[1], {0, 1, 0}, {2, 3, 4});
       },
       {x, between(-1, 1, {2, 4})}},
      {"slice_update_max",
       [](Arrays a) {
         return slice_update_max(a[0], a[1], {0, 1, 0}, {2, 3, 4});
       },
       {x, between(-1, 1, {2, 4})}},
      {"slice_update_min",
       [](Arrays a) {
         return slice_update_min(a[0], a[1], {0, 1, 0}, {2, 3, 4});
       },
       {x, between(-1, 1, {2, 4})}},
      {"flip",
       [](Arrays a) {
         return flip(a[0], {0, 2}) * a[0];
       },
       {x}},
      {"diagonal", [](Arrays a) { return diagonal(a[0], 1, 1, 2); }, {x}},
      {"diag", [](Arrays a) { return diag(a[0], -1); }, {between(-1, 1, {3})}},
      {"trace", [](Arrays a) { return trace(a[0], 0, 1, 2); }, {x}},
      {"concatenate",
       [](Arrays a) {
         return concatenate({a[0], a[1], a[0] * a[0]}, 1);
       },
       {between(-1, 1, {2, 1, 2}), between(-1, 1, {2, 3, 2})}},
      {"stack",
       [](Arrays a) {
         return stack({a[0], exp(a[0])}, -1);
       },
       {between(-1, 1, {2, 3})}},
      {"split", [](Arrays a) { return split(a[0], 2, 2)[1] * split(a[0], 2, 2)[0]; }, {x}},
      {"pad", [](Arrays a) { return pad(a[0], 1, a[1]); }, {between(-1, 1, {2, 3}), between(-1, 1, {})}},
      {"pad_edge",
       [](Arrays a) { return pad(a[0], 2, array(0.0, float64), "edge"); },
       {between(-1, 1, {2, 3})}},
      {"roll", [](Arrays a) { return roll(a[0], 2, 2); }, {x}},
      {"tile",
       [](Arrays a) {
         return tile(a[0], {2, 1, 3});
       },
       {between(-1, 1, {2, 3})}},
      {"repeat", [](Arrays a) { return repeat(a[0], 3, 1); }, {between(-1, 1, {2, 3})}},
      {"full",
       [](Arrays a) {
         return full({4, 2, 3}, a[0], float64);
       },
       {between(-1, 1, {2, 1})}},
      {"tril", [](Arrays a) { return tril(a[0], 1); }, {x}},
      {"as_strided",
       [](Arrays a) {
         return as_strided(a[0], {3, 4}, {2, 1}, 1);
       },
       {between(-1, 1, {2, 6})}},
      {"depends", [](Arrays a) { return depends({a[0] * a[0]}, {exp(a[0])})[0]; }, {between(-1, 1, {3})}},
  };
}

inline std::vector<DifferentiableCase> index_cases() {
  using Arrays = const std::vector<array>&;
  const array x = between(-2, 2, {4, 3, 2});
  const array twice = integers({1, 3, 1, -4, 0, 1}, {2, 3});
  const array rows = integers({0, 2, 1, 1, -1, 2}, {3, 2});
  return {
      {"take", [](Arrays a) { return take(a[0], a[1], 0); }, {x, twice}},
      {"take_middle", [](Arrays a) { return take(a[0], a[1], 1); }, {x, rows}},
      {"take_flat", [](Arrays a) { return take(a[0], a[1]); }, {x, integers({23, 0, 7, 7}, {4})}},
      {"take_one", [](Arrays a) { return take(a[0], 2, 1); }, {x}},
      {"take_along_axis", [](Arrays a) { return take_along_axis(a[0], expand_dims(a[1], 0), 1); }, {x, rows}},
      {"put_along_axis",
       [](Arrays a) { return put_along_axis(a[0], a[2], a[1], 1); },
       {between(-1, 1, {2, 4}), between(-1, 1, {2, 2}), integers({0, 3, 2, 1}, {2, 2})}},
      {"scatter_add_axis",
       [](Arrays a) { return scatter_add_axis(a[0], a[2], a[1], 1); },
       {between(-1, 1, {2, 4}), between(-1, 1, {2, 3}), integers({0, 3, 3, 1, 1, 1}, {2, 3})}},
      {"gather",
       [](Arrays a) {
         return gather(a[0], {a[1], a[2]}, {0, 2}, {2, 3, 1});
       },
       {x, integers({0, 2}, {2, 1}), integers({1, 0, 1}, {3})}},
      {"scatter",
       [](Arrays a) { return scatter(a[0], a[2], a[1], 0); },
       {x, between(-1, 1, {2, 1, 3, 2}), integers({3, 1}, {2})}},
      {"masked_scatter",
       [](Arrays a) { return masked_scatter(a[0], a[2], a[1]); },
       {between(-1, 1, {2, 3}), between(-2, 2, {5}), integers({1, 0, 1, 1, 1, 0}, {2, 3}, bool_)}},
      {"scatter_add",
       [](Arrays a) { return scatter_add(a[0], a[2], a[1], 0); },
       {x, between(-1, 1, {3, 2, 3, 2}), integers({2, 1, 2}, {3})}},
      {"scatter_prod",
       [](Arrays a) { return scatter_prod(a[0], a[2], a[1], 0); },
       {x, between(-1, 1, {3, 1, 3, 2}), integers({2, 1, 2}, {3})}},
      {"scatter_prod_zeros",
       [](Arrays a) { return scatter_prod(a[0], a[2], a[1], 0); },
       {make({0, 2, 1.5, 0.5, 0}, {5}, float64), make({3, 0, 0.5, 0, 2, 0, 0, 4, 0.7}, {9, 1}, float64),
        integers({0, 0, 1, 1, 1, 2, 2, 2, 3}, {9})}},
      {"scatter_max",
       [](Arrays a) { return scatter_max(a[0], a[2], a[1], 0); },
       {x, between(-1, 1, {3, 1, 3, 2}), integers({2, 1, 2}, {3})}},
      {"scatter_min",
       [](Arrays a) { return scatter_min(a[0], a[2], a[1], 0); },
       {x, between(-1, 1, {3, 1, 3, 2}), integers({2, 1, 2}, {3})}},
  };
}

inline std::vector<DifferentiableCase> reduction_cases() {
  using Arrays = const std::vector<array>&;
  const array x = between(-2, 2, {2, 3, 4});
  return {
      {"sum",
       [](Arrays a) {
         return sum(a[0], {0, 2});
       },
       {x}},
      {"sum_all", [](Arrays a) { return sum(a[0] * a[0]); }, {x}},
      {"prod", [](Arrays a) { return prod(a[0], 2); }, {x}},
      {"prod_axes",
       [](Arrays a) {
         return prod(a[0], {2, 0}, true);
       },
       {x}},
      {"prod_zeros",
       [](Arrays a) { return prod(a[0] * a[1], 1); },
       {make({0.5, 0, 2, -1, 0, 3, 0, 0, 1.5, 0, 0, 0}, {4, 3}, float64), between(0.5, 2, {4, 3})}},
      {"max",
       [](Arrays a) {
         return max(a[0], {0, 2}, true);
       },
       {x}},
      {"min", [](Arrays a) { return min(a[0], 1); }, {x}},
      {"mean",
       [](Arrays a) {
         return mean(a[0], {1, 2}, true) * a[0];
       },
       {x}},
      {"var", [](Arrays a) { return var(a[0], 1, false, 1); }, {x}},
      {"std", [](Arrays a) { return std(a[0], 2); }, {x}},
      {"logsumexp",
       [](Arrays a) {
         return logsumexp(a[0], {0, 2});
       },
       {x}},
      {"softmax", [](Arrays a) { return softmax(a[0], -1); }, {x}},
      {"softmax_axes",
       [](Arrays a) {
         return softmax(a[0], {0, 1});
       },
       {x}},
      {"argmax", [](Arrays a) { return take_along_axis(a[0], argmax(a[0], 1, true), 1); }, {x}},
  };
}

inline std::vector<DifferentiableCase> linalg_cases() {
  using Arrays = const std::vector<array>&;
  const array square = between(-1, 1, {3, 3});
  const array batch = between(-1, 1, {2, 1, 3, 4});
  return {
      {"matmul",
       [](Arrays a) { return matmul(a[0], a[1]); },
       {between(-1, 1, {2, 3}), between(-1, 2, {3, 4})}},
      {"matmul_self", [](Arrays a) { return matmul(a[0], transpose(a[0])); }, {between(-1, 1, {2, 3})}},
      {"matmul_batch", [](Arrays a) { return matmul(a[0], a[1]); }, {batch, between(-1, 2, {3, 4, 2})}},
      {"matmul_weights", [](Arrays a) { return matmul(a[0], a[1]); }, {batch, between(-1, 2, {4, 2})}},
      {"matmul_vectors",
       [](Arrays a) { return matmul(a[0], a[1]); },
       {between(-1, 1, {3}), between(-1, 2, {3})}},
      {"matmul_vector", [](Arrays a) { return matmul(a[0], a[1]); }, {between(-1, 1, {3}), square}},
      {"addmm",
       [](Arrays a) { return addmm(a[0], a[1], a[2], 0.5f, 2.0f); },
       {between(-1, 1, {3}), between(-1, 1, {2, 4}), between(-1, 2, {4, 3})}},
      {"inner", [](Arrays a) { return inner(a[0], a[1]); }, {between(-1, 1, {2, 3}), between(-1, 2, {4, 3})}},
      {"outer", [](Arrays a) { return outer(a[0], a[1]); }, {between(-1, 1, {2}), between(-1, 2, {3})}},
      {"tensordot",
       [](Arrays a) {
         return tensordot(a[0], a[1], {0, 2}, {1, 0});
       },
       {between(-1, 1, {2, 3, 4}), between(-1, 2, {4, 2, 2})}},
      {"kron", [](Arrays a) { return kron(a[0], a[1]); }, {between(-1, 1, {2, 2}), between(-1, 2, {1, 3})}},
      {"vecdot",
       [](Arrays a) { return vecdot(a[0], a[1]); },
       {between(-1, 1, {2, 3}), between(-1, 2, {2, 3})}},
      {"rms_norm",
       [](Arrays a) { return fast::rms_norm(a[0], a[1], 1e-5f); },
       {between(-1, 1, {2, 5}), between(0.5, 2, {5})}},
      {"layer_norm",
       [](Arrays a) { return fast::layer_norm(a[0], a[1], a[2], 1e-5f); },
       {between(-1, 1, {2, 5}), between(0.5, 2, {5}), between(-1, 1, {5})}},
      {"rope",
       [](Arrays a) { return fast::rope(a[0], 4, false, 100.0f, 1.0f, 3); },
       {between(-1, 1, {2, 2, 6})}},
      {"rope_traditional",
       [](Arrays a) { return fast::rope(a[0], 4, true, 100.0f, 1.0f, 3); },
       {between(-1, 1, {2, 2, 4})}},
      {"dequantize",
       [](Arrays a) { return dequantize(a[0], a[1], a[2], 32, 4, "affine", std::nullopt, float64); },
       {integers({305419896, 19088743, 252645135, 1985229328}, {1, 4}, uint32), between(0.1, 1, {1, 1}),
        between(-1, 1, {1, 1})}},
  };
}

inline std::vector<DifferentiableCase> differentiable_cases() {
  std::vector<DifferentiableCase> all = elementwise_cases();
  for (const auto& more :
       {view_cases(), index_cases(), reduction_cases(), sorting_cases(), cumulative_cases(), linalg_cases(),
        gathered_cases(), convolution_cases(), matrix_cases(), composed_cases()}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

}  // namespace lazuli::test
