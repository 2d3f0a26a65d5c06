#pragma once

#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

namespace lazuli {

/// The matrix product of the last two axes; the others broadcast. A vector on the left is a row, on the right
/// a column, and its axis is dropped from the result. Accumulates in float32 or wider. Throws
/// std::invalid_argument for scalars, for extents that do not match, and for integers.
array matmul(const array& a, const array& b, StreamOrDevice s = {});
/// beta * c + alpha * matmul(a, b), `c` broadcast to the product's shape.
array addmm(array c, array a, array b, const float& alpha = 1.f, const float& beta = 1.f,
            StreamOrDevice s = {});
/// Sums of products along the last axes of both, for all pairs of the others.
array inner(const array& a, const array& b, StreamOrDevice s = {});
/// All products of an element of `a` and one of `b`, both flattened.
array outer(const array& a, const array& b, StreamOrDevice s = {});
/// Sums of products along an axis of both, broadcast along the others.
array vecdot(const array& a, const array& b, int axis = -1, StreamOrDevice s = {});
/// Sums of products along the last `axis` axes of `a` and the first of `b`.
array tensordot(const array& a, const array& b, const int axis = 2, StreamOrDevice s = {});
/// Sums of products along `axes_a` of `a` and `axes_b` of `b`.
array tensordot(const array& a, const array& b, const std::vector<int>& axes_a,
                const std::vector<int>& axes_b, StreamOrDevice s = {});
/// The Kronecker product.
array kron(const array& a, const array& b, StreamOrDevice s = {});

}  // namespace lazuli
