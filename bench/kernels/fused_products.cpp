// Products with what surrounds them in a model, against the bare product: bias, activation, gate, residual,
// conversion and norm should cost next to nothing.

#include <cmath>

#include <lazuli/lazuli.h>

#include "kernels.h"

namespace lazuli::bench {
namespace {

constexpr const char* group = "fused products";
/// Of the bare product's speed: 3 % may be lost.
constexpr double wanted = 0.97;

using Arrays = std::vector<array>;

/// A product of x [rows, depth] with weights that makes [rows, columns].
struct Product {
  std::string name;
  Dtype dtype = float32;
  int rows = 0, columns = 0, depth = 0;
  std::function<array(const array&)> of;
};

struct Surrounding {
  const char* name;
  /// Given x, the bare product and further arrays: a bias, a matrix like the result, a norm's weight.
  array (*compute)(const array& x, const Product& product, const Arrays& more);
};

const std::vector<Surrounding>& surroundings() {
  static const std::vector<Surrounding> all{
      {"bias",
       [](const array& x, const Product& product, const Arrays& more) { return product.of(x) + more[0]; }},
      {"bias, gelu",
       [](const array& x, const Product& product, const Arrays& more) {
         const array y = product.of(x) + more[0];
         return y * 0.5f * (1.0f + erf(y * 0.70710678f));
       }},
      {"silu, gate",
       [](const array& x, const Product& product, const Arrays& more) {
         const array y = product.of(x);
         return y * sigmoid(y) * more[1];
       }},
      {"residual",
       [](const array& x, const Product& product, const Arrays& more) { return product.of(x) + more[1]; }},
      {"to bfloat16",
       [](const array& x, const Product& product, const Arrays&) { return astype(product.of(x), bfloat16); }},
      {"norm before", [](const array& x, const Product& product,
                         const Arrays& more) { return product.of(fast::rms_norm(x, more[2], 1e-5f)); }},
  };
  return all;
}

void measure(Table& table, const Product& product) {
  if (!table.wants(group)) return;
  const array x = astype(random::normal({product.rows, product.depth}), product.dtype);
  const Arrays more{astype(random::normal({product.columns}), product.dtype),
                    astype(random::normal({product.rows, product.columns}), product.dtype),
                    astype(random::normal({product.depth}), product.dtype)};
  eval(x, more[0], more[1], more[2]);
  auto bare = compile([product](const Arrays& in) { return Arrays{product.of(in[0])}; });
  const double operations = 2.0 * product.rows * product.columns * product.depth;
  for (const Surrounding& around : surroundings()) {
    auto fused = compile([product, around](const Arrays& in) {
      return Arrays{around.compute(in[0], product, {in[1], in[2], in[3]})};
    });
    Work work{.group = group,
              .name = product.name + ": " + around.name,
              .run =
                  [fused, x, more]() mutable {
                    eval(fused({x, more[0], more[1], more[2]}));
                  },
              .operations = operations};
    work.peers.push_back({"the bare product", [bare, x]() mutable { eval(bare({x})); }, wanted});
    table.measure(work);
  }
}

/// As large as a model's, so that a product of normal activations is about as large as they are. Products far
/// from that have sigmoids below the smallest normal number, over which processors take a hundred cycles.
array weights(int rows, int columns, int depth, Dtype dtype) {
  return astype(random::normal({rows, columns}) * (1 / std::sqrt(static_cast<float>(depth))), dtype);
}

Product dense(int rows, int columns, int depth, Dtype dtype) {
  const array w = weights(depth, columns, depth, dtype);
  eval(w);
  return {std::to_string(rows) + " x " + std::to_string(columns) + " x " + std::to_string(depth) + ' ' +
              std::string(dtype_name(dtype)),
          dtype,
          rows,
          columns,
          depth,
          [w](const array& x) { return matmul(x, w); }};
}

Product quantized(int rows, int columns, int depth) {
  const Arrays parts = quantize(weights(columns, depth, depth, float32), 64, 4);
  const array packed = pack_quantized(parts[0], parts[1], parts[2], 64, 4);
  eval(packed);
  return {std::to_string(rows) + " x " + std::to_string(columns) + " x " + std::to_string(depth) + " 4 bits",
          float32,
          rows,
          columns,
          depth,
          [packed, columns, depth](const array& x) {
            return packed_quantized_matmul(x, packed, columns, depth, 64, 4, QuantizedActivations::int8);
          }};
}

}  // namespace

void bench_fused_products(Table& table) {
  if (!table.wants(group)) return;
  measure(table, dense(1024, 1024, 1024, float32));
  measure(table, dense(512, 2048, 2048, float32));
  measure(table, dense(1024, 1024, 1024, bfloat16));
  measure(table, dense(1, 4096, 4096, float32));
  measure(table, quantized(512, 2048, 2048));
  measure(table, quantized(1, 8192, 2048));
}

}  // namespace lazuli::bench
