#include <lazuli/ops/norms.h>

#include <cmath>
#include <numeric>
#include <sstream>
#include <stdexcept>

#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/factorizations.h>
#include <lazuli/ops/index.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/matrix_operation.h>
#include <lazuli/ops/reduce.h>
#include <lazuli/ops/shape.h>

namespace lazuli::linalg {

namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::invalid_argument("[linalg::norm] " + what);
}

[[noreturn]] void fail_order(double ord, const char* what) {
  std::ostringstream message;
  message << ord << " is no order of a " << what << " norm";
  fail(message.str());
}

/// Floating point, or complex.
array inexact_of(const array& a, StreamOrDevice s) {
  return issubdtype(a.dtype(), inexact) ? a : astype(a, promote_types(a.dtype(), float32), s);
}

std::vector<int> axes_of(const array& a, const std::optional<std::vector<int>>& axis) {
  if (axis) return normalize_axes(*axis, a.ndim(), "linalg::norm");
  std::vector<int> all(a.ndim());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

array root_of_squares(const array& a, const std::vector<int>& axes, bool keepdims, StreamOrDevice s) {
  const array x = a.dtype() == complex64 ? abs(a, s) : a;
  return sqrt(sum(square(x, s), axes, keepdims, s), s);
}

array vector_norm(const array& a, double ord, int axis, bool keepdims, StreamOrDevice s) {
  if (std::isnan(ord)) fail_order(ord, "vector");
  if (ord == 2) return root_of_squares(a, {axis}, keepdims, s);
  const Dtype dtype = real_dtype(a.dtype());
  if (ord == 0) {
    return sum(astype(not_equal(a, zeros({}, a.dtype(), s), s), dtype, s), axis, keepdims, s);
  }
  const array sizes = abs(a, s);
  if (ord == 1) return sum(sizes, axis, keepdims, s);
  if (std::isinf(ord)) return ord > 0 ? max(sizes, axis, keepdims, s) : min(sizes, axis, keepdims, s);
  return power(sum(power(sizes, array(ord, dtype), s), axis, keepdims, s), array(1 / ord, dtype), s);
}

/// Singular values along the last axis, the matrices' axes being gone.
array singular_values(const array& a, const std::vector<int>& axes, StreamOrDevice s) {
  const array narrow = a.dtype() == float16 || a.dtype() == bfloat16 ? astype(a, float32, s) : a;
  std::vector<int> order;
  for (int i = 0; i < static_cast<int>(a.ndim()); ++i) {
    if (i != axes[0] && i != axes[1]) order.push_back(i);
  }
  order.push_back(axes[0]);
  order.push_back(axes[1]);
  return svd(transpose(narrow, order, s), false, s)[0];
}

array with_axes(const array& a, std::vector<int> axes, bool keepdims, StreamOrDevice s) {
  return keepdims ? expand_dims(a, axes, s) : a;
}

array matrix_norm(const array& a, double ord, const std::vector<int>& axes, bool keepdims, StreamOrDevice s) {
  const bool of_values = ord == 2 || ord == -2;
  const bool of_columns = ord == 1 || ord == -1;
  if (!of_values && !of_columns && !std::isinf(ord)) fail_order(ord, "matrix");
  const auto extreme = [&](const array& x, const std::vector<int>& along, bool keep) {
    return ord > 0 ? max(x, along, keep, s) : min(x, along, keep, s);
  };
  if (of_values) {
    const array found = extreme(singular_values(a, axes, s), {-1}, false);
    return with_axes(astype(found, real_dtype(a.dtype()), s), axes, keepdims, s);
  }
  const array sums = sum(abs(a, s), of_columns ? axes[0] : axes[1], true, s);
  return extreme(sums, axes, keepdims);
}

}  // namespace

array norm(const array& a, const double ord, const std::optional<std::vector<int>>& axis, bool keepdims,
           StreamOrDevice s) {
  const StreamContext on(s);
  const std::vector<int> axes = axes_of(a, axis);
  const array x = inexact_of(a, s);
  if (axes.size() == 1) return vector_norm(x, ord, axes[0], keepdims, s);
  if (axes.size() == 2) return matrix_norm(x, ord, axes, keepdims, s);
  fail("an order needs one axis or two, not " + std::to_string(axes.size()));
}

array norm(const array& a, const std::string& ord, const std::optional<std::vector<int>>& axis, bool keepdims,
           StreamOrDevice s) {
  const StreamContext on(s);
  const std::vector<int> axes = axes_of(a, axis);
  if (axes.size() != 2) fail("the norm '" + ord + "' needs two axes, not " + std::to_string(axes.size()));
  const array x = inexact_of(a, s);
  if (ord == "f" || ord == "fro") return root_of_squares(x, axes, keepdims, s);
  if (ord != "nuc") fail("'" + ord + "' is no order of a matrix norm");
  const array found = sum(singular_values(x, axes, s), -1, false, s);
  return with_axes(astype(found, real_dtype(x.dtype()), s), axes, keepdims, s);
}

array norm(const array& a, const std::optional<std::vector<int>>& axis, bool keepdims, StreamOrDevice s) {
  const StreamContext on(s);
  const std::vector<int> axes = axes_of(a, axis);
  if (axis && axes.size() > 2) fail("there are more than two axes");
  return root_of_squares(inexact_of(a, s), axes, keepdims, s);
}

array cross(const array& a, const array& b, int axis, StreamOrDevice s) {
  const StreamContext on(s);
  struct Vectors {
    array elements;
    bool is_flat;
    array at(int i, StreamOrDevice stream) const { return take(elements, i, -1, stream); }
  };
  const auto vectors_along = [&](const array& x) {
    const int along = normalize_axis(axis, x.ndim(), "linalg::cross");
    const Dim extent = x.shape()[static_cast<size_t>(along)];
    if (extent != 2 && extent != 3) {
      throw std::invalid_argument("[linalg::cross] vectors must have two or three elements, not " +
                                  std::to_string(extent.hint()));
    }
    return Vectors{moveaxis(x, along, -1, s), extent == 2};
  };
  const Dtype dtype = promote_types(a.dtype(), b.dtype());
  // Axes from the front count in the result, too.
  const size_t rank = std::max(a.ndim(), b.ndim());
  const auto with_rank = [&](const array& x) {
    if (axis < 0 || x.ndim() == rank) return x;
    normalize_axis(axis, x.ndim(), "linalg::cross");
    Shape shape(rank - x.ndim(), Dim(1));
    shape.insert(shape.end(), x.shape().begin(), x.shape().end());
    return moveaxis(reshape(x, shape, s), axis + static_cast<int>(rank - x.ndim()), axis, s);
  };
  const Vectors left = vectors_along(astype(with_rank(a), dtype, s));
  const Vectors right = vectors_along(astype(with_rank(b), dtype, s));
  const auto product = [&](int i, int j) {
    const bool is_zero = (i == 2 && left.is_flat) || (j == 2 && right.is_flat);
    const array all = multiply(left.at(is_zero ? 0 : i, s), right.at(is_zero ? 0 : j, s), s);
    return is_zero ? zeros(all.shape(), dtype, s) : all;
  };
  const auto element = [&](int i, int j) { return subtract(product(i, j), product(j, i), s); };
  return moveaxis(stack({element(1, 2), element(2, 0), element(0, 1)}, -1, s), -1, axis, s);
}

}  // namespace lazuli::linalg
