// Attention over 1,024 tokens against the multipliers' peak, and of one query over a long cache against read
// bandwidth.

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <lazuli/lazuli.h>

#include "kernels.h"

namespace lazuli::bench {
namespace {

struct Heads {
  int queries = 1024, keys = 1024, heads = 32, kv_heads = 8, dim = 64;
  Dtype dtype = bfloat16;
  bool causal = true;
  int window = 0;
  float soft_cap = 0;
  int bits = 0;  ///< of quantized keys and values, in groups of 64
};

/// Keys or values as attention takes them, in as many parts as they have.
std::vector<array> stored(const Heads& h, int length) {
  const array rows = astype(random::normal({1, h.kv_heads, length, h.dim}), h.dtype);
  if (h.bits == 0) return {rows};
  return quantize(rows, 64, h.bits);
}

void attend(Table& table, const Heads& h) {
  const std::string group = "attention";
  const std::string name = std::to_string(h.queries) + " over " + std::to_string(h.keys) + ", " +
                           std::to_string(h.heads) + "/" + std::to_string(h.kv_heads) + " heads of " +
                           std::to_string(h.dim) + (h.causal && h.queries > 1 ? ", causal" : "") +
                           (h.window > 0 ? ", window " + std::to_string(h.window) : "") +
                           (h.soft_cap > 0 ? ", soft cap" : "") + " " + std::string(dtype_name(h.dtype)) +
                           (h.bits > 0 ? ", " + std::to_string(h.bits) + " bits" : "");
  if (!table.wants(group, name)) return;
  const array q = astype(random::normal({1, h.heads, h.queries, h.dim}), h.dtype);
  std::vector<array> operands{q, array(h.keys)};
  double bytes = 2.0 * static_cast<double>(q.nbytes());
  for (int i = 0; i < 2; ++i) {
    for (array& part : stored(h, h.keys)) {
      bytes += static_cast<double>(part.nbytes());
      operands.push_back(std::move(part));
    }
  }
  eval(operands);
  fast::CacheAttentionOptions options;
  options.causal = h.causal;
  options.window = h.window;
  options.soft_cap = h.soft_cap;
  const float scale = 1.0f / std::sqrt(static_cast<float>(h.dim));
  auto compiled = compile([options, scale, bits = h.bits](const std::vector<array>& in) {
    if (bits == 0) return std::vector{fast::attention_over_cache(in[0], in[2], in[3], in[1], scale, options)};
    return std::vector{fast::attention_over_quantized_cache(
        in[0], {in[2], in[3], in[4]}, {in[5], in[6], in[7]}, in[1], scale, options, 64, bits)};
  });
  double seen = 0;  // pairs of a query and a key
  for (int i = 0; i < h.queries; ++i) {
    const int position = i + h.keys - h.queries;
    const int last = h.causal ? position : h.keys - 1;
    seen += h.window > 0 ? std::min(h.window, last + 1) : last + 1;
  }
  const bool one = h.queries == 1;
  table.measure({.group = group,
                 .name = name,
                 .run = [compiled, operands]() mutable { eval(compiled(operands)); },
                 .bytes = bytes,
                 .operations = 4.0 * h.heads * seen * h.dim,
                 .limit = one                   ? Limit::read
                          : h.dtype == bfloat16 ? Limit::dot_bfloat16
                                                : Limit::fma_float32,
                 .wanted_share = one ? 0.85 : 0.7});
}

}  // namespace

void bench_attention(Table& table) {
  for (const Dtype dtype : {float32, bfloat16}) {
    for (const int dim : {64, 128, 256}) attend(table, {.dim = dim, .dtype = dtype});
    attend(table, {.dtype = dtype, .causal = false});
    attend(table, {.dim = 128, .dtype = dtype, .window = 256});
    attend(table, {.dim = 128, .dtype = dtype, .soft_cap = 30});
  }
  // 16 times the cache of one layer of a 1 B-parameter model, as it is then larger than the processor's
  // caches.
  for (const Dtype dtype : {float32, bfloat16, float16}) {
    for (const int dim : {64, 128}) {
      attend(table, {.queries = 1, .keys = 4096, .heads = 512, .kv_heads = 128, .dim = dim, .dtype = dtype});
    }
  }
  for (const int bits : {8, 4}) {
    for (const int dim : {64, 128}) {
      attend(table, {.queries = 1, .keys = 4096, .heads = 512, .kv_heads = 128, .dim = dim, .bits = bits});
    }
    attend(table, {.dim = 128, .bits = bits});
  }
}

}  // namespace lazuli::bench
