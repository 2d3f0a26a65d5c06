// Products with quantized weights, in the shapes of a 1 B-parameter language model: many rows against the
// peak of dot products or multiply-adds, one row against read bandwidth. Packed ones, and codes as they lie
// in MLX's layout, in all modes.

#include <lazuli/lazuli.h>

#include "kernels.h"

namespace lazuli::bench {
namespace {

struct Quantized {
  int rows = 1, outputs = 0, inputs = 0, bits = 4, group_size = 64;
};

void quantized(Table& table, const Quantized& q) {
  const std::string group = "quantized matmul";
  const std::string name = std::to_string(q.rows) + " x " + std::to_string(q.outputs) + " x " +
                           std::to_string(q.inputs) + ", " + std::to_string(q.bits) + " bits, groups of " +
                           std::to_string(q.group_size);
  if (!table.wants(group, name)) return;
  const array codes = random::bits({q.outputs, q.inputs * q.bits / 32});
  const array scales = full({q.outputs, q.inputs / q.group_size}, 0.01f, bfloat16);
  const array biases = full({q.outputs, q.inputs / q.group_size}, -0.1f, bfloat16);
  const array packed = pack_quantized(codes, scales, biases, q.group_size, q.bits);
  const array x = astype(random::normal({q.rows, q.inputs}), bfloat16);
  eval(packed, x);
  auto compiled = compile([q](const std::vector<array>& in) {
    return std::vector<array>{packed_quantized_matmul(in[0], in[1], q.outputs, q.inputs, q.group_size, q.bits,
                                                      QuantizedActivations::int8)};
  });
  const bool many = q.rows >= 128;
  table.measure({.group = group,
                 .name = name,
                 .run =
                     [compiled, x, packed]() mutable {
                       eval(compiled({x, packed}));
                     },
                 .bytes = static_cast<double>(packed.nbytes()),
                 .operations = 2.0 * q.rows * q.outputs * q.inputs,
                 .limit = many ? Limit::dot_int8 : Limit::read,
                 .wanted_share = many          ? 0.6
                                 : q.rows == 1 ? 0.9
                                               : 0});
}

struct Stored {
  const char* mode;
  int bits, group_size;
};

void stored(Table& table, const Stored& q, int rows, int outputs, int inputs) {
  const std::string group = "quantized matmul";
  const std::string name = std::to_string(rows) + " x " + std::to_string(outputs) + " x " +
                           std::to_string(inputs) + ", as stored, " + q.mode + ", " + std::to_string(q.bits) +
                           " bits";
  if (!table.wants(group, name)) return;
  const bool is_affine = std::string(q.mode) == "affine";
  array codes = random::bits({outputs, inputs * q.bits / 32});
  // No code that stands for no number.
  if (q.bits == 8) codes = bitwise_and(codes, array(0xbfbfbfbfu));
  const Shape of_scales{outputs, inputs / q.group_size};
  const array scales =
      is_affine ? full(of_scales, 0.01f, bfloat16) : full(of_scales, array(60, uint8), uint8);
  std::vector<array> in{astype(random::normal({rows, inputs}), bfloat16), codes, scales};
  if (is_affine) in.push_back(full(of_scales, -0.1f, bfloat16));
  eval(in);
  auto compiled = compile([q, is_affine](const std::vector<array>& of) {
    const auto biases = is_affine ? std::make_optional(of[3]) : std::nullopt;
    return std::vector<array>{
        quantized_matmul(of[0], of[1], of[2], biases, true, q.group_size, q.bits, q.mode)};
  });
  double bytes = 0;
  for (size_t i = 1; i < in.size(); ++i) bytes += static_cast<double>(in[i].nbytes());
  table.measure({.group = group,
                 .name = name,
                 .run = [compiled, in]() mutable { eval(compiled(in)); },
                 .bytes = bytes,
                 .operations = 2.0 * rows * outputs * inputs,
                 .limit = rows > 8 ? Limit::fma_float32 : Limit::read});
}

}  // namespace

void bench_quantized_matmul(Table& table) {
  for (const int rows : {128, 512}) {
    for (const int bits : {4, 8}) {
      quantized(table, {.rows = rows, .outputs = 8192, .inputs = 2048, .bits = bits});
      quantized(table, {.rows = rows, .outputs = 2048, .inputs = 8192, .bits = bits});
      quantized(table, {.rows = rows, .outputs = 2048, .inputs = 2048, .bits = bits});
      quantized(table, {.rows = rows, .outputs = 512, .inputs = 2048, .bits = bits});
    }
  }
  for (const int bits : {2, 3, 5, 6})
    quantized(table, {.rows = 512, .outputs = 8192, .inputs = 2048, .bits = bits});
  for (const int size : {32, 128})
    quantized(table, {.rows = 512, .outputs = 8192, .inputs = 2048, .group_size = size});
  // The vocabulary's matrix is larger than the caches.
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    quantized(table, {.outputs = 128256, .inputs = 2048, .bits = bits});
  }
  for (const int size : {32, 128}) quantized(table, {.outputs = 128256, .inputs = 2048, .group_size = size});
  for (const int rows : {2, 3, 4, 5, 6, 7, 8})
    quantized(table, {.rows = rows, .outputs = 128256, .inputs = 2048});
  const Stored modes[] = {
      {"affine", 4, 64}, {"mxfp4", 4, 32}, {"nvfp4", 4, 16}, {"affine", 8, 64}, {"mxfp8", 8, 32}};
  for (const Stored& mode : modes) {
    for (const int rows : {1, 2, 4, 8}) stored(table, mode, rows, 128256, 2048);
    stored(table, mode, 1, 14336, 4096);
    stored(table, mode, 512, 8192, 2048);
  }
}

}  // namespace lazuli::bench
