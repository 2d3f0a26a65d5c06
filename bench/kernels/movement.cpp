// Transposes, strided copies, gathers of rows, concatenation.

#include <lazuli/lazuli.h>

#include "kernels.h"

namespace lazuli::bench {
namespace {

using Function = std::function<array(const std::vector<array>&)>;

void row(Table& table, const std::string& name, const Function& f, std::vector<array> inputs,
         double elements) {
  if (!table.wants("movement", name)) return;
  eval(inputs);
  auto compiled = compile([f](const std::vector<array>& in) { return std::vector<array>{f(in)}; });
  table.measure({.group = "movement",
                 .name = name,
                 .run = [compiled, inputs]() mutable { eval(compiled(inputs)); },
                 .bytes = 2 * elements * static_cast<double>(inputs[0].dtype().size()),
                 .limit = Limit::copy,
                 .wanted_share = 0.75});
}

}  // namespace

void bench_movement(Table& table) {
  constexpr double count = 16 << 20;
  const array matrix = random::normal({4096, 4096});
  row(
      table, "transpose 4096 x 4096 float32", [](const auto& in) { return contiguous(transpose(in[0])); },
      {matrix}, count);
  row(
      table, "transpose 4096 x 4096 bfloat16", [](const auto& in) { return contiguous(transpose(in[0])); },
      {astype(matrix, bfloat16)}, count);
  row(
      table, "transpose 4096 x 4096 int8", [](const auto& in) { return contiguous(transpose(in[0])); },
      {astype(matrix, int8)}, count);
  row(
      table, "transpose 2047 x 8191", [](const auto& in) { return contiguous(transpose(in[0])); },
      {random::normal({2047, 8191})}, 2047.0 * 8191);
  row(
      table, "swap heads (8, 1024, 32, 64)",
      [](const auto& in) {
        return contiguous(transpose(in[0], {0, 2, 1, 3}));
      },
      {random::normal({8, 1024, 32, 64})}, count);
  row(
      table, "transpose (256, 256, 256) to 2, 1, 0",
      [](const auto& in) {
        return contiguous(transpose(in[0], {2, 1, 0}));
      },
      {random::normal({256, 256, 256})}, count);
  row(
      table, "half of each row",
      [](const auto& in) {
        return contiguous(slice(in[0], {0, 1024}, {4096, 3072}));
      },
      {matrix}, count / 2);
  row(
      table, "reversed rows",
      [](const auto& in) {
        return contiguous(slice(in[0], {0, 4095}, {4096, -4097}, {1, -1}));
      },
      {matrix}, count);
  row(
      table, "take 16 K rows of 1024", [](const auto& in) { return take(in[0], in[1], 0); },
      {random::normal({32768, 1024}), random::randint(0, 32768, {16384})}, count);
  row(
      table, "take 256 K rows of 64", [](const auto& in) { return take(in[0], in[1], 0); },
      {random::normal({1 << 19, 64}), random::randint(0, 1 << 19, {1 << 18})}, count);
  row(
      table, "concatenate 2 rows-wise",
      [](const auto& in) {
        return concatenate({in[0], in[1]}, 0);
      },
      {random::normal({2048, 4096}), random::normal({2048, 4096})}, count);
  row(
      table, "concatenate 2 columns-wise",
      [](const auto& in) {
        return concatenate({in[0], in[1]}, 1);
      },
      {random::normal({4096, 2048}), random::normal({4096, 2048})}, count);
}

}  // namespace lazuli::bench
