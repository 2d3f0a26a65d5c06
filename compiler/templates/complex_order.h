#pragma once

#include <cmath>
#include <limits>

#include <lazuli/array/dtype.h>

/// What complex numbers are to operations that need an order.
namespace lazuli::templates {

/// The greater of two numbers or, without `greatest`, the lesser. They are ordered by their real parts, then
/// by their imaginary ones; of equal ones it is the first. What is no number comes before all others.
template <bool greatest>
complex64_t extreme_of(complex64_t a, complex64_t b) {
  if (a != a || b != b) return a != a ? a : b;
  const bool by_imaginary = a.real() == b.real();
  const float x = by_imaginary ? a.imag() : a.real();
  const float y = by_imaginary ? b.imag() : b.real();
  return (greatest ? x >= y : x <= y) ? a : b;
}

/// What `extreme_of` never chooses if there is another.
template <bool greatest>
complex64_t no_extreme() {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  return greatest ? complex64_t(-infinity, -infinity) : complex64_t(infinity, infinity);
}

/// log(e^a + e^b), without overflow.
inline complex64_t log_add_exp(complex64_t a, complex64_t b) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const complex64_t high = extreme_of<true>(a, b);
  const complex64_t low = extreme_of<false>(a, b);
  // Where the difference does not matter, or is none, as that of infinities.
  if (low.real() == -infinity || high.real() == infinity) return high;
  // log(1 + z), of a z whose modulus is 1 at most.
  const complex64_t z = std::exp(low - high);
  const float x = z.real();
  const float y = z.imag();
  return high + complex64_t(0.5f * std::log1p(x * (2 + x) + y * y), std::atan2(y, 1 + x));
}

}  // namespace lazuli::templates
