#pragma once

#include <utility>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// Inverses, linear equations and determinants of matrices, computed by LAPACK. A matrix is the last two
/// dimensions of an array of float32, float64 or complex64; the others are a batch. Each function throws
/// std::invalid_argument for other dtypes, for fewer dimensions and, but for `pinv`, for matrices that are
/// not square. A matrix with an element that is not finite has a result of NaNs.
namespace lazuli::linalg {

/// The inverse. Throws std::runtime_error, when evaluated, where a matrix is singular.
array inv(const array& a, StreamOrDevice s = {});
/// The inverse of triangular matrices, of which the lower triangle is read, or with `upper` the upper one.
/// Throws std::runtime_error, when evaluated, where there is a zero on the diagonal.
array tri_inv(const array& a, bool upper = false, StreamOrDevice s = {});
/// The inverse of L Lᴴ for a Cholesky factor L as `cholesky` gives it, or of Uᴴ U with `upper`.
array cholesky_inv(const array& a, bool upper = false, StreamOrDevice s = {});
/// The Moore-Penrose inverse [..., n, m] of [..., m, n], by singular values: those below 10 max(m, n) times
/// the dtype's spacing at 1, relative to the largest one, count as zero.
array pinv(const array& a, StreamOrDevice s = {});

/// x with a x = b, for a [..., n, n] and b [..., n, k], or [n] or, where `a` has more dimensions than `b`,
/// also [..., n]; batches broadcast. Both are converted to a common dtype. Throws std::invalid_argument where
/// extents do not match, std::runtime_error, when evaluated, where a matrix is singular.
array solve(const array& a, const array& b, StreamOrDevice s = {});
/// The same for triangular `a`, of which the lower triangle is read, or with `upper` the upper one.
array solve_triangular(const array& a, const array& b, bool upper = false, StreamOrDevice s = {});

/// The determinant [...]; 0 for singular matrices.
array det(const array& a, StreamOrDevice s = {});
/// The determinant's sign (for complex matrices: it, divided by its absolute value), and the natural
/// logarithm of its absolute value, which is real: 0 and -inf for singular matrices.
std::pair<array, array> slogdet(const array& a, StreamOrDevice s = {});

}  // namespace lazuli::linalg
