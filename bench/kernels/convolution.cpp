// Convolutions, forward and gradients, against the multiply-add rate.

#include <lazuli/lazuli.h>

#include "../peers.h"
#include "kernels.h"

namespace lazuli::bench {
namespace {

constexpr const char* group = "convolution";

struct Layer {
  std::string name;
  Shape input;
  Shape weight;
  int stride = 1;
  int padding = 0;
  int groups = 1;
};

void measure(Table& table, const Layer& layer) {
  const bool wanted = table.wants(group, layer.name) || table.wants(group, layer.name + ", gradients");
  if (!wanted) return;
  const array x = random::normal(layer.input);
  const array w = random::normal(layer.weight);
  const ArrayFunction forward = [layer](const std::vector<array>& in) {
    return std::vector<array>{conv_general(in[0], in[1], {layer.stride}, {layer.padding}, {layer.padding}, {},
                                           std::vector<int>{}, layer.groups)};
  };
  const array out = forward({x, w})[0];
  eval(x, w, out);
  double weights = 1;
  for (size_t d = 1; d < layer.weight.size(); ++d) weights *= layer.weight[d].hint();
  const double operations = 2 * weights * static_cast<double>(out.size());
  const double bytes = static_cast<double>(x.nbytes() + w.nbytes() + out.nbytes());
  const auto run = [](const ArrayFunction& f, const std::vector<array>& in) {
    return [compiled = compile(f), in]() mutable { eval(compiled(in)); };
  };
  const auto spatial = [](const array& a) {
    std::vector<int64_t> extents;
    for (int d = 1; d + 1 < static_cast<int>(a.ndim()); ++d) extents.push_back(a.shape(d).hint());
    return extents;
  };
  const auto peers = [&](PeerWork::Kind kind) {
    return peers_of(
        {kind,
         convolution_extents(x.shape(0).hint(), x.shape(-1).hint(), w.shape(0).hint(), layer.groups,
                             layer.stride, layer.padding, spatial(x), spatial(w), spatial(out)),
         {data_of(x), data_of(w), data_of(out)}},
        {{"oneDNN", 0.95}});
  };
  if (table.wants(group, layer.name)) {
    table.measure({.group = group,
                   .name = layer.name,
                   .run = run(forward, {x, w}),
                   .bytes = bytes,
                   .operations = operations,
                   .limit = Limit::fma_float32,
                   .peers = peers(PeerWork::Kind::convolution)});
  }
  if (table.wants(group, layer.name + ", gradients")) {
    const ArrayFunction gradients = [forward](const std::vector<array>& in) {
      return vjp(forward, {in[0], in[1]}, {in[2]}).second;
    };
    table.measure({.group = group,
                   .name = layer.name + ", gradients",
                   .run = run(gradients, {x, w, out}),
                   .bytes = 2 * bytes,
                   .operations = 2 * operations,
                   .limit = Limit::fma_float32,
                   .peers = peers(PeerWork::Kind::convolution_gradients)});
  }
}

}  // namespace

void bench_convolution(Table& table) {
  measure(table, {"3 x 3, 64 channels, 56 x 56", {8, 56, 56, 64}, {64, 3, 3, 64}, 1, 1});
  measure(table, {"3 x 3, 256 channels, 14 x 14", {8, 14, 14, 256}, {256, 3, 3, 256}, 1, 1});
  measure(table, {"3 x 3 in steps of 2, 128 to 256", {8, 28, 28, 128}, {256, 3, 3, 128}, 2, 1});
  measure(table, {"7 x 7 in steps of 2, 3 to 64, 224 x 224", {4, 224, 224, 3}, {64, 7, 7, 3}, 2, 3});
  measure(table, {"1 x 1, 256 to 64, 56 x 56", {8, 56, 56, 256}, {64, 1, 1, 256}});
  measure(table, {"depthwise 3 x 3, 256 channels, 28 x 28", {8, 28, 28, 256}, {256, 3, 3, 1}, 1, 1, 256});
  measure(table, {"one axis, 5 of 128 channels, 2048", {8, 2048, 128}, {128, 5, 128}, 1, 2});
  measure(table, {"three axes, 3 x 3 x 3, 32 channels", {1, 16, 28, 28, 32}, {64, 3, 3, 3, 32}, 1, 1});
}

}  // namespace lazuli::bench
