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

/// The same by `f(part, state)`, with a state for each thread that lasts from one of its parts to the next.
template <typename State, typename MakeState, typename F>
void share_out_with(int64_t parts, const MakeState& make_state, const F& f) {
  std::atomic<int64_t> next{0};
  parallel_for(std::min<int64_t>(parts, num_threads()), [&](int64_t) {
    State state = make_state();
    for (int64_t part = next++; part < parts; part = next++) f(part, state);
  });
}

}  // namespace lazuli::templates
