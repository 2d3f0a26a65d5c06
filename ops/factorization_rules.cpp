#include <stdexcept>

#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/factorization_operations.h>
#include <lazuli/ops/factorizations.h>
#include <lazuli/ops/index.h>
#include <lazuli/ops/linalg.h>
#include <lazuli/ops/linear_equations.h>
#include <lazuli/ops/shape.h>

/// Gradients of factorizations, after Giles, "Collected matrix derivative results for forward and reverse
/// mode algorithmic differentiation" (2008), and Walter and Lehmann, "Algorithmic differentiation of linear
/// algebra functions with application in optimum experimental design" (2010).
namespace lazuli {

namespace {

array transposed(const array& a) {
  return swapaxes(a, -1, -2);
}

array scalar(double value, const array& like) {
  return array(value, like.dtype());
}

/// A vector as the diagonal of a matrix.
array diagonal_matrix(const array& v) {
  const array rows = expand_dims(arange(v.shape()[v.ndim() - 1], int32), 1);
  return where(equal(rows, transposed(rows)), expand_dims(v, -1), scalar(0, v));
}

/// The lower triangle, its diagonal halved.
array half_lower(const array& a) {
  return multiply(add(tril(a), tril(a, -1)), scalar(0.5, a));
}

/// The mean of a matrix and its adjoint: how it changes a function of hermitian matrices.
array hermitian_part(const array& a) {
  return multiply(add(a, adjoint(a)), scalar(0.5, a));
}

/// 1 / (v[j] - v[i]) at (i, j), and 0 where they are equal.
array inverse_differences(const array& v) {
  const array differences = subtract(expand_dims(v, -2), expand_dims(v, -1));
  const array are_equal = equal(differences, scalar(0, v));
  return where(are_equal, scalar(0, v), reciprocal(where(are_equal, scalar(1, v), differences)));
}

/// The first `count` rows of matrices, from row `start` on.
array rows_of(const array& a, Dim start, Dim stop) {
  Shape first(a.ndim(), Dim(0));
  Shape last = a.shape();
  first[a.ndim() - 2] = start;
  last[a.ndim() - 2] = stop;
  return slice(a, first, last);
}
array columns_of(const array& a, Dim start, Dim stop) {
  return transposed(rows_of(transposed(a), start, stop));
}

array or_zeros(const std::optional<array>& cotangent, const array& like) {
  return cotangent ? *cotangent : zeros_like(like);
}

/// The cotangent of a [m, n] with no more columns than rows, from those of q [m, n] and r [n, n].
array tall_qr_cotangent(const array& q, const array& r, const array& q_bar, const array& r_bar) {
  const array m = subtract(matmul(r, transposed(r_bar)), matmul(transposed(q_bar), q));
  const array symmetric = add(tril(m), transposed(tril(m, -1)));
  const array right = add(q_bar, matmul(q, symmetric));
  // times the inverse of r, transposed
  return transposed(linalg::solve_triangular(r, transposed(right), true));
}

/// The cotangent of a [m, n] with no more columns than rows, from its factors u [m, m], s [n] and v [n, n]
/// and their cotangents.
array tall_svd_cotangent(const array& u, const array& s, const array& v, const array& u_bar,
                         const array& s_bar, const array& v_bar) {
  const Dim m = u.shape()[u.ndim() - 1];
  const Dim n = v.shape()[v.ndim() - 1];
  const array of_u = matmul(transposed(u), u_bar);
  const array of_v = matmul(transposed(v), v_bar);
  const array row = expand_dims(s, -2);
  const array column = expand_dims(s, -1);
  // Of squares, but exactly zero where values are equal.
  const array f = divide(inverse_differences(s), add(row, column));
  const array left = multiply(f, columns_of(rows_of(of_u, 0, n), 0, n));
  const array right = multiply(f, of_v);
  array core =
      add(multiply(add(left, transposed(left)), row), multiply(column, add(right, transposed(right))));
  core = add(core, diagonal_matrix(s_bar));
  if (!is_same(m, n)) {
    // The other columns of u turn towards the first ones, and not among themselves.
    const array below = columns_of(rows_of(of_u, n, m), 0, n);
    const array beside = columns_of(rows_of(of_u, 0, n), n, m);
    core = concatenate({core, divide(subtract(below, transposed(beside)), row)}, -2);
  }
  return matmul(matmul(u, core), transposed(v));
}

}  // namespace

Differentials QrOperation::vjp(const Application& at, const Differentials& cotangents,
                               const std::vector<bool>&) const {
  const array& a = at.inputs[0];
  require_real_gradient(a, "qr");
  const array q = transposed(at.outputs[0]);
  const array& r = at.outputs[1];
  const array q_bar = transposed(or_zeros(cotangents[0], at.outputs[0]));
  const array r_bar = or_zeros(cotangents[1], r);
  const Dim m = a.shape()[a.ndim() - 2];
  const Dim n = a.shape()[a.ndim() - 1];
  if (is_at_most(n, m)) return {tall_qr_cotangent(q, r, q_bar, r_bar)};
  // The first columns have the same Q; the others are Q times those of R.
  const array rest = columns_of(a, m, n);
  const array rest_bar = columns_of(r_bar, m, n);
  const array first = tall_qr_cotangent(
      q, columns_of(r, 0, m), add(q_bar, matmul(rest, transposed(rest_bar))), columns_of(r_bar, 0, m));
  return {concatenate({first, matmul(q, rest_bar)}, -1)};
}

Differentials SvdOperation::vjp(const Application& at, const Differentials& cotangents,
                                const std::vector<bool>&) const {
  const array& a = at.inputs[0];
  const Dim m = a.shape()[a.ndim() - 2];
  const Dim n = a.shape()[a.ndim() - 1];
  if (!vectors_) {
    // The vectors are what singular values change by.
    const std::vector<array> all = linalg::svd(a);
    const Dim k = all[1].shape()[all[1].ndim() - 1];
    const array u = columns_of(all[0], 0, k);
    const array g = astype(expand_dims(*cotangents[0], -2), a.dtype());
    return {matmul(multiply(u, g), rows_of(all[2], 0, k))};
  }
  require_real_gradient(a, "svd");
  const array& u = at.outputs[0];
  const array& s = at.outputs[1];
  const array v = transposed(at.outputs[2]);
  const array u_bar = or_zeros(cotangents[0], u);
  const array s_bar = or_zeros(cotangents[1], s);
  const array v_bar = transposed(or_zeros(cotangents[2], at.outputs[2]));
  if (is_at_most(n, m)) return {tall_svd_cotangent(u, s, v, u_bar, s_bar, v_bar)};
  return {transposed(tall_svd_cotangent(v, s, u, v_bar, s_bar, u_bar))};
}

Differentials CholeskyOperation::vjp(const Application& at, const Differentials& cotangents,
                                     const std::vector<bool>&) const {
  const array l = upper_ ? adjoint(at.outputs[0]) : at.outputs[0];
  const array l_bar = upper_ ? adjoint(*cotangents[0]) : *cotangents[0];
  const array inner = half_lower(matmul(adjoint(l), tril(l_bar)));
  // inverse of l, adjoint, times inner times the inverse of l
  const array left = linalg::solve_triangular(adjoint(l), inner, true);
  return {hermitian_part(adjoint(linalg::solve_triangular(adjoint(l), adjoint(left), true)))};
}

Differentials LuOperation::vjp(const Application& at, const Differentials& cotangents,
                               const std::vector<bool>&) const {
  const array& a = at.inputs[0];
  const Dim m = a.shape()[a.ndim() - 2];
  const Dim n = a.shape()[a.ndim() - 1];
  if (!is_same(m, n)) throw std::invalid_argument("[linalg::lu] only square matrices have a gradient");
  require_real_gradient(a, "lu");
  const array factors = transposed(at.outputs[0]);
  const array g = transposed(*cotangents[0]);
  const array l = add(tril(factors, -1), diagonal_matrix(ones(vectors_of(a.shape(), n), a.dtype())));
  const array u = triu(factors);
  // On the exchanged rows: inverse of l, adjoint, times [tril(lᵀ l̄, -1) + triu(ū uᵀ)] times that of uᵀ.
  const array inner = add(tril(matmul(transposed(l), tril(g, -1)), -1), triu(matmul(triu(g), transposed(u))));
  const array left = linalg::solve_triangular(transposed(l), inner, true);
  const array exchanged = transposed(linalg::solve_triangular(u, transposed(left), true));
  return {take_along_axis(exchanged, expand_dims(at.outputs[2], -1), -2)};
}

Differentials EighOperation::vjp(const Application& at, const Differentials& cotangents,
                                 const std::vector<bool>&) const {
  const array& a = at.inputs[0];
  if (!vectors_) {
    const auto [w, v] = linalg::eigh(a, upper_ ? "U" : "L");
    const array g = astype(expand_dims(*cotangents[0], -2), a.dtype());
    return {matmul(multiply(v, g), adjoint(v))};
  }
  require_real_gradient(a, "eigh");
  const array& w = at.outputs[0];
  const array v = transposed(at.outputs[1]);
  array inner = diagonal_matrix(or_zeros(cotangents[0], w));
  if (cotangents[1]) {
    inner = add(inner, multiply(inverse_differences(w), matmul(transposed(v), transposed(*cotangents[1]))));
  }
  return {hermitian_part(matmul(matmul(v, inner), transposed(v)))};
}

}  // namespace lazuli
