#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

namespace lazuli {

/// A C++ value that can be an element.
template <typename T>
concept ScalarValue = std::is_arithmetic_v<T> || std::same_as<T, float16_t> || std::same_as<T, bfloat16_t> ||
    std::same_as<T, complex64_t>;

/// start, start + step, ... up to but not including `stop`. Without a dtype: float32 for doubles, int32 for
/// integers. Throws std::invalid_argument for bool, for NaN and infinite bounds, and where there would be
/// more than 2^31 - 1 elements.
array arange(double start, double stop, double step, Dtype dtype, StreamOrDevice s = {});
array arange(double start, double stop, double step, StreamOrDevice s = {});
array arange(double start, double stop, Dtype dtype, StreamOrDevice s = {});
array arange(double start, double stop, StreamOrDevice s = {});
array arange(double stop, Dtype dtype, StreamOrDevice s = {});
array arange(double stop, StreamOrDevice s = {});
array arange(int start, int stop, int step, StreamOrDevice s = {});
array arange(int start, int stop, StreamOrDevice s = {});
array arange(int stop, StreamOrDevice s = {});
/// The same for extents, which stay symbolic while a function is being compiled.
array arange(Dim start, Dim stop, Dim step, Dtype dtype, StreamOrDevice s = {});
array arange(Dim stop, Dtype dtype = int32, StreamOrDevice s = {});
template <typename A, typename B>
requires((std::same_as<A, Dim> && (std::same_as<B, Dim> || std::integral<B>)) ||
         (std::integral<A> && std::same_as<B, Dim>)) array
    arange(A start, B stop, Dtype dtype = int32, StreamOrDevice s = {}) {
  return arange(Dim(start), Dim(stop), Dim(1), dtype, s);
}

/// `num` evenly spaced numbers from `start` to `stop`, which is among them if `endpoint`.
array linspace(double start, double stop, int num, bool endpoint, Dtype dtype = float32,
               StreamOrDevice s = {});
inline array linspace(double start, double stop, int num = 50, Dtype dtype = float32, StreamOrDevice s = {}) {
  return linspace(start, stop, num, true, dtype, s);
}

/// An array of the given shape filled with values broadcast to it.
array full(Shape shape, array vals, Dtype dtype, StreamOrDevice s = {});
array full(Shape shape, array vals, StreamOrDevice s = {});
template <ScalarValue T>
array full(Shape shape, T val, Dtype dtype, StreamOrDevice s = {}) {
  return full(std::move(shape), array(val, dtype), s);
}
template <ScalarValue T>
array full(Shape shape, T val, StreamOrDevice s = {}) {
  return full(std::move(shape), array(val), s);
}
array full_like(const array& a, array vals, Dtype dtype, StreamOrDevice s = {});
array full_like(const array& a, array vals, StreamOrDevice s = {});
template <ScalarValue T>
array full_like(const array& a, T val, Dtype dtype, StreamOrDevice s = {}) {
  return full_like(a, array(val, dtype), dtype, s);
}
template <ScalarValue T>
array full_like(const array& a, T val, StreamOrDevice s = {}) {
  return full_like(a, array(val, a.dtype()), a.dtype(), s);
}

array zeros(const Shape& shape, Dtype dtype, StreamOrDevice s = {});  ///< zeros and ones
inline array zeros(const Shape& shape, StreamOrDevice s = {}) {
  return zeros(shape, float32, s);
}
array zeros_like(const array& a, Dtype dtype, StreamOrDevice s = {});
array zeros_like(const array& a, StreamOrDevice s = {});
array ones(const Shape& shape, Dtype dtype, StreamOrDevice s = {});
inline array ones(const Shape& shape, StreamOrDevice s = {}) {
  return ones(shape, float32, s);
}
array ones_like(const array& a, Dtype dtype, StreamOrDevice s = {});
array ones_like(const array& a, StreamOrDevice s = {});

/// An n × m matrix with ones on the k-th diagonal and zeros elsewhere.
array eye(int n, int m, int k, Dtype dtype, StreamOrDevice s = {});
inline array eye(int n, Dtype dtype, StreamOrDevice s = {}) {
  return eye(n, n, 0, dtype, s);
}
inline array eye(int n, int m, StreamOrDevice s = {}) {
  return eye(n, m, 0, float32, s);
}
inline array eye(int n, int m, int k, StreamOrDevice s = {}) {
  return eye(n, m, k, float32, s);
}
inline array eye(int n, StreamOrDevice s = {}) {
  return eye(n, n, 0, float32, s);
}
array identity(int n, Dtype dtype, StreamOrDevice s = {});
inline array identity(int n, StreamOrDevice s = {}) {
  return identity(n, float32, s);
}

/// An n × m matrix with ones at and below the k-th diagonal.
array tri(int n, int m, int k, Dtype type, StreamOrDevice s = {});
inline array tri(int n, Dtype type, StreamOrDevice s = {}) {
  return tri(n, n, 0, type, s);
}
/// The last two axes with zeros above the k-th diagonal; throws for fewer dimensions.
array tril(array x, int k = 0, StreamOrDevice s = {});
/// The last two axes with zeros below the k-th diagonal; throws for fewer dimensions.
array triu(array x, int k = 0, StreamOrDevice s = {});

}  // namespace lazuli
