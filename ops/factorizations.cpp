#include <lazuli/ops/factorizations.h>

#include <stdexcept>

#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/factorization_operations.h>
#include <lazuli/ops/shape.h>

namespace lazuli::linalg {

namespace {

bool is_upper(const std::string& uplo, const char* name) {
  if (uplo == "U" || uplo == "u") return true;
  if (uplo == "L" || uplo == "l") return false;
  throw std::invalid_argument("[linalg::" + std::string(name) + "] UPLO must be \"L\" or \"U\", not \"" +
                              uplo + "\"");
}

/// The first `count` slices along an axis from the end.
array first_of(const array& a, int axis, Dim count, StreamOrDevice s) {
  Shape stop = a.shape();
  stop[a.ndim() + static_cast<size_t>(axis)] = count;
  return slice(a, Shape(a.ndim(), Dim(0)), stop, s);
}

}  // namespace

std::pair<array, array> qr(const array& a, StreamOrDevice s) {
  const StreamContext on(s);
  require_matrices(a, "qr", false);
  const std::vector<array> found = apply_multiple(make_ref<QrOperation>(), {a});
  return {swapaxes(found[0], -1, -2, s), found[1]};
}

std::vector<array> svd(const array& a, bool compute_uv, StreamOrDevice s) {
  const StreamContext on(s);
  require_matrices(a, "svd", false);
  return apply_multiple(make_ref<SvdOperation>(compute_uv), {a});
}

array cholesky(const array& a, bool upper, StreamOrDevice s) {
  const StreamContext on(s);
  require_matrices(a, "cholesky", true);
  return lazuli::apply(make_ref<CholeskyOperation>(upper), {a});
}

std::vector<array> lu(const array& a, StreamOrDevice s) {
  const StreamContext on(s);
  require_matrices(a, "lu", false);
  const std::vector<array> found = apply_multiple(make_ref<LuOperation>(), {a});
  const array factors = swapaxes(found[0], -1, -2, s);
  const Dim k = dim_min(a.shape()[a.ndim() - 2], a.shape()[a.ndim() - 1]);
  const array lower = first_of(tril(factors, -1, s), -1, k, s);
  const array rows = expand_dims(arange(a.shape()[a.ndim() - 2], int32, s), 1, s);
  const array columns = expand_dims(arange(k, int32, s), 0, s);
  const array l = where(equal(rows, columns, s), array(1, a.dtype()), lower, s);
  return {found[2], l, first_of(triu(factors, 0, s), -2, k, s)};
}

std::pair<array, array> lu_factor(const array& a, StreamOrDevice s) {
  const StreamContext on(s);
  require_matrices(a, "lu_factor", false);
  const std::vector<array> found = apply_multiple(make_ref<LuOperation>(), {a});
  return {swapaxes(found[0], -1, -2, s), found[1]};
}

std::pair<array, array> eig(const array& a, StreamOrDevice s) {
  const StreamContext on(s);
  require_matrices(a, "eig", true);
  const std::vector<array> found = apply_multiple(make_ref<EigOperation>(true), {a});
  return {found[0], swapaxes(found[1], -1, -2, s)};
}

array eigvals(const array& a, StreamOrDevice s) {
  const StreamContext on(s);
  require_matrices(a, "eigvals", true);
  return lazuli::apply(make_ref<EigOperation>(false), {a});
}

std::pair<array, array> eigh(const array& a, std::string UPLO, StreamOrDevice s) {
  const StreamContext on(s);
  require_matrices(a, "eigh", true);
  const auto operation = make_ref<EighOperation>(is_upper(UPLO, "eigh"), true);
  const std::vector<array> found = apply_multiple(operation, {a});
  return {found[0], conjugate(swapaxes(found[1], -1, -2, s), s)};
}

array eigvalsh(const array& a, std::string UPLO, StreamOrDevice s) {
  const StreamContext on(s);
  require_matrices(a, "eigvalsh", true);
  return lazuli::apply(make_ref<EighOperation>(is_upper(UPLO, "eigvalsh"), false), {a});
}

}  // namespace lazuli::linalg
