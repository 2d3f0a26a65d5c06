#pragma once

#include <optional>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// Cumulative operations: each element is combined with those before it along an axis (behind it, in
/// `reverse`). Those that are not `inclusive` leave the element itself out, and begin with what changes
/// nothing: 0, 1, the lowest or highest value. Without an axis, elements are taken in row-major order as one.
/// Each throws std::invalid_argument for an axis that is out of range.
namespace lazuli {

/// Sums, in `dtype` if one is given, else in the array's (int32 for bool; float16 and bfloat16 accumulate in
/// float32).
array cumsum(const array& a, bool reverse = false, bool inclusive = true,
             std::optional<Dtype> dtype = std::nullopt, StreamOrDevice s = {});
array cumsum(const array& a, int axis, bool reverse = false, bool inclusive = true,
             std::optional<Dtype> dtype = std::nullopt, StreamOrDevice s = {});

/// Products, with the dtypes of `cumsum`.
array cumprod(const array& a, bool reverse = false, bool inclusive = true,
              std::optional<Dtype> dtype = std::nullopt, StreamOrDevice s = {});
array cumprod(const array& a, int axis, bool reverse = false, bool inclusive = true,
              std::optional<Dtype> dtype = std::nullopt, StreamOrDevice s = {});

/// The largest so far, NaN once one was met; complex numbers are ordered as for `max`. Where equal elements
/// are the largest, gradients go to the one met last.
array cummax(const array& a, bool reverse = false, bool inclusive = true, StreamOrDevice s = {});
array cummax(const array& a, int axis, bool reverse = false, bool inclusive = true, StreamOrDevice s = {});

/// The smallest so far; see `cummax`.
array cummin(const array& a, bool reverse = false, bool inclusive = true, StreamOrDevice s = {});
array cummin(const array& a, int axis, bool reverse = false, bool inclusive = true, StreamOrDevice s = {});

/// log(cumsum(exp(a))), without overflow, in floating point.
array logcumsumexp(const array& a, bool reverse = false, bool inclusive = true, StreamOrDevice s = {});
array logcumsumexp(const array& a, int axis, bool reverse = false, bool inclusive = true,
                   StreamOrDevice s = {});

// With a stream, but without a dtype. A template, so that nothing is ambiguous.
template <typename S>
requires std::is_same_v<S, Stream> || std::is_same_v<S, Device> || std::is_same_v<S, StreamOrDevice> array
cumsum(const array& a, bool reverse, bool inclusive, S s) {
  return cumsum(a, reverse, inclusive, std::nullopt, s);
}
template <typename S>
requires std::is_same_v<S, Stream> || std::is_same_v<S, Device> || std::is_same_v<S, StreamOrDevice> array
cumsum(const array& a, int axis, bool reverse, bool inclusive, S s) {
  return cumsum(a, axis, reverse, inclusive, std::nullopt, s);
}
template <typename S>
requires std::is_same_v<S, Stream> || std::is_same_v<S, Device> || std::is_same_v<S, StreamOrDevice> array
cumprod(const array& a, bool reverse, bool inclusive, S s) {
  return cumprod(a, reverse, inclusive, std::nullopt, s);
}
template <typename S>
requires std::is_same_v<S, Stream> || std::is_same_v<S, Device> || std::is_same_v<S, StreamOrDevice> array
cumprod(const array& a, int axis, bool reverse, bool inclusive, S s) {
  return cumprod(a, axis, reverse, inclusive, std::nullopt, s);
}

/// The n-th differences of neighbours along an axis, which gets shorter by n; those of bools say whether they
/// differ. Throws std::invalid_argument for a negative n.
array diff(const array& a, int n = 1, int axis = -1, StreamOrDevice s = {});

}  // namespace lazuli
