#include <lazuli/array/dtype_info.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace lazuli {

namespace {

/// What a floating point format's number of bits says of it.
struct FloatFormat {
  int fraction;      ///< bits of the fraction that are stored
  int top_exponent;  ///< of the largest finite number
};

FloatFormat format_of(Dtype dtype) {
  if (dtype == float16) return {10, 15};
  if (dtype == bfloat16) return {7, 127};
  if (dtype == float32) return {23, 127};
  if (dtype == float64) return {52, 1023};
  throw std::invalid_argument("[finfo] " + std::string(dtype_name(dtype)) + " is not floating point");
}

}  // namespace

finfo::finfo(Dtype of) : dtype(of == complex64 ? float32 : of) {
  const FloatFormat format = format_of(dtype);
  eps = std::ldexp(1.0, -format.fraction);
  max = std::ldexp(2.0 - eps, format.top_exponent);
  min = -max;
  smallest_normal = std::ldexp(1.0, 1 - format.top_exponent);
}

iinfo::iinfo(Dtype of) : dtype(of) {
  if (!issubdtype(of, integer) && of != bool_) {
    throw std::invalid_argument("[iinfo] " + std::string(dtype_name(of)) + " is no integer");
  }
  dispatch_dtype(of, [&]<typename T>(std::type_identity<T>) {
    if constexpr (std::is_integral_v<T>) {
      min = static_cast<int64_t>(std::numeric_limits<T>::min());
      max = static_cast<uint64_t>(std::numeric_limits<T>::max());
    }
  });
}

Dtype result_type(const std::vector<array>& arrays) {
  Dtype result = bool_;
  for (const array& a : arrays) result = promote_types(result, a.dtype());
  return result;
}

}  // namespace lazuli
