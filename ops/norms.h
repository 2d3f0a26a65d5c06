#pragma once

#include <optional>
#include <string>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// Norms and cross products.
namespace lazuli::linalg {

/// The norm of order `ord` along one axis (vectors) or two (matrices, rows first), or of all of an array of
/// one or two dimensions. Vectors: the p-norm, sum(|x|^p)^(1/p); 0 counts elements that are not zero, inf and
/// -inf are the largest and the smallest absolute value. Matrices: 1 and -1 the largest and smallest sum of
/// absolute values of a column, inf and -inf of a row, 2 and -2 the largest and smallest singular value.
/// Integers become float32; norms of complex64 are float32. Throws std::invalid_argument for other orders and
/// numbers of axes.
array norm(const array& a, const double ord, const std::optional<std::vector<int>>& axis = std::nullopt,
           bool keepdims = false, StreamOrDevice s = {});
inline array norm(const array& a, const double ord, int axis, bool keepdims = false, StreamOrDevice s = {}) {
  return norm(a, ord, std::vector<int>{axis}, keepdims, s);
}
/// Matrix norms by name: "f" or "fro", the root of the sum of squared absolute values, and "nuc", the sum of
/// singular values.
array norm(const array& a, const std::string& ord, const std::optional<std::vector<int>>& axis = std::nullopt,
           bool keepdims = false, StreamOrDevice s = {});
inline array norm(const array& a, const std::string& ord, int axis, bool keepdims = false,
                  StreamOrDevice s = {}) {
  return norm(a, ord, std::vector<int>{axis}, keepdims, s);
}
/// The root of the sum of squared absolute values along one or two axes, or of all elements.
array norm(const array& a, const std::optional<std::vector<int>>& axis = std::nullopt, bool keepdims = false,
           StreamOrDevice s = {});
inline array norm(const array& a, int axis, bool keepdims = false, StreamOrDevice s = {}) {
  return norm(a, std::vector<int>{axis}, keepdims, s);
}

/// The cross product of vectors of two or three elements along an axis; a third one that is missing is 0. The
/// result has three. Other axes broadcast. Throws std::invalid_argument for other extents.
array cross(const array& a, const array& b, int axis = -1, StreamOrDevice s = {});

}  // namespace lazuli::linalg
