// Sorting; TBB's sort is the peer.

#include <algorithm>
#include <numeric>

#include <tbb/parallel_sort.h>
#include <tbb/task_arena.h>

#include <lazuli/compiler/settings.h>
#include <lazuli/lazuli.h>

#include "kernels.h"

namespace lazuli::bench {
namespace {

/// TBB's sort of a copy of the elements, and of positions compared through them, on as many threads.
Runnable tbb_sort(const array& x) {
  return [x, buffer = std::make_shared<std::vector<float>>(x.size())] {
    const float* from = x.data<float>();
    std::copy(from, from + x.size(), buffer->begin());
    tbb::task_arena(num_threads()).execute([&] { tbb::parallel_sort(buffer->begin(), buffer->end()); });
  };
}

Runnable tbb_argsort(const array& x) {
  return [x, order = std::make_shared<std::vector<uint32_t>>(x.size())] {
    const float* from = x.data<float>();
    std::iota(order->begin(), order->end(), 0u);
    tbb::task_arena(num_threads()).execute([&] {
      tbb::parallel_sort(order->begin(), order->end(), [from](uint32_t i, uint32_t j) {
        return from[i] != from[j] ? from[i] < from[j] : i < j;
      });
    });
  };
}

void row(Table& table, const std::string& name, const std::function<array(const array&)>& f, const array& x,
         std::vector<Peer> peers = {}) {
  if (!table.wants("sorting", name)) return;
  eval(x);
  auto compiled = compile([f](const std::vector<array>& in) { return std::vector<array>{f(in[0])}; });
  table.measure({.group = "sorting",
                 .name = name,
                 .run = [compiled, x]() mutable { eval(compiled({x})); },
                 .bytes = static_cast<double>(x.nbytes()) * 2,
                 .peers = std::move(peers)});
}

}  // namespace

void bench_sorting(Table& table) {
  const auto sorted = [](const array& x) { return sort(x, -1); };
  const auto positions = [](const array& x) { return argsort(x, -1); };
  for (const int millions : {1, 16}) {
    const std::string size = std::to_string(millions) + " M";
    const array x = random::normal({millions << 20});
    eval(x);
    row(table, "sort " + size + " float32", sorted, x, {{"tbb::parallel_sort", tbb_sort(x), 2}});
    row(table, "argsort " + size + " float32", positions, x, {{"tbb::parallel_sort", tbb_argsort(x), 2}});
  }
  const array integers = random::randint(0, 1000, {1 << 20});
  row(table, "sort 1 M int32 below 1000", sorted, integers);
  row(table, "sort 1 M float64", sorted, astype(random::normal({1 << 20}), float64));
  row(table, "argsort 1 M float64", positions, astype(random::normal({1 << 20}), float64));
  for (const int length : {16, 128, 512, 4096}) {
    const array x = random::normal({(1 << 20) / length, length});
    const std::string size = std::to_string((1 << 20) / length) + " rows of " + std::to_string(length);
    row(table, "sort " + size, sorted, x);
    row(table, "argsort " + size, positions, x);
  }
  row(
      table, "sort 1024 x 1024 columns", [](const array& x) { return sort(x, 0); },
      random::normal({1024, 1024}));
  row(
      table, "topk 40 of 128 K", [](const array& x) { return topk(x, 40); }, random::normal({128 << 10}));
}

}  // namespace lazuli::bench
