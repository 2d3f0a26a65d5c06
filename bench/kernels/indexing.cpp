// Gathers and scatters by index arrays: rows against the copy bandwidth, elements against loops by hand.

#include <lazuli/lazuli.h>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/thread_pool.h>

#include "kernels.h"

namespace lazuli::bench {
namespace {

using Function = std::function<array(const std::vector<array>&)>;

constexpr const char* group = "indexing";
constexpr int count = 4 << 20;

Runnable compiled_run(const Function& f, const std::vector<array>& inputs) {
  auto compiled = compile([f](const std::vector<array>& in) { return std::vector<array>{f(in)}; });
  return [compiled, inputs]() mutable { eval(compiled(inputs)); };
}

void rows(Table& table, const std::string& name, const Function& f, const std::vector<array>& inputs,
          double bytes) {
  if (!table.wants(group, name)) return;
  eval(inputs);
  table.measure({.group = group,
                 .name = name,
                 .run = compiled_run(f, inputs),
                 .bytes = bytes,
                 .limit = Limit::copy,
                 .wanted_share = 0.75});
}

/// out[i] = x[index[i]], on all threads.
Runnable gather_by_hand(const array& x, const array& index, const array& out) {
  const auto* from = x.data<float>();
  const auto* at = index.data<int32_t>();
  auto* to = const_cast<float*>(out.data<float>());
  return [=, keep = std::vector<array>{x, index, out}] {
    const int64_t parts = num_threads();
    parallel_for(parts, [&](int64_t part) {
      const int64_t end = count * (part + 1) / parts;
      for (int64_t i = count * part / parts; i < end; ++i) to[i] = from[at[i]];
    });
  };
}

void elements(Table& table, const std::string& name, const array& x, const array& index) {
  if (!table.wants(group, name)) return;
  const array out = zeros({count});
  eval(x, index, out);
  table.measure({.group = group,
                 .name = name,
                 .run = compiled_run([](const auto& in) { return take(in[0], in[1]); }, {x, index}),
                 .bytes = 3.0 * 4 * count,
                 .peers = {{"a loop", gather_by_hand(x, index, out), 0.9}}});
}

}  // namespace

void bench_indexing(Table& table) {
  const array matrix = random::normal({16384, 1024});
  const array places = random::permutation(16384);
  rows(
      table, "gather 16 K rows of 1024", [](const auto& in) { return take(in[0], in[1], 0); },
      {matrix, places}, 2.0 * 4 * 16384 * 1024);
  rows(
      table, "scatter 16 K rows of 1024",
      [](const auto& in) {
        return scatter(zeros({16384, 1024}), {in[1]}, expand_dims(in[0], 1), {0});
      },
      {matrix, places}, 3.0 * 4 * 16384 * 1024);  // the zeros are written, too
  rows(
      table, "add 16 K rows of 1024 to 4 K",
      [](const auto& in) {
        return scatter_add(zeros({4096, 1024}), {in[1] % 4096}, expand_dims(in[0], 1), {0});
      },
      {matrix, places}, 4.0 * (16384 + 4096) * 1024);
  elements(table, "gather 4 M elements of 16 K", random::normal({16384}), random::randint(0, 16384, {count}));
  elements(table, "gather 4 M elements of 4 M", random::normal({count}), random::randint(0, count, {count}));

  const std::string einsum_name = "einsum bij,bjk->bik, 16 x 256 x 256 x 256";
  if (table.wants(group, einsum_name)) {
    const std::vector<array> operands{random::normal({16, 256, 256}), random::normal({16, 256, 256})};
    eval(operands);
    table.measure(
        {.group = group,
         .name = einsum_name,
         .run = compiled_run(
             [](const auto& in) {
               return einsum("bij,bjk->bik", {in[0], in[1]});
             },
             operands),
         .bytes = 3.0 * 4 * 16 * 256 * 256,
         .operations = 2.0 * 16 * 256 * 256 * 256,
         .peers = {
             {"matmul", compiled_run([](const auto& in) { return matmul(in[0], in[1]); }, operands), 0.97}}});
  }
}

}  // namespace lazuli::bench
