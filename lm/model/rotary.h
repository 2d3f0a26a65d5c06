#pragma once

#include <optional>

#include <lazuli/array/array.h>
#include <lazuli/lm/model/config.h>

namespace lazuli::lm {

/// Turns queries and keys by their positions.
class Rotary {
 public:
  Rotary(const RotaryConfig& config, int head_dim);

  /// `x` is [batch, heads, length, head_dim], its first row at position `offset` (an int32 scalar).
  array operator()(const array& x, const array& offset) const;

 private:
  int dims_;
  float scale_ = 1;
  std::optional<float> base_;
  /// Position units per radian, for each pair.
  std::optional<array> freqs_;
};

}  // namespace lazuli::lm
