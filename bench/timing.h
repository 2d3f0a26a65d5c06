#pragma once

#include <functional>
#include <vector>

namespace lazuli::bench {

/// Something to time. `run` does the whole work once and returns when it is done.
using Runnable = std::function<void()>;

/// Where a contender finds its operands when a turn begins.
enum class Operands {
  in_caches,  ///< as the contender's own calls have left them: a turn lasts 2 ms at least
  in_memory,  ///< the caches have been filled with something else; a turn is one call
};

/// Seconds of one call of each contender, round by round: times[contender][round]. The contenders take turns,
/// so that a moment in which the machine is slow slows all of them. Each is called before that until nothing
/// is left to compile in the background. Takes about `seconds` for each contender, and at least five rounds.
std::vector<std::vector<double>> time_in_turns(const std::vector<Runnable>& contenders, double seconds = 0.3,
                                               Operands operands = Operands::in_caches);

double median(std::vector<double> values);

/// The median over rounds of a[round] / b[round].
double median_ratio(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace lazuli::bench
