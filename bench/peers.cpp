#include "peers.h"

#include <dlfcn.h>

#include <cstdlib>

#include <lazuli/compiler/settings.h>

namespace lazuli::bench {
namespace {

MakePeers load_module() {
#ifdef LAZULI_BENCH_PEERS
  // OpenMP's threads would otherwise spin for milliseconds after each call, on the cores of what runs next.
  setenv("OMP_WAIT_POLICY", "passive", 0);
  void* const module = dlopen(LAZULI_BENCH_PEERS, RTLD_NOW | RTLD_LOCAL);
  if (module != nullptr) return reinterpret_cast<MakePeers>(dlsym(module, "lazuli_bench_make_peers"));
#endif
  return nullptr;
}

}  // namespace

std::vector<int64_t> convolution_extents(int64_t batch, int64_t channels, int64_t features, int64_t groups,
                                         int64_t stride, int64_t padding, const std::vector<int64_t>& in,
                                         const std::vector<int64_t>& kernel,
                                         const std::vector<int64_t>& out) {
  std::vector<int64_t> extents{
      batch, channels, features, groups, stride, padding, static_cast<int64_t>(in.size())};
  for (const auto& axes : {in, kernel, out}) extents.insert(extents.end(), axes.begin(), axes.end());
  return extents;
}

std::vector<Peer> peers_of(const PeerWork& work, const std::vector<WantedOfPeer>& wanted) {
  static const MakePeers make = load_module();
  if (make == nullptr) return {};
  std::vector<PeerRun> runs;
  make(work, num_threads(), runs);
  std::vector<Peer> peers;
  for (PeerRun& run : runs) {
    double times = 0;
    for (const WantedOfPeer& one : wanted) {
      if (one.name == run.name) times = one.times;
    }
    peers.push_back({run.name, std::move(run.run), times});
  }
  return peers;
}

const void* data_of(const array& a) {
  return a.data<uint8_t>();
}

}  // namespace lazuli::bench
