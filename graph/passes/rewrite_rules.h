#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace lazuli {

/// A rule of simplification: what stands in a graph as `before` may as well stand there as `after`. Patterns
/// are written as calls by the operations' names: `x`, `y`, `z` match any value (one letter always the same),
/// `c` and numbers match constants of one element. `after` may compute `1/c`. A rule applies only where both
/// sides have the same shape and dtype, so `"astype(x)" → "x"` drops conversions that change nothing.
struct RewriteRule {
  enum class Where : uint8_t {
    always,
    integers,      ///< results that are no floating point numbers
    power_of_two,  ///< c is a power of two, whose reciprocal no dtype has to round
  };
  std::string_view before;
  std::string_view after;
  Where where = Where::always;
};

/// All rules; the first that matches is taken. They give the same bits, NaN and signed zeros included, except
/// that powers come out more exactly.
std::span<const RewriteRule> rewrite_rules();

}  // namespace lazuli
