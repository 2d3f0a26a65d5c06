// xtensor, with its expressions in AVX2 vectors on TBB's threads.

#ifdef LAZULI_PEER_XTENSOR

#include <xtensor/xadapt.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xnoalias.hpp>
#include <xtensor/xtensor.hpp>

#include "module.h"

namespace lazuli::bench {

void add_xtensor(const PeerWork& work, int, std::vector<PeerRun>& runs) {
  if (work.kind != PeerWork::Kind::silu_gate || work.is_bfloat16 || !__builtin_cpu_supports("avx2")) return;
  const auto count = static_cast<size_t>(work.extents[0]);
  const auto view = [count](const void* data) {
    return xt::adapt(static_cast<const float*>(data), count, xt::no_ownership(),
                     std::array<size_t, 1>{count});
  };
  auto out = std::make_shared<xt::xtensor<float, 1>>(std::array<size_t, 1>{count});
  runs.push_back({"xtensor", [x = view(work.inputs[0]), y = view(work.inputs[1]), z = view(work.inputs[2]),
                              out] { xt::noalias(*out) = x / (1.0f + xt::exp(-x)) * y + z; }});
}

}  // namespace lazuli::bench

#endif
