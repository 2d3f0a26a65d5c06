#pragma once

#include <functional>
#include <string>
#include <vector>

#include <lazuli/lazuli.h>

#include "helpers.h"

namespace lazuli::test {

/// A function with arguments at which its derivatives are known to exist: float64 ones are differentiated,
/// others are constants.
struct DifferentiableCase {
  std::string name;
  std::function<array(const std::vector<array>&)> function;
  std::vector<array> arguments;
};

/// Numbers in an interval, in no order, none of them equal.
inline array between(double low, double high, Shape shape) {
  const int64_t count = element_count(shape);
  std::vector<double> result;
  for (int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<double>((i * 7 + 3) % 53) + static_cast<double>(i % 11) / 23.0;
    result.push_back(low + (high - low) * (at + 0.31) / 54.0);
  }
  return make(result, std::move(shape), float64);
}

inline array integers(const std::vector<double>& values, Shape shape, Dtype dtype = int32) {
  return make(values, std::move(shape), dtype);
}

inline std::ostream& operator<<(std::ostream& os, const DifferentiableCase& of) {
  return os << of.name;
}

}  // namespace lazuli::test
