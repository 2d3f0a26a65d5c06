// Reductions of 16 M elements over all, rows, columns and middle axes.

#include <lazuli/lazuli.h>

#include "kernels.h"

namespace lazuli::bench {
namespace {

constexpr int count = 16 << 20;

using Function = std::function<std::vector<array>(const array&)>;

void row(Table& table, const std::string& name, const Function& f, const array& x) {
  if (!table.wants("reductions", name)) return;
  eval(x);
  auto compiled = compile([f](const std::vector<array>& in) { return f(in[0]); });
  table.measure({.group = "reductions",
                 .name = name,
                 .run = [compiled, x]() mutable { eval(compiled({x})); },
                 .bytes = static_cast<double>(x.dtype().size()) * count,
                 .limit = Limit::read,
                 .wanted_share = 0.9});
}

}  // namespace

void bench_reductions(Table& table) {
  const auto normal = [](const Shape& shape, Dtype dtype = float32) {
    return astype(random::normal(shape), dtype);
  };
  for (const Dtype dtype : {float32, bfloat16}) {
    const std::string suffix = " " + std::string(dtype_name(dtype));
    row(
        table, "sum of all" + suffix, [](const array& x) { return std::vector<array>{sum(x)}; },
        normal({count}, dtype));
    row(
        table, "sum of rows, 4096 x 4096" + suffix,
        [](const array& x) { return std::vector<array>{sum(x, -1)}; }, normal({4096, 4096}, dtype));
    row(
        table, "sum of columns, 4096 x 4096" + suffix,
        [](const array& x) { return std::vector<array>{sum(x, 0)}; }, normal({4096, 4096}, dtype));
  }
  row(
      table, "sum of rows, 1 M x 16", [](const array& x) { return std::vector<array>{sum(x, -1)}; },
      normal({1 << 20, 16}));
  row(
      table, "sum of columns, 1 M x 16", [](const array& x) { return std::vector<array>{sum(x, 0)}; },
      normal({1 << 20, 16}));
  row(
      table, "sum of columns, 16 x 1 M", [](const array& x) { return std::vector<array>{sum(x, 0)}; },
      normal({16, 1 << 20}));
  row(
      table, "sum of rows, 16 x 1 M", [](const array& x) { return std::vector<array>{sum(x, -1)}; },
      normal({16, 1 << 20}));
  row(
      table, "max of the middle axis, 256 x 256 x 256",
      [](const array& x) { return std::vector<array>{max(x, 1)}; }, normal({256, 256, 256}));
  row(
      table, "max of all", [](const array& x) { return std::vector<array>{max(x)}; }, normal({count}));
  row(
      table, "argmax of rows, 4096 x 4096", [](const array& x) { return std::vector<array>{argmax(x, -1)}; },
      normal({4096, 4096}));
  row(
      table, "argmax of columns, 4096 x 4096",
      [](const array& x) { return std::vector<array>{argmax(x, 0)}; }, normal({4096, 4096}));
  row(
      table, "argmax of all", [](const array& x) { return std::vector<array>{argmax(x)}; }, normal({count}));
  row(
      table, "mean and var of rows, 4096 x 4096",
      [](const array& x) {
        return std::vector<array>{mean(x, -1), var(x, -1)};
      },
      normal({4096, 4096}));
  row(
      table, "mean and var of columns, 4096 x 4096",
      [](const array& x) {
        return std::vector<array>{mean(x, 0), var(x, 0)};
      },
      normal({4096, 4096}));
  row(
      table, "logsumexp of rows, 4096 x 4096",
      [](const array& x) { return std::vector<array>{logsumexp(x, -1)}; }, normal({4096, 4096}));
}

}  // namespace lazuli::bench
