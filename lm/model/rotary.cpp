#include <lazuli/lm/model/rotary.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include <lazuli/ops/fast.h>

namespace lazuli::lm {
namespace {

/// Llama 3.1's stretching of long wavelengths: those beyond the original context (divided by the low factor)
/// become `factor` times as long, those within it (divided by the high factor) stay, and between the two the
/// frequency is interpolated.
array llama3_freqs(const RotaryConfig& config, int dims) {
  std::vector<float> freqs;
  for (int i = 0; i < dims; i += 2) {
    const double freq = std::pow(config.theta, static_cast<double>(i) / dims);
    const double turns = config.original_context / (2 * std::numbers::pi * freq);
    const double keep = std::clamp(
        (turns - config.low_frequency_factor) / (config.high_frequency_factor - config.low_frequency_factor),
        0.0, 1.0);
    freqs.push_back(static_cast<float>(freq / ((1 - keep) / config.factor + keep)));
  }
  return array(freqs.begin(), {static_cast<int>(freqs.size())}, float32);
}

}  // namespace

Rotary::Rotary(const RotaryConfig& config, int head_dim) : dims_(head_dim) {
  if (config.scaling == RotaryConfig::Scaling::llama3) {
    freqs_ = llama3_freqs(config, dims_);
    return;
  }
  base_ = static_cast<float>(config.theta);
  if (config.scaling == RotaryConfig::Scaling::linear) scale_ = static_cast<float>(1 / config.factor);
}

array Rotary::operator()(const array& x, const array& offset) const {
  return fast::rope(x, dims_, /*traditional=*/false, base_, scale_, offset, freqs_);
}

}  // namespace lazuli::lm
