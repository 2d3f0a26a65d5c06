#pragma once

#include "../peers.h"

/// The libraries behind the module of peers; each adds what it can do.
namespace lazuli::bench {

void add_onednn(const PeerWork& work, int threads, std::vector<PeerRun>& runs);
void add_eigen(const PeerWork& work, int threads, std::vector<PeerRun>& runs);
void add_xtensor(const PeerWork& work, int threads, std::vector<PeerRun>& runs);
void add_fftw(const PeerWork& work, int threads, std::vector<PeerRun>& runs);

/// Memory for results, as long as what is captured with it.
inline std::shared_ptr<std::vector<float>> results(int64_t count) {
  return std::make_shared<std::vector<float>>(static_cast<size_t>(count));
}

}  // namespace lazuli::bench
