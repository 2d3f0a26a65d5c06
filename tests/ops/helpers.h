#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <lazuli/lazuli.h>

#include "support/compare.h"

namespace lazuli::test {

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// How far one rounding of a floating point dtype may go, relative to the value.
inline double rounding_of(Dtype dtype) {
  if (dtype == float16) return std::ldexp(1.0, -11);
  if (dtype == bfloat16) return std::ldexp(1.0, -8);
  return dtype == float64 ? std::ldexp(1.0, -53) : std::ldexp(1.0, -24);
}

/// Elements as doubles, read through the array's own strides.
inline std::vector<double> doubles(const array& a) {
  return values<double>(a);
}

/// An array of the given numbers.
inline array make(const std::vector<double>& numbers, Shape shape, Dtype dtype = float32) {
  return array(numbers.begin(), std::move(shape), dtype);
}

/// Numbers that differ from element to element, among them negative ones.
inline std::vector<double> numbers(int64_t count, double scale = 1.0) {
  std::vector<double> result;
  for (int64_t i = 0; i < count; ++i) {
    result.push_back(scale * (static_cast<double>((i * 7919 + 13) % 401) - 200.0) / 100.0);
  }
  return result;
}

inline array make_numbers(Shape shape, Dtype dtype = float32, double scale = 1.0) {
  const int64_t count = element_count(shape);
  return make(numbers(count, scale), std::move(shape), dtype);
}

/// 0, 1, 2, ...
inline array counting(Shape shape, Dtype dtype = float32) {
  std::vector<double> result;
  for (int64_t i = 0; i < element_count(shape); ++i) result.push_back(static_cast<double>(i));
  return make(result, std::move(shape), dtype);
}

/// Compares with what is expected: shape, dtype and elements, the latter within `tolerance` relative to the
/// expected value (absolute below 1).
inline void expect_array(const array& actual, const Shape& shape, Dtype dtype,
                         const std::vector<double>& expected, double tolerance = 0,
                         const std::string& what = "") {
  ASSERT_EQ(shape_to_string(actual.shape()), shape_to_string(shape)) << what;
  ASSERT_EQ(dtype_name(actual.dtype()), dtype_name(dtype)) << what;
  const std::vector<double> got = doubles(actual);
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(expected[i])) {
      ASSERT_TRUE(std::isnan(got[i])) << what << " element " << i << " is " << got[i];
    } else if (std::isinf(expected[i]) || tolerance == 0) {
      ASSERT_EQ(got[i], expected[i]) << what << " element " << i;
    } else {
      ASSERT_LE(std::abs(got[i] - expected[i]), tolerance * std::max(1.0, std::abs(expected[i])))
          << what << " element " << i << " is " << got[i] << " instead of " << expected[i];
    }
  }
}

/// Runs `f`, which must throw std::invalid_argument (or `Error`) with a message that begins with `prefix`.
template <typename Error = std::invalid_argument>
void expect_error(const std::function<void()>& f, const std::string& prefix) {
  try {
    f();
    ADD_FAILURE() << "nothing was thrown, not even " << prefix;
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).substr(0, prefix.size()), prefix) << error.what();
  }
}

/// Walks over all coordinates of a shape in row-major order.
inline void for_each_index(const Shape& shape, const std::function<void(const std::vector<int>&)>& f) {
  std::vector<int> index(shape.size(), 0);
  for (int64_t i = element_count(shape); i > 0; --i) {
    f(index);
    for (size_t d = shape.size(); d-- > 0;) {
      if (++index[d] < shape[d].hint()) break;
      index[d] = 0;
    }
  }
}

/// The place of a coordinate in row-major order; along axes of extent 1 any coordinate is 0, and missing
/// leading axes are left out, as in broadcasting.
inline size_t place(const Shape& shape, const std::vector<int>& index) {
  size_t result = 0;
  const size_t lead = index.size() - shape.size();
  for (size_t d = 0; d < shape.size(); ++d) {
    result = result * static_cast<size_t>(shape[d].hint()) +
             (shape[d].hint() == 1 ? 0 : static_cast<size_t>(index[lead + d]));
  }
  return result;
}

}  // namespace lazuli::test
