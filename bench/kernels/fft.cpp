// Fourier transforms; FFTW with estimated plans is the peer.

#include <cmath>

#include <lazuli/lazuli.h>

#include "../peers.h"
#include "kernels.h"

namespace lazuli::bench {
namespace {

constexpr const char* group = "fft";

enum class Kind : uint8_t { complex, real, back_to_real };

void measure(Table& table, int rows, int length, Kind kind) {
  constexpr const char* kinds[] = {"", " real", " back to real"};
  const bool is_complex = kind == Kind::complex;
  const std::string name =
      std::to_string(rows) + " x " + std::to_string(length) + kinds[static_cast<size_t>(kind)];
  if (!table.wants(group, name)) return;
  array x = random::normal({rows, length});
  if (is_complex) x = astype(x, complex64);
  if (kind == Kind::back_to_real) x = fft::rfft(x);
  eval(x);
  auto compiled = compile([kind, length](const std::vector<array>& in) {
    return std::vector<array>{kind == Kind::complex ? fft::fft(in[0])
                              : kind == Kind::real  ? fft::rfft(in[0])
                                                    : fft::irfft(in[0], length, -1)};
  });
  const double points = static_cast<double>(rows) * length;
  table.measure(
      {.group = group,
       .name = name,
       .run = [compiled, x]() mutable { eval(compiled({x})); },
       .bytes = 2 * static_cast<double>(x.nbytes()),
       // As is customary: 5 n log2 n, half of it for real numbers.
       .operations = (is_complex ? 5 : 2.5) * points * std::log2(static_cast<double>(length)),
       .limit = Limit::fma_float32,
       .peers = peers_of({PeerWork::Kind::fft, {rows, length, static_cast<int>(kind)}, {data_of(x)}},
                         {{"FFTW", 1}})});
}

}  // namespace

void bench_fft(Table& table) {
  for (const Kind kind : {Kind::complex, Kind::real, Kind::back_to_real}) {
    measure(table, 16384, 64, kind);
    measure(table, 1024, 1024, kind);
    measure(table, 64, 16384, kind);
    measure(table, 1, 1 << 20, kind);
    measure(table, 1000, 1000, kind);
    measure(table, 400, 1920, kind);
    measure(table, 64, 10007, kind);
  }
}

}  // namespace lazuli::bench
