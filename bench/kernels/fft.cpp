// Fourier transforms; FFTW with estimated plans is the peer.

#include <cmath>

#include <lazuli/lazuli.h>

#include "../peers.h"
#include "kernels.h"

namespace lazuli::bench {
namespace {

constexpr const char* group = "fft";

void measure(Table& table, int rows, int length, bool is_real) {
  const std::string name = std::to_string(rows) + " x " + std::to_string(length) + (is_real ? " real" : "");
  if (!table.wants(group, name)) return;
  array x = random::normal({rows, length});
  if (!is_real) x = astype(x, complex64);
  eval(x);
  auto compiled = compile([is_real](const std::vector<array>& in) {
    return std::vector<array>{is_real ? fft::rfft(in[0]) : fft::fft(in[0])};
  });
  const double points = static_cast<double>(rows) * length;
  table.measure({.group = group,
                 .name = name,
                 .run = [compiled, x]() mutable { eval(compiled({x})); },
                 .bytes = 2 * static_cast<double>(x.nbytes()),
                 // As is customary: 5 n log2 n, half of it for real numbers.
                 .operations = (is_real ? 2.5 : 5) * points * std::log2(static_cast<double>(length)),
                 .limit = Limit::fma_float32,
                 .peers = peers_of({PeerWork::Kind::fft, {rows, length, is_real ? 1 : 0}, {data_of(x)}},
                                   {{"FFTW", 1}})});
}

}  // namespace

void bench_fft(Table& table) {
  for (const bool is_real : {false, true}) {
    measure(table, 16384, 64, is_real);
    measure(table, 1024, 1024, is_real);
    measure(table, 64, 16384, is_real);
    measure(table, 1, 1 << 20, is_real);
    measure(table, 1000, 1000, is_real);
    measure(table, 400, 1920, is_real);
    measure(table, 64, 10007, is_real);
  }
}

}  // namespace lazuli::bench
