#pragma once

#include <cstdint>
#include <vector>

#include <lazuli/array/array.h>

namespace lazuli {

/// Limits of a floating point dtype; those of complex64 are its parts'. Throws std::invalid_argument for
/// others.
struct finfo {
  explicit finfo(Dtype dtype);
  Dtype dtype;
  double min;              ///< the lowest finite number
  double max;              ///< the highest finite number
  double eps;              ///< from 1 to the next number
  double smallest_normal;  ///< the smallest positive number of full precision
};

/// Limits of an integer dtype, or bool. Throws std::invalid_argument for others.
struct iinfo {
  explicit iinfo(Dtype dtype);
  Dtype dtype;
  int64_t min;
  uint64_t max;
};

/// The dtype that holds results of operations on the arrays; bool for none.
Dtype result_type(const std::vector<array>& arrays);
inline Dtype result_type(const array& a, const array& b) {
  return promote_types(a.dtype(), b.dtype());
}
inline Dtype result_type(const array& a, const array& b, const array& c) {
  return promote_types(result_type(a, b), c.dtype());
}

}  // namespace lazuli
