// Softmax and norms over the rows of 4096 x 4096, written from plain operations and as fast::, and gradients.

#include <lazuli/lazuli.h>

#include "../peers.h"
#include "kernels.h"

namespace lazuli::bench {
namespace {

constexpr int side = 4096;

using Function = std::function<array(const std::vector<array>&)>;

void row(Table& table, const std::string& name, const Function& f, std::vector<array> inputs,
         std::optional<PeerWork::Kind> peer = {}) {
  if (!table.wants("softmax and norms", name)) return;
  eval(inputs);
  auto compiled = compile([f](const std::vector<array>& in) { return std::vector<array>{f(in)}; });
  const double bytes = 2.0 * side * side * static_cast<double>(inputs[0].dtype().size());
  std::vector<Peer> peers;
  if (peer) peers = peers_of({*peer, {side, side}, {data_of(inputs[0])}, inputs[0].dtype() == bfloat16});
  table.measure({.group = "softmax and norms",
                 .name = name,
                 .run = [compiled, inputs]() mutable { eval(compiled(inputs)); },
                 .bytes = bytes,
                 .limit = Limit::copy,
                 .wanted_share = 0.85,
                 .peers = std::move(peers)});
}

/// The gradient of `f` for all of the inputs but the last, which is the cotangent. Its least traffic: each
/// matrix is read or written once.
void gradient_row(Table& table, const std::string& name, const Function& f, std::vector<array> inputs) {
  if (!table.wants("softmax and norms", name)) return;
  eval(inputs);
  auto compiled = compile([f](const std::vector<array>& in) {
    const std::vector<array> primals(in.begin(), in.end() - 1);
    const auto forward = [f](const std::vector<array>& at) { return std::vector<array>{f(at)}; };
    return vjp(forward, primals, {in.back()}).second;
  });
  table.measure({.group = "softmax and norms",
                 .name = name,
                 .run = [compiled, inputs]() mutable { eval(compiled(inputs)); },
                 .bytes = 3.0 * side * side * static_cast<double>(inputs[0].dtype().size()),
                 .limit = Limit::add,
                 .wanted_share = 0.85});
}

array log_softmax(const array& x) {
  return x - logsumexp(x, -1, true);
}

array plain_softmax(const array& x) {
  const array e = exp(x - max(x, -1, true));
  return e / sum(e, -1, true);
}

array plain_rms_norm(const array& x, const array& weight) {
  return x * rsqrt(mean(square(x), -1, true) + array(1e-5f, x.dtype())) * weight;
}

array plain_layer_norm(const array& x, const array& weight, const array& bias) {
  return (x - mean(x, -1, true)) * rsqrt(var(x, -1, true) + array(1e-5f, x.dtype())) * weight + bias;
}

}  // namespace

void bench_rows(Table& table) {
  const array x = random::normal({side, side});
  const array weight = random::normal({side}), bias = random::normal({side});
  for (const Dtype dtype : {float32, bfloat16}) {
    const array typed = astype(x, dtype), typed_weight = astype(weight, dtype),
                typed_bias = astype(bias, dtype);
    const std::string suffix = " " + std::string(dtype_name(dtype));
    row(
        table, "softmax" + suffix, [](const auto& in) { return softmax(in[0], -1); }, {typed},
        PeerWork::Kind::softmax);
    row(table, "softmax, plain operations" + suffix, [](const auto& in) { return plain_softmax(in[0]); },
        {typed});
    row(
        table, "log-softmax" + suffix, [](const auto& in) { return log_softmax(in[0]); }, {typed},
        PeerWork::Kind::log_softmax);
    row(table, "fast::rms_norm" + suffix, [](const auto& in) { return fast::rms_norm(in[0], in[1], 1e-5f); },
        {typed, typed_weight});
    row(table, "RMSNorm, plain operations" + suffix,
        [](const auto& in) { return plain_rms_norm(in[0], in[1]); }, {typed, typed_weight});
    row(
        table, "fast::layer_norm" + suffix,
        [](const auto& in) { return fast::layer_norm(in[0], in[1], in[2], 1e-5f); },
        {typed, typed_weight, typed_bias}, PeerWork::Kind::layer_norm);
    row(table, "LayerNorm, plain operations" + suffix,
        [](const auto& in) { return plain_layer_norm(in[0], in[1], in[2]); },
        {typed, typed_weight, typed_bias});
    const array cotangent = astype(random::normal({side, side}), dtype);
    gradient_row(table, "gradient of softmax" + suffix, [](const auto& in) { return softmax(in[0], -1); },
                 {typed, cotangent});
    gradient_row(table, "gradient of log-softmax" + suffix, [](const auto& in) { return log_softmax(in[0]); },
                 {typed, cotangent});
    gradient_row(table, "gradient of fast::rms_norm" + suffix,
                 [](const auto& in) { return fast::rms_norm(in[0], in[1], 1e-5f); },
                 {typed, typed_weight, cotangent});
    gradient_row(table, "gradient of fast::layer_norm" + suffix,
                 [](const auto& in) { return fast::layer_norm(in[0], in[1], in[2], 1e-5f); },
                 {typed, typed_weight, typed_bias, cotangent});
  }
}

}  // namespace lazuli::bench
