#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <lazuli/array/array.h>

namespace lazuli::lm {

/// How the next token is chosen from logits. Restrictions apply after the temperature, in this order:
/// `top_k`, `top_p`, `min_p`.
struct SamplingOptions {
  /// 0: always the most probable token.
  float temperature = 0;
  /// Only the fewest most probable tokens that have this much probability together; 1: all.
  float top_p = 1;
  /// Only this many of the most probable tokens; 0: all.
  int top_k = 0;
  /// Only tokens at least this probable, relative to the most probable; 0: all.
  float min_p = 0;
  /// The same seed gives the same choices; without one, each sampler differs.
  std::optional<std::uint64_t> seed = std::nullopt;
};

/// Chooses tokens. Of equally probable ones, the one with the lowest id comes first.
class Sampler {
 public:
  /// Throws std::invalid_argument `[sample] ...` for options out of range.
  explicit Sampler(const SamplingOptions& options = {});

  /// The next token; throws std::runtime_error `[sample] ...` where no logit is a number.
  std::int32_t operator()(std::span<const float> logits);

 private:
  struct Candidate {
    float weight;  ///< probability relative to that of the most probable token
    std::int32_t id;
  };

  void restrict_candidates();
  double uniform();

  SamplingOptions options_;
  array key_;
  /// Random bits drawn ahead, the next at the end.
  std::vector<std::uint32_t> bits_;
  std::vector<Candidate> candidates_;
};

}  // namespace lazuli::lm
