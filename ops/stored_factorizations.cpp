#include <lazuli/ops/factorization_operations.h>
#include <lazuli/ops/linear_equations_operations.h>
#include <lazuli/ops/stored_operations.h>

// Functions of matrices, read from files.

namespace lazuli {

namespace {

/// Throws unless an operand has matrices of a dtype that LAPACK knows.
void require_matrices_in(const AttributeReader& r, size_t operand, bool square) {
  const ArraySpec& spec = r.inputs()[operand];
  r.require(spec.dtype == float32 || spec.dtype == float64 || spec.dtype == complex64, "dtypes");
  const size_t rank = spec.shape.size();
  r.require(rank >= 2 && (!square || spec.shape[rank - 2].hint() == spec.shape[rank - 1].hint()), "shapes");
}

/// The same of equations a x = b, whose batches are alike.
void require_equations(const AttributeReader& r) {
  require_matrices_in(r, 0, true);
  require_matrices_in(r, 1, false);
  const Shape& a = r.inputs()[0].shape;
  const Shape& b = r.inputs()[1].shape;
  r.require(r.inputs()[0].dtype == r.inputs()[1].dtype, "dtypes");
  r.require(
      a.size() == b.size() && same_extents(Shape(a.begin(), a.end() - 1), Shape(b.begin(), b.end() - 1)),
      "shapes");
}

const OperationRegistration<QrOperation> qr_registration("qr", 1,
                                                         [](AttributeReader& r) -> Ref<const Operation> {
                                                           require_matrices_in(r, 0, false);
                                                           return make_ref<QrOperation>();
                                                         });
const OperationRegistration<SvdOperation> svd_registration("svd", 1,
                                                           [](AttributeReader& r) -> Ref<const Operation> {
                                                             require_matrices_in(r, 0, false);
                                                             return make_ref<SvdOperation>(
                                                                 r.boolean("vectors"));
                                                           });
const OperationRegistration<CholeskyOperation> cholesky_registration(
    "cholesky", 1, [](AttributeReader& r) -> Ref<const Operation> {
      require_matrices_in(r, 0, true);
      return make_ref<CholeskyOperation>(r.boolean("upper"));
    });
const OperationRegistration<LuOperation> lu_registration("lu", 1,
                                                         [](AttributeReader& r) -> Ref<const Operation> {
                                                           require_matrices_in(r, 0, false);
                                                           return make_ref<LuOperation>();
                                                         });
const OperationRegistration<EigOperation> eig_registration("eig", 1,
                                                           [](AttributeReader& r) -> Ref<const Operation> {
                                                             require_matrices_in(r, 0, true);
                                                             return make_ref<EigOperation>(
                                                                 r.boolean("vectors"));
                                                           });
const OperationRegistration<EighOperation> eigh_registration("eigh", 1,
                                                             [](AttributeReader& r) -> Ref<const Operation> {
                                                               require_matrices_in(r, 0, true);
                                                               const bool upper = r.boolean("upper");
                                                               return make_ref<EighOperation>(
                                                                   upper, r.boolean("vectors"));
                                                             });
const OperationRegistration<InverseOperation> inverse_registration(
    "inv", 1, [](AttributeReader& r) -> Ref<const Operation> {
      require_matrices_in(r, 0, true);
      return make_ref<InverseOperation>(r.boolean("or_nan"));
    });
const OperationRegistration<TriangularInverseOperation> triangular_inverse_registration(
    "tri_inv", 1, [](AttributeReader& r) -> Ref<const Operation> {
      require_matrices_in(r, 0, true);
      return make_ref<TriangularInverseOperation>(r.boolean("upper"));
    });
const OperationRegistration<SolveOperation> solve_registration(
    "solve", 2, [](AttributeReader& r) -> Ref<const Operation> {
      require_equations(r);
      return make_ref<SolveOperation>();
    });
const OperationRegistration<TriangularSolveOperation> triangular_solve_registration(
    "solve_triangular", 2, [](AttributeReader& r) -> Ref<const Operation> {
      require_equations(r);
      return make_ref<TriangularSolveOperation>(r.boolean("upper"));
    });
const OperationRegistration<DeterminantOperation> determinant_registration(
    "determinant", 1, [](AttributeReader& r) -> Ref<const Operation> {
      require_matrices_in(r, 0, true);
      return make_ref<DeterminantOperation>(r.name() == "slogdet");
    });

}  // namespace

}  // namespace lazuli
