// Fused elementwise chains over 16 M elements.

#include <cmath>
#include <numbers>

#include <lazuli/lazuli.h>

#include "../peers.h"
#include "kernels.h"

namespace lazuli::bench {
namespace {

constexpr int count = 16 << 20;
constexpr double wanted = 0.9;

using Function = std::function<array(const std::vector<array>&)>;

array gelu(const array& x) {
  const auto scalar = [&](double value) { return full({}, static_cast<float>(value), x.dtype()); };
  return x * (scalar(1) + erf(x * scalar(std::numbers::sqrt2 / 2))) * scalar(0.5);
}

array twenty_operations(const array& x, const array& y) {
  array r = x;
  for (int i = 0; i < 5; ++i) r = maximum(r * y + x, y - r);
  return r;
}

/// The compiled function over these inputs, against the add bandwidth. `bytes` an output element.
void row(Table& table, const std::string& name, const Function& f, std::vector<array> inputs, double bytes,
         std::optional<PeerWork::Kind> peer = {}) {
  if (!table.wants("elementwise", name)) return;
  eval(inputs);
  auto compiled = compile([f](const std::vector<array>& in) { return std::vector<array>{f(in)}; });
  std::vector<Peer> peers;
  if (peer) {
    PeerWork work{*peer, {count}, {}, inputs[0].dtype() != float32};
    for (const array& input : inputs) work.inputs.push_back(data_of(input));
    peers = peers_of(work);
  }
  table.measure({.group = "elementwise",
                 .name = name,
                 .run = [compiled, inputs]() mutable { eval(compiled(inputs)); },
                 .bytes = bytes * count,
                 .limit = Limit::add,
                 .wanted_share = wanted,
                 .peers = std::move(peers)});
}

}  // namespace

void bench_elementwise(Table& table) {
  const auto normal = [](Dtype dtype) { return astype(random::normal({count}), dtype); };
  for (const Dtype dtype : {float32, bfloat16, float16}) {
    const std::string suffix = std::string(" ") + std::string(dtype_name(dtype));
    const double size = static_cast<double>(dtype.size());
    row(
        table, "gelu (erf)" + suffix, [](const auto& in) { return gelu(in[0]); }, {normal(dtype)}, 2 * size);
    row(
        table, "silu(x) * y + z" + suffix,
        [](const auto& in) { return in[0] * sigmoid(in[0]) * in[1] + in[2]; },
        {normal(dtype), normal(dtype), normal(dtype)}, 4 * size, PeerWork::Kind::silu_gate);
    row(
        table, "20 operations" + suffix, [](const auto& in) { return twenty_operations(in[0], in[1]); },
        {normal(dtype), normal(dtype)}, 3 * size);
  }
  row(
      table, "float32 * bfloat16 + float16", [](const auto& in) { return in[0] * in[1] + in[2]; },
      {normal(float32), normal(bfloat16), normal(float16)}, 12);
  const Shape shape{4096, 4096};
  const auto matrix = [&] { return random::normal(shape); };
  row(
      table, "x + row", [](const auto& in) { return in[0] + in[1]; }, {matrix(), random::normal({4096})}, 8);
  row(
      table, "x * column", [](const auto& in) { return in[0] * in[1]; },
      {matrix(), random::normal({4096, 1})}, 8);
  row(
      table, "x * column + row", [](const auto& in) { return in[0] * in[1] + in[2]; },
      {matrix(), random::normal({4096, 1}), random::normal({4096})}, 8);
}

}  // namespace lazuli::bench
