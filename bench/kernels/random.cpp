// Random numbers: bytes a second and core, by an upper bound of the time.

#include <lazuli/lazuli.h>

#include <lazuli/compiler/settings.h>

#include "kernels.h"

namespace lazuli::bench {
namespace {

constexpr int count = 16 << 20;

/// `wanted` in bytes a second and core; 0: only shown.
void row(Table& table, const std::string& name, double wanted, const std::function<array(const array&)>& f) {
  if (!table.wants("random", name)) return;
  auto compiled = compile([f](const std::vector<array>& in) { return std::vector<array>{f(in[0])}; });
  const array key = random::key(7);
  const array once = compiled({key})[0];
  eval(once);
  const auto bytes = static_cast<double>(once.nbytes());
  table.measure({.group = "random",
                 .name = name,
                 .run = [compiled, key]() mutable { eval(compiled({key})); },
                 .bytes = bytes,
                 .wanted_seconds = wanted == 0 ? 0 : bytes / (wanted * num_threads())});
}

}  // namespace

void bench_random(Table& table) {
  row(table, "16 M words of uniform bits", 2e9,
      [](const array& key) { return random::bits({count}, 4, key); });
  row(table, "16 M uniform float32", 0,
      [](const array& key) { return random::uniform({count}, float32, key); });
  row(table, "16 M normal float32", 1e9,
      [](const array& key) { return random::normal({count}, float32, key); });
  row(table, "16 M normal bfloat16", 0,
      [](const array& key) { return random::normal({count}, bfloat16, key); });
}

}  // namespace lazuli::bench
