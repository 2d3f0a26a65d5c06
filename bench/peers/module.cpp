#include "module.h"

using namespace lazuli::bench;

extern "C" __attribute__((visibility("default"))) void lazuli_bench_make_peers(const PeerWork& work,
                                                                               int threads,
                                                                               std::vector<PeerRun>& runs) {
#ifdef LAZULI_PEER_ONEDNN
  add_onednn(work, threads, runs);
#endif
#ifdef LAZULI_PEER_EIGEN
  add_eigen(work, threads, runs);
#endif
#ifdef LAZULI_PEER_XTENSOR
  add_xtensor(work, threads, runs);
#endif
#ifdef LAZULI_PEER_FFTW
  add_fftw(work, threads, runs);
#endif
}
