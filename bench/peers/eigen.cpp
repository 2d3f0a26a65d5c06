// Eigen, in AVX2 and on OpenMP's threads.

#ifdef LAZULI_PEER_EIGEN

#include <Eigen/Core>

#include "module.h"

namespace lazuli::bench {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstMap = Eigen::Map<const Matrix>;

}  // namespace

void add_eigen(const PeerWork& work, int threads, std::vector<PeerRun>& runs) {
  if (work.kind != PeerWork::Kind::matmul || work.is_bfloat16 || !__builtin_cpu_supports("avx2")) return;
  Eigen::setNbThreads(threads);
  const auto& e = work.extents;
  const int64_t batch = e[0], m = e[1], n = e[2], k = e[3];
  const bool transpose_a = e[4] != 0, transpose_b = e[5] != 0;
  const auto* const a = static_cast<const float*>(work.inputs[0]);
  const auto* const b = static_cast<const float*>(work.inputs[1]);
  auto out = results(batch * m * n);
  runs.push_back({"Eigen", [=] {
                    for (int64_t i = 0; i < batch; ++i) {
                      const ConstMap left(a + i * m * k, transpose_a ? k : m, transpose_a ? m : k);
                      const ConstMap right(b + i * k * n, transpose_b ? n : k, transpose_b ? k : n);
                      Eigen::Map<Matrix> to(out->data() + i * m * n, m, n);
                      if (transpose_a && transpose_b) {
                        to.noalias() = left.transpose() * right.transpose();
                      } else if (transpose_a) {
                        to.noalias() = left.transpose() * right;
                      } else if (transpose_b) {
                        to.noalias() = left * right.transpose();
                      } else {
                        to.noalias() = left * right;
                      }
                    }
                  }});
}

}  // namespace lazuli::bench

#endif
