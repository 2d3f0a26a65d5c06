#include <lazuli/ops/linear_equations.h>

#include <algorithm>
#include <stdexcept>

#include <lazuli/array/dtype_info.h>
#include <lazuli/graph/transforms/transforms.h>
#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/extent_source.h>
#include <lazuli/ops/factorizations.h>
#include <lazuli/ops/index.h>
#include <lazuli/ops/linalg.h>
#include <lazuli/ops/linear_equations_operations.h>
#include <lazuli/ops/reduce.h>
#include <lazuli/ops/shape.h>

namespace lazuli::linalg {

namespace {

/// One transposed solution for each pair of a matrix and a right side.
array solved(const Ref<const Operation>& operation, const array& a, const array& b, const char* name,
             StreamOrDevice s) {
  const StreamContext on(s);
  const auto fail = [&](const std::string& what) {
    throw std::invalid_argument("[linalg::" + std::string(name) + "] " + what);
  };
  const Dtype dtype = promote_types(a.dtype(), b.dtype());
  const array matrix = astype(a, dtype, s);
  require_matrices(matrix, name, true);
  if (b.ndim() == 0) fail("the right side must have at least one dimension");
  const bool is_vector = b.ndim() == 1;
  const array side = is_vector ? expand_dims(b, 1, s) : b;
  if (!is_same(side.shape()[side.ndim() - 2], a.shape()[a.ndim() - 1])) {
    fail("a right side of shape " + shape_to_string(b.shape()) + " does not fit matrices of shape " +
         shape_to_string(a.shape()));
  }
  const Shape batch = broadcast_shapes(Shape(matrix.shape().begin(), matrix.shape().end() - 2),
                                       Shape(side.shape().begin(), side.shape().end() - 2));
  const auto with_batch = [&](const array& x) {
    Shape shape = batch;
    shape.push_back(x.shape()[x.ndim() - 2]);
    shape.push_back(x.shape()[x.ndim() - 1]);
    return broadcast_to(x, shape, s);
  };
  const array found =
      swapaxes(lazuli::apply(operation, {with_batch(matrix), with_batch(astype(side, dtype, s))}), -1, -2, s);
  return is_vector ? squeeze(found, -1, s) : found;
}

/// The determinant of matrices of up to three rows, from their elements.
array small_determinant(const array& a, int n, StreamOrDevice s) {
  const auto at = [&](int row, int column) { return take(take(a, row, -2, s), column, -1, s); };
  if (n == 1) return at(0, 0);
  const auto minor = [&](int r0, int r1, int c0, int c1) {
    return subtract(multiply(at(r0, c0), at(r1, c1), s), multiply(at(r0, c1), at(r1, c0), s), s);
  };
  if (n == 2) return minor(0, 1, 0, 1);
  array sum = multiply(at(0, 0), minor(1, 2, 1, 2), s);
  sum = subtract(sum, multiply(at(0, 1), minor(1, 2, 0, 2), s), s);
  return add(sum, multiply(at(0, 2), minor(1, 2, 0, 1), s), s);
}

array pinv_of(const array& a) {
  const std::vector<array> found = svd(a);
  const array& values = found[1];
  const Dim m = a.shape()[a.ndim() - 2];
  const Dim n = a.shape()[a.ndim() - 1];
  const Dim k = values.shape()[values.ndim() - 1];
  const auto first_rows = [&](const array& x) {
    Shape stop = x.shape();
    stop[x.ndim() - 2] = k;
    return slice(x, Shape(x.ndim(), Dim(0)), stop);
  };
  const array largest = max(values, -1, true);
  const array extent = extent_array(dim_max(m, n), values.dtype());
  const array spacing(10 * finfo(values.dtype()).eps, values.dtype());
  const array counts = greater(values, multiply(multiply(extent, spacing), largest));
  const array zero(0, values.dtype());
  const array inverse = where(counts, reciprocal(where(counts, values, array(1, values.dtype()))), zero);
  // v times the inverse of s times the adjoint of u
  return matmul(multiply(adjoint(first_rows(found[2])), astype(expand_dims(inverse, -2), a.dtype())),
                conjugate(first_rows(swapaxes(found[0], -1, -2))));
}

/// Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose
/// variables separate" (1973), transposed.
array pinv_cotangent(const array& a, const array& p, const array& g) {
  const array ph = adjoint(p);
  const array gh = adjoint(g);
  const array outside = matmul(gh, matmul(p, ph));
  const array inside = matmul(matmul(ph, p), gh);
  const array first = negative(matmul(matmul(ph, g), ph));
  const array second = subtract(outside, matmul(a, matmul(p, outside)));
  const array third = subtract(inside, matmul(matmul(inside, p), a));
  return add(first, add(second, third));
}

}  // namespace

array inv(const array& a, StreamOrDevice s) {
  const StreamContext on(s);
  require_matrices(a, "inv", true);
  return lazuli::apply(make_ref<InverseOperation>(false), {a});
}

array tri_inv(const array& a, bool upper, StreamOrDevice s) {
  const StreamContext on(s);
  require_matrices(a, "tri_inv", true);
  return lazuli::apply(make_ref<TriangularInverseOperation>(upper), {a});
}

array cholesky_inv(const array& a, bool upper, StreamOrDevice s) {
  const StreamContext on(s);
  require_matrices(a, "cholesky_inv", true);
  const array inverse = lazuli::apply(make_ref<TriangularInverseOperation>(upper), {a});
  return upper ? matmul(inverse, adjoint(inverse), s) : matmul(adjoint(inverse), inverse, s);
}

array pinv(const array& a, StreamOrDevice s) {
  const StreamContext on(s);
  require_matrices(a, "pinv", false);
  const Dim m = a.shape()[a.ndim() - 2];
  const Dim n = a.shape()[a.ndim() - 1];
  if (m == 0 || n == 0) return zeros(matrices_of(a.shape(), n, m), a.dtype(), s);
  // Made once, so that graphs with it are found again.
  static const ArrayFunction function =
      custom_vjp([](const std::vector<array>& x) { return std::vector<array>{pinv_of(x[0])}; },
                 [](const std::vector<array>& x, const std::vector<array>& cotangents,
                    const std::vector<array>& results) {
                   return std::vector<array>{pinv_cotangent(x[0], results[0], cotangents[0])};
                 });
  return function({a})[0];
}

array solve(const array& a, const array& b, StreamOrDevice s) {
  return solved(make_ref<SolveOperation>(), a, b, "solve", s);
}

array solve_triangular(const array& a, const array& b, bool upper, StreamOrDevice s) {
  return solved(make_ref<TriangularSolveOperation>(upper), a, b, "solve_triangular", s);
}

array det(const array& a, StreamOrDevice s) {
  const StreamContext on(s);
  require_matrices(a, "det", true);
  const Dim n = a.shape()[a.ndim() - 1];
  if (!n.is_symbolic() && n >= 1 && n <= 3) return small_determinant(a, n, s);
  return lazuli::apply(make_ref<DeterminantOperation>(false), {a});
}

std::pair<array, array> slogdet(const array& a, StreamOrDevice s) {
  const StreamContext on(s);
  require_matrices(a, "slogdet", true);
  const std::vector<array> found = apply_multiple(make_ref<DeterminantOperation>(true), {a});
  return {found[0], found[1]};
}

}  // namespace lazuli::linalg
