// Matrix products: float32 in all transpositions and shapes against OpenBLAS, halves, and small batched ones.

#include <stdexcept>

#include <lazuli/compiler/lapack/library.h>
#include <lazuli/compiler/lapack/routines.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/lazuli.h>

#include "../peers.h"
#include "kernels.h"

namespace lazuli::bench {
namespace {

constexpr const char* group = "matmul";

/// out[i] = a[i] b[i] for each i below `batch`; where an operand is transposed, it is stored so.
struct Product {
  int batch = 1, m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  Dtype dtype = float32;
  double of_peer = 0.97;  ///< times OpenBLAS's speed that are wanted
  Limit limit = Limit::fma_float32;
  double of_limit = 0;
};

std::string name_of(const Product& s) {
  std::string name;
  if (s.batch > 1) name += std::to_string(s.batch) + " x ";
  name += std::to_string(s.m) + " x " + std::to_string(s.n) + " x " + std::to_string(s.k) + ' ';
  name += s.transpose_a ? 'T' : 'N';
  name += s.transpose_b ? 'T' : 'N';
  return name + ' ' + std::string(dtype_name(s.dtype));
}

/// cblas_sgemm, whose order and transpositions are numbers; https://netlib.org/blas/#_cblas.
using Sgemm = void(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                   const float* a, int lda, const float* b, int ldb, float beta, float* c, int ldc);
constexpr int row_major = 101, as_stored = 111, transposed = 112;

/// OpenBLAS as the library itself loads it, for LAPACK: with the processor's best kernels. Null where there
/// is none.
Sgemm* openblas_sgemm() {
  try {
    if (lapack::find_function("openblas_set_num_threads") == nullptr) return nullptr;
    return reinterpret_cast<Sgemm*>(lapack::find_function("cblas_sgemm"));
  } catch (const std::runtime_error&) {
    return nullptr;
  }
}

Runnable openblas(Sgemm* sgemm, const Product& s, const array& a, const array& b) {
  lapack::set_threads(num_threads());
  const array out = zeros({s.batch, s.m, s.n});
  eval(out);
  return [sgemm, s, a, b, out] {
    const int64_t rows = s.m, columns = s.n, depth = s.k;
    for (int64_t i = 0; i < s.batch; ++i) {
      sgemm(row_major, s.transpose_a ? transposed : as_stored, s.transpose_b ? transposed : as_stored, s.m,
            s.n, s.k, 1.0f, a.data<float>() + i * rows * depth, s.transpose_a ? s.m : s.k,
            b.data<float>() + i * depth * columns, s.transpose_b ? s.k : s.n, 0.0f,
            const_cast<float*>(out.data<float>()) + i * rows * columns, s.n);
    }
  };
}

void measure(Table& table, const Product& s) {
  if (!table.wants(group, name_of(s))) return;
  const array a =
      astype(random::normal(s.transpose_a ? Shape{s.batch, s.k, s.m} : Shape{s.batch, s.m, s.k}), s.dtype);
  const array b =
      astype(random::normal(s.transpose_b ? Shape{s.batch, s.n, s.k} : Shape{s.batch, s.k, s.n}), s.dtype);
  eval(a, b);
  auto compiled = compile([s](const std::vector<array>& in) {
    return std::vector<array>{matmul(s.transpose_a ? swapaxes(in[0], -1, -2) : in[0],
                                     s.transpose_b ? swapaxes(in[1], -1, -2) : in[1])};
  });
  const double m = s.m, n = s.n, k = s.k;
  Work work{.group = group,
            .name = name_of(s),
            .run =
                [compiled, a, b]() mutable {
                  eval(compiled({a, b}));
                },
            .bytes = s.batch * (m * k + n * k + m * n) * static_cast<double>(s.dtype.size()),
            .operations = 2 * s.batch * m * n * k,
            .limit = s.limit,
            .wanted_share = s.of_limit};
  static Sgemm* const sgemm = openblas_sgemm();
  if (s.dtype == float32 && sgemm != nullptr)
    work.peers.push_back({"OpenBLAS", openblas(sgemm, s, a, b), s.of_peer});
  for (Peer& peer : peers_of({PeerWork::Kind::matmul,
                              {s.batch, s.m, s.n, s.k, s.transpose_a, s.transpose_b},
                              {data_of(a), data_of(b)},
                              s.dtype == bfloat16})) {
    if (s.dtype != float16) work.peers.push_back(std::move(peer));
  }
  table.measure(work);
}

void all_transpositions(Table& table, Product s) {
  for (const bool a : {false, true}) {
    for (const bool b : {false, true}) {
      s.transpose_a = a;
      s.transpose_b = b;
      measure(table, s);
    }
  }
}

}  // namespace

void bench_matmul(Table& table) {
  for (const int side : {256, 512, 1024, 2048, 4096}) {
    all_transpositions(table, {.m = side, .n = side, .k = side, .of_limit = side >= 1024 ? 0.9 : 0});
  }
  for (const int side : {257, 509, 1023}) measure(table, {.m = side, .n = side, .k = side});
  for (const int rows : {1, 2, 4, 8, 16, 32, 64}) {
    for (const bool transposed : {false, true}) {
      measure(
          table,
          {.m = rows, .n = 4096, .k = 4096, .transpose_b = transposed, .of_peer = rows <= 8 ? 1.5 : 0.97});
    }
  }
  measure(table, {.m = 4096, .n = 64, .k = 4096});
  measure(table, {.m = 64, .n = 64, .k = 65536, .transpose_a = true});
  for (const int side : {8, 16, 32, 64}) {
    all_transpositions(table, {.batch = 65536 / side, .m = side, .n = side, .k = side, .of_peer = 1.5});
  }
  measure(table, {.batch = 16, .m = 256, .n = 256, .k = 256});
  for (const int side : {512, 1024, 2048}) {
    all_transpositions(table, {.m = side,
                               .n = side,
                               .k = side,
                               .dtype = bfloat16,
                               .limit = Limit::dot_bfloat16,
                               .of_limit = side >= 1024 ? 0.8 : 0});
    measure(table, {.m = side, .n = side, .k = side, .dtype = float16, .of_limit = side >= 1024 ? 0.81 : 0});
  }
}

}  // namespace lazuli::bench
