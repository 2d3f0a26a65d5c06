#pragma once

#include <cmath>
#include <complex>
#include <string>
#include <vector>

#include <lazuli/lazuli.h>

namespace lazuli::test {

/// The elements of an array in row-major order, converted to T.
template <typename T>
std::vector<T> values(const array& a) {
  array copy = contiguous(astype(a, dtype_of<T>()));
  copy.eval();
  const T* data = copy.data<T>();
  return std::vector<T>(data, data + copy.size());
}

/// What tells `actual` from `expected`, or an empty string. Exact for integers and bool; for floats within
/// `tolerance` relative to the larger magnitude (absolute below 1), NaN equal to NaN.
inline std::string difference(const array& actual, const array& expected, double tolerance) {
  if (actual.shape() != expected.shape()) {
    return "shape " + shape_to_string(actual.shape()) + " instead of " + shape_to_string(expected.shape());
  }
  if (actual.dtype() != expected.dtype()) {
    return "dtype " + std::string(dtype_name(actual.dtype())) + " instead of " +
           std::string(dtype_name(expected.dtype()));
  }
  const auto check = [&](const std::vector<double>& a, const std::vector<double>& b) -> std::string {
    for (size_t i = 0; i < a.size(); ++i) {
      if (std::isnan(a[i]) && std::isnan(b[i])) continue;
      if (a[i] == b[i]) continue;
      const double scale = std::max({std::abs(a[i]), std::abs(b[i]), 1.0});
      if (std::abs(a[i] - b[i]) <= tolerance * scale) continue;
      return "element " + std::to_string(i) + " is " + std::to_string(a[i]) + " instead of " +
             std::to_string(b[i]);
    }
    return "";
  };
  if (actual.dtype() == complex64) {
    const std::string re = check(values<double>(real(actual)), values<double>(real(expected)));
    return !re.empty() ? re : check(values<double>(imag(actual)), values<double>(imag(expected)));
  }
  if (issubdtype(actual.dtype(), integer) || actual.dtype() == bool_) {
    return values<int64_t>(actual) == values<int64_t>(expected) ? "" : "integer elements differ";
  }
  return check(values<double>(actual), values<double>(expected));
}

}  // namespace lazuli::test
