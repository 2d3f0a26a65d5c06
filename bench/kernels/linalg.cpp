// Factorizations; LAPACK's own routines, on a matrix whose columns lie together already, are the peer.

#include <algorithm>
#include <vector>

#include <lazuli/compiler/lapack/routines.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/lazuli.h>

#include "kernels.h"

namespace lazuli::bench {
namespace {

constexpr const char* group = "linalg";
/// How fast the whole operation should be, as a part of what LAPACK alone does.
constexpr double wanted = 0.95;

/// The matrix that routines overwrite, and what they need.
struct Workplace {
  std::vector<float> a, more, values, rest;
};

/// `f` on a copy of the matrix, on as many threads as Lazuli has.
template <typename F>
Runnable lapack_peer(const array& x, F f) {
  return [x, f, place = std::make_shared<Workplace>()] {
    place->a.resize(x.size());
    std::copy_n(x.data<float>(), x.size(), place->a.data());
    const int before = lapack::threads();
    lapack::set_threads(num_threads());
    f(*place);
    lapack::set_threads(before);
  };
}

void row(Table& table, const std::string& name, const ArrayFunction& f, const array& x, double operations,
         Runnable peer) {
  if (!table.wants(group, name)) return;
  eval(x);
  Work work{.group = group,
            .name = name,
            .run = [compiled = compile(f), x]() mutable { eval(compiled({x})); },
            .bytes = static_cast<double>(x.nbytes()) * 2,
            .operations = operations,
            .limit = Limit::fma_float32};
  if (peer) work.peers.push_back({"LAPACK", std::move(peer), wanted});
  table.measure(work);
}

}  // namespace

void bench_linalg(Table& table) {
  if (!table.wants(group)) return;
  for (const auto& [m, n] : {std::pair{128, 128}, {512, 512}, {1024, 1024}, {2048, 256}}) {
    const array x = random::normal({m, n});
    const std::string size = std::to_string(m) + " x " + std::to_string(n);
    const double base = static_cast<double>(m) * n * n;
    const int rows = m;
    const int columns = n;
    row(
        table, "qr " + size,
        [](const std::vector<array>& in) {
          const auto [q, r] = linalg::qr(in[0]);
          return std::vector<array>{q, r};
        },
        x, 2 * base, lapack_peer(x, [=](Workplace& at) {
          at.values.resize(static_cast<size_t>(columns));
          lapack::geqrf(rows, columns, at.a.data(), at.values.data());
          lapack::orgqr(rows, columns, columns, at.a.data(), at.values.data());
        }));
    row(
        table, "singular values " + size,
        [](const std::vector<array>& in) { return linalg::svd(in[0], false, {}); }, x, base,
        lapack_peer(x, [=](Workplace& at) {
          at.values.resize(static_cast<size_t>(columns));
          lapack::gesdd<float>('N', columns, rows, at.a.data(), at.values.data(), nullptr, columns, nullptr,
                               rows);
        }));
    if (m != n) continue;
    row(
        table, "svd " + size, [](const std::vector<array>& in) { return linalg::svd(in[0]); }, x, 4 * base,
        lapack_peer(x, [=](Workplace& at) {
          at.values.resize(static_cast<size_t>(columns));
          at.more.resize(at.a.size());
          at.rest.resize(at.a.size());
          lapack::gesdd('A', columns, rows, at.a.data(), at.values.data(), at.more.data(), columns,
                        at.rest.data(), rows);
        }));
    const array definite = matmul(x, transpose(x)) + eye(n) * array(static_cast<float>(n));
    eval(definite);
    row(
        table, "cholesky " + size,
        [](const std::vector<array>& in) { return std::vector<array>{linalg::cholesky(in[0])}; }, definite,
        base / 3, lapack_peer(definite, [=](Workplace& at) { lapack::potrf('U', rows, at.a.data()); }));
    row(
        table, "inv " + size,
        [](const std::vector<array>& in) { return std::vector<array>{linalg::inv(in[0])}; }, definite,
        2 * base, lapack_peer(definite, [=](Workplace& at) {
          std::vector<int> pivots(static_cast<size_t>(rows));
          lapack::getrf(rows, rows, at.a.data(), pivots.data());
          lapack::getri(rows, at.a.data(), pivots.data());
        }));
    row(
        table, "eigh " + size,
        [](const std::vector<array>& in) {
          const auto [w, v] = linalg::eigh(in[0]);
          return std::vector<array>{w, v};
        },
        definite, 4 * base, lapack_peer(definite, [=](Workplace& at) {
          at.values.resize(static_cast<size_t>(rows));
          lapack::heevd('V', 'U', rows, at.a.data(), at.values.data());
        }));
  }
  // Batches, for which LAPACK has nothing: matrices in turn.
  const array small = random::normal({4096, 16, 16});
  row(
      table, "qr 4096 of 16 x 16",
      [](const std::vector<array>& in) {
        const auto [q, r] = linalg::qr(in[0]);
        return std::vector<array>{q, r};
      },
      small, 2.0 * 4096 * 16 * 16 * 16, lapack_peer(small, [](Workplace& at) {
        at.values.resize(16);
        for (int i = 0; i < 4096; ++i) {
          lapack::geqrf(16, 16, at.a.data() + 256 * i, at.values.data());
          lapack::orgqr(16, 16, 16, at.a.data() + 256 * i, at.values.data());
        }
      }));
}

}  // namespace lazuli::bench
