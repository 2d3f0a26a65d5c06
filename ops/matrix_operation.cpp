#include <lazuli/ops/matrix_operation.h>

#include <stdexcept>

#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

std::vector<array> MatrixOperation::vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                                         Dim batch) const {
  std::vector<array> operands;
  for (size_t i = 0; i < inputs.size(); ++i) operands.push_back(as_batched(inputs[i], batched[i], batch));
  return apply_multiple(Ref<const Operation>(this), std::move(operands));
}

Shape matrices_of(const Shape& like, Dim rows, Dim columns) {
  Shape shape(like.begin(), like.end() - 2);
  shape.push_back(rows);
  shape.push_back(columns);
  return shape;
}

Shape vectors_of(const Shape& like, Dim length) {
  Shape shape(like.begin(), like.end() - 2);
  shape.push_back(length);
  return shape;
}

array adjoint(const array& a) {
  return conjugate(swapaxes(a, -1, -2));
}

void require_matrices(const array& a, const char* name, bool square) {
  const auto fail = [&](const std::string& what) {
    throw std::invalid_argument("[linalg::" + std::string(name) + "] " + what);
  };
  if (a.dtype() != float32 && a.dtype() != float64 && a.dtype() != complex64) {
    fail("the array must be float32, float64 or complex64, not " + std::string(dtype_name(a.dtype())));
  }
  if (a.ndim() < 2) {
    fail("the array must have at least two dimensions, not " + std::to_string(a.ndim()));
  }
  if (square && !is_same(a.shape()[a.ndim() - 2], a.shape()[a.ndim() - 1])) {
    fail("the matrices must be square, not of shape " + shape_to_string(a.shape()));
  }
}

void require_real_gradient(const array& a, const char* what) {
  if (a.dtype() == complex64) {
    throw std::invalid_argument("[linalg::" + std::string(what) +
                                "] there is no gradient for complex matrices");
  }
}

}  // namespace lazuli
