#pragma once

#include <functional>

namespace lazuli {

/// Runs a job on the background thread, after those given before. When the process exits, jobs that have not
/// begun are dropped; one that runs is waited for.
void run_in_background(std::function<void()> job);

/// Waits until no job is left.
void wait_for_background();

}  // namespace lazuli
