#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli::templates {

/// Calls `f(part)` for each part below `parts`. Unlike `parallel_for`, a thread takes the next part when it
/// is done with one, so that a slow thread does not hold up the others.
template <typename F>
void share_out(int64_t parts, const F& f) {
  std::atomic<int64_t> next{0};
  parallel_for(std::min<int64_t>(parts, num_threads()), [&](int64_t) {
    for (int64_t part = next++; part < parts; part = next++) f(part);
  });
}

}  // namespace lazuli::templates
