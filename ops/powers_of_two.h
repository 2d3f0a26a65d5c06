#pragma once

#include <bit>
#include <cstdint>

namespace lazuli {

/// Whether `n` is 1, 2, 4, ...; false for 0 and for negative numbers.
constexpr bool is_power_of_2(int n) {
  return n > 0 && std::has_single_bit(static_cast<uint32_t>(n));
}

/// The least power of two that is not less than `n`; 1 for numbers below. `n` is 2^30 at most.
constexpr int next_power_of_2(int n) {
  return n <= 1 ? 1 : static_cast<int>(std::bit_ceil(static_cast<uint32_t>(n)));
}

}  // namespace lazuli
