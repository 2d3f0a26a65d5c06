// Cumulative operations over 16 M elements, along rows, columns and all.

#include <lazuli/lazuli.h>

#include "kernels.h"

namespace lazuli::bench {
namespace {

constexpr int count = 16 << 20;

using Function = std::function<array(const array&)>;

void row(Table& table, const std::string& name, const Function& f, const array& x) {
  if (!table.wants("cumulative", name)) return;
  eval(x);
  auto compiled = compile([f](const std::vector<array>& in) { return std::vector<array>{f(in[0])}; });
  table.measure({.group = "cumulative",
                 .name = name,
                 .run = [compiled, x]() mutable { eval(compiled({x})); },
                 .bytes = 2 * static_cast<double>(x.nbytes()),
                 .limit = Limit::copy,
                 .wanted_share = 0.8});
}

}  // namespace

void bench_cumulative(Table& table) {
  const auto along = [](int axis) { return [axis](const array& x) { return cumsum(x, axis); }; };
  const array all = random::normal({count});
  const array square = random::normal({4096, 4096});
  row(table, "cumsum of all", along(0), all);
  row(table, "cumsum of rows, 4096 x 4096", along(1), square);
  row(table, "cumsum of columns, 4096 x 4096", along(0), square);
  row(table, "cumsum of the middle axis, 256 x 256 x 256", along(1), random::normal({256, 256, 256}));
  row(table, "cumsum of columns, 1 M x 16", along(0), random::normal({1 << 20, 16}));
  row(
      table, "cumsum of all, reverse", [](const array& x) { return cumsum(x, 0, true); }, all);
  row(
      table, "cumprod of rows, 4096 x 4096", [](const array& x) { return cumprod(x, 1); }, square);
  row(
      table, "cummax of rows, 4096 x 4096", [](const array& x) { return cummax(x, 1); }, square);
  row(table, "cumsum of all int32", along(0), astype(all, int32));
  row(table, "cumsum of rows bfloat16", along(1), astype(square, bfloat16));
  row(
      table, "logcumsumexp of rows, 4096 x 4096", [](const array& x) { return logcumsumexp(x, 1); }, square);
}

}  // namespace lazuli::bench
