#pragma once

#include <functional>
#include <string>
#include <vector>

#include <lazuli/lazuli.h>
#include <lazuli/ops/depends.h>
#include <lazuli/ops/elementwise_table.h>

#include "differentiable_cases.h"

namespace lazuli::test {

using Arrays = const std::vector<array>&;

/// A function of several results.
struct ExportCase {
  std::string name;
  std::function<std::vector<array>(Arrays)> function;
  std::vector<array> arguments;
  bool is_like_others = false;  ///< but for its dtype
};

/// Every elementwise operation on every dtype that it takes.
inline std::vector<ExportCase> elementwise_export_cases() {
  std::vector<ExportCase> cases;
  for (const ElementwiseRow& row : elementwise_table()) {
    for (int i = 0; i < dtype_count; ++i) {
      const Dtype dtype = dtype_from_value(static_cast<Dtype::Val>(i));
      const std::vector<array> arguments(static_cast<size_t>(row.arity),
                                         make({1, 0, 1, 1, 0, 1}, {2, 3}, dtype));
      try {
        apply_elementwise(row.id, arguments, {});
      } catch (const std::invalid_argument&) {
        continue;  // it does not take the dtype
      }
      cases.push_back({std::string(row.name) + "_" + std::string(dtype_name(dtype)),
                       [id = row.id](Arrays a) { return std::vector<array>{apply_elementwise(id, a, {})}; },
                       arguments, dtype != float32});
    }
  }
  return cases;
}

inline std::vector<ExportCase> other_export_cases() {
  const array x = between(-2, 2, {3, 4});
  const array single = astype(x, float32);
  const array rows = integers({2, 0, 1}, {3});
  const auto weights = quantize(make_numbers({64, 64}), 32, 4);
  const auto floats = quantize(make_numbers({64, 64}), std::nullopt, std::nullopt, "mxfp4");
  const array halves = astype(make_numbers({5, 64}), float16);
  return {
      {"constants",
       [](Arrays a) {
         return std::vector<array>{a[0] + zeros({3, 4}), ones({2}, int8)};
       },
       {x}},
      {"ranges",
       [](Arrays a) {
         return std::vector<array>{arange(2.0, 14.0, 3.0, float64) + a[0], arange(4, int32)};
       },
       {x}},
      {"full",
       [](Arrays a) {
         return std::vector<array>{full({2, 4}, take(a[0], 0, 0), float64)};
       },
       {x}},
      {"casts",
       [](Arrays a) {
         return std::vector<array>{view(a[0], int32), view(a[0], uint8), view(view(a[0], uint8), float32),
                                   astype(a[0], complex64), view(astype(a[0], int16), float16)};
       },
       {single}},
      {"reductions",
       [](Arrays a) {
         return std::vector<array>{sum(a[0], 1),    prod(a[0], 0),      max(a[0]),       min(a[0], 1, true),
                                   all(a[0] > 0.0), any(a[0] > 1.0, 1), argmax(a[0], 1), argmin(a[0])};
       },
       {x}},
      {"sorting",
       [](Arrays a) {
         return std::vector<array>{argsort(a[0], 0), argpartition(a[0], 2, 1),
                                   searchsorted(sort(flatten(a[0])), array({0.5, -0.5}, float64), "right")};
       },
       {x}},
      {"random",
       [](Arrays a) {
         return std::vector<array>{random::bits({5}, 2, a[0]), random::uniform({3, 2}, float32, a[0]),
                                   vmap(std::function<array(const array&)>([](const array& key) {
                                     return random::bits({3}, 4, key);
                                   }))(random::split(a[0], 4))};
       },
       {random::key(7)}},
      {"scatters",
       [](Arrays a) {
         const array updates = ones({3, 1, 4}, float64);
         return std::vector<array>{scatter_add(a[0], a[1], updates, 0), scatter_prod(a[0], a[1], updates, 0),
                                   scatter_max(a[0], a[1], updates, 0), scatter_min(a[0], a[1], updates, 0),
                                   scatter(a[0], a[1], updates, 0),     gather(a[0], a[1], 0, {1, 2})};
       },
       {x, rows}},
      {"masked_scatter",
       [](Arrays a) { return std::vector<array>{masked_scatter(a[0], a[0] > 0.0, a[0] * 2.0)}; },
       {x}},
      {"depends", [](Arrays a) { return depends({a[0] * 2.0}, {exp(a[0])}); }, {x}},
      {"stop_gradient", [](Arrays a) { return std::vector<array>{stop_gradient(a[0]) * a[0]}; }, {x}},
      {"transforms_of_fourier",
       [](Arrays a) {
         return std::vector<array>{fft::rfft(a[0]), fft::ifft(astype(a[0], complex64)),
                                   fft::irfft(astype(a[0], complex64))};
       },
       {single}},
      {"cumulative",
       [](Arrays a) {
         return std::vector<array>{cumsum(a[0], 0, true, false), cumprod(a[0], 1), cummax(a[0], 0),
                                   cummin(a[0], 1, true), logcumsumexp(a[0], 1)};
       },
       {x}},
      {"gradient_of_cumprod",
       [](Arrays a) {
         return std::vector<array>{grad(
             std::function<array(const array&)>([](const array& y) { return sum(cumprod(y, 1)); }))(a[0])};
       },
       {x}},
      {"joins",
       [](Arrays a) {
         return std::vector<array>{concatenate({a[0], a[0]}, 1)};
       },
       {x}},
      {"products",
       [](Arrays a) {
         return std::vector<array>{matmul(a[0], transpose(a[0])),
                                   addmm(matmul(a[0], transpose(a[0])), a[0], transpose(a[0]), 0.5f, 2.0f)};
       },
       {single}},
      {"gathered_products",
       [](Arrays a) {
         const array stack = reshape(a[0], {2, 2, 3});
         const array index = array({1, 0, 1}, uint32);
         return std::vector<array>{gather_mm(stack, transpose(stack, {0, 2, 1}), index, index),
                                   segmented_mm(reshape(a[0], {3, 4}), reshape(a[0], {4, 3}),
                                                array({0, 2, 1, 4}, Shape{2, 2}, uint32))};
       },
       {single}},
      {"quantized",
       [weights, floats](Arrays a) {
         const array w = stack({weights[0], weights[0]});
         const array s = stack({weights[1], weights[1]});
         const array b = stack({weights[2], weights[2]});
         return std::vector<array>{
             quantized_matmul(a[0], floats[0], floats[1], std::nullopt, true, std::nullopt, std::nullopt,
                              "mxfp4"),
             quantized_matmul(a[0], weights[0], weights[1], weights[2], true, 32, 4),
             quantized_matmul(a[0], weights[0], weights[1], weights[2], false, 32, 4),
             gather_qmm(reshape(a[0], {5, 1, 64}), w, s, b, std::nullopt, array({1, 0, 0, 1, 1}, uint32),
                        true, 32, 4),
             gather_qmm(reshape(a[0], {5, 1, 64}), stack({floats[0], floats[0]}),
                        stack({floats[1], floats[1]}), std::nullopt, std::nullopt,
                        array({1, 0, 0, 1, 1}, uint32), true, std::nullopt, std::nullopt, "mxfp4")};
       },
       {astype(halves, float32)}},
      {"attention",
       [](Arrays a) {
         const array q = reshape(a[0], {1, 4, 5, 16});
         const array kv = reshape(a[0], {1, 2, 10, 16});
         return std::vector<array>{fast::scaled_dot_product_attention(q, kv, kv, 0.25f, "causal"),
                                   fast::scaled_dot_product_attention(q, kv, kv, 0.25f, "", {}, ones({4}))};
       },
       {astype(halves, float32)}},
      {"quantized attention",
       [](Arrays a) {
         const array q = reshape(a[0], {1, 2, 5, 32});
         const auto attend = [&](int bits) {
           const std::vector<array> kv = quantize(q, 32, bits);
           return fast::quantized_scaled_dot_product_attention(q, kv, kv, 0.25f, "causal", {}, {}, 32, bits);
         };
         return std::vector<array>{attend(8), attend(4), attend(3)};
       },
       {astype(halves, float32)}},
      {"convolutions",
       [](Arrays a) {
         const array image = reshape(a[0], {1, 8, 8, 5});
         const array kernel = reshape(slice(flatten(a[0]), {0}, {90}), {2, 3, 3, 5});
         return std::vector<array>{
             conv2d(image, kernel, {2, 1}, {1, 0}, {1, 2}),
             conv1d(reshape(a[0], {1, 64, 5}), reshape(kernel, {6, 3, 5}), 1, 1),
             conv_general(image, kernel, {1, 1}, {0, 1}, {1, 0}, {1, 1}, {2, 2}, 1, true)};
       },
       {astype(halves, float32)}},
      {"matrices",
       [](Arrays a) {
         const array square = slice(a[0], {0, 0}, {3, 3});
         const array symmetric = square + transpose(square);
         return std::vector<array>{linalg::eigvals(square),          linalg::eig(square).first,
                                   linalg::eigh(symmetric).first,    linalg::eigvalsh(symmetric, "U"),
                                   linalg::svd(a[0], false).front(), linalg::det(square)};
       },
       {x}},
      {"packed",
       [weights](Arrays a) {
         const array packed = pack_quantized(weights[0], weights[1], weights[2], 32, 4);
         return std::vector<array>{
             packed_quantized_matmul(a[0], packed, 64, 64, 32, 4, QuantizedActivations::int8),
             packed_quantized_take(pack_quantized(a[1], weights[1], weights[2], 32, 4), array({3, 0}), 64,
                                   float32),
             packed_quantized_matmul(a[0], pack_quantized(a[1], weights[1], weights[2], 32, 4), 64, 64, 32, 4,
                                     QuantizedActivations::float32)};
       },
       {astype(halves, float32), weights[0]}},
  };
}

inline std::vector<ExportCase> export_cases() {
  std::vector<ExportCase> cases = elementwise_export_cases();
  for (const DifferentiableCase& of : differentiable_cases()) {
    cases.push_back(
        {of.name, [f = of.function](Arrays a) { return std::vector<array>{f(a)}; }, of.arguments});
  }
  for (ExportCase& of : other_export_cases()) cases.push_back(std::move(of));
  return cases;
}

}  // namespace lazuli::test
