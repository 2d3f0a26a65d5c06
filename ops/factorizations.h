#pragma once

#include <string>
#include <utility>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// Factorizations of matrices, computed by LAPACK. A matrix is the last two dimensions of an array of
/// float32, float64 or complex64; the others are a batch. Each function throws std::invalid_argument for
/// other dtypes and for fewer dimensions. A matrix with an element that is not finite has a result of NaNs.
namespace lazuli::linalg {

/// a = QR with `q` [..., m, k] of orthonormal columns and `r` [..., k, n] upper triangular, k = min(m, n).
std::pair<array, array> qr(const array& a, StreamOrDevice s = {});

/// Singular values, in descending order, [..., min(m, n)]; before and behind them, unless `compute_uv` is
/// false, u [..., m, m] and vt [..., n, n], both unitary: a = u[:, :k] * s @ vt[:k]. Throws
/// std::runtime_error, when evaluated, where the iteration does not converge. Gradients take singular values
/// to be distinct and not zero, and take columns beyond the first k to move as little as they can: only
/// functions for which the choice of these columns makes no difference have a gradient.
std::vector<array> svd(const array& a, bool compute_uv, StreamOrDevice s = {});
inline std::vector<array> svd(const array& a, StreamOrDevice s = {}) {
  return svd(a, true, s);
}

/// The Cholesky factor of hermitian positive definite matrices: lower triangular, a = L Lᴴ, or with `upper`,
/// a = Uᴴ U. Only that triangle of `a` is read. A matrix that is not positive definite has a result of NaNs.
array cholesky(const array& a, bool upper = false, StreamOrDevice s = {});

/// {p, l, u} with a = l[p, :] @ u: p [..., m] uint32, l [..., m, k] lower triangular with ones on the
/// diagonal, u [..., k, n] upper triangular, k = min(m, n).
std::vector<array> lu(const array& a, StreamOrDevice s = {});

/// Both factors in one matrix (without the ones), and the row, from 0, that each row was exchanged with in
/// turn: uint32 [..., min(m, n)].
std::pair<array, array> lu_factor(const array& a, StreamOrDevice s = {});

/// Eigenvalues [..., n] and eigenvectors of norm 1, the columns of [..., n, n], of square matrices:
/// complex64. Throws std::runtime_error, when evaluated, where the iteration does not converge. There is no
/// gradient.
std::pair<array, array> eig(const array& a, StreamOrDevice s = {});
/// The eigenvalues alone.
array eigvals(const array& a, StreamOrDevice s = {});

/// Eigenvalues [..., n], ascending and real, and eigenvectors, the columns of [..., n, n], of hermitian
/// matrices of which the lower triangle is read, or the upper one where `UPLO` is "U". Gradients take
/// eigenvalues to be distinct.
std::pair<array, array> eigh(const array& a, std::string UPLO = "L", StreamOrDevice s = {});
/// The eigenvalues alone.
array eigvalsh(const array& a, std::string UPLO = "L", StreamOrDevice s = {});

}  // namespace lazuli::linalg
