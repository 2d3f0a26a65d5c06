#include <lazuli/ops/linalg.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <stdexcept>
#include <string>

#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/matmul_operation.h>
#include <lazuli/ops/reduce.h>
#include <lazuli/ops/rules.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

namespace {

/// Operands of a matrix product as matrices, and what the result must lose for it.
struct MatrixOperands {
  array a;
  array b;
  std::vector<int> dropped;
};

MatrixOperands matrix_operands(const array& a, const array& b, const char* name, StreamOrDevice s) {
  const std::string prefix = "[" + std::string(name) + "] ";
  if (a.ndim() == 0 || b.ndim() == 0) {
    throw std::invalid_argument(prefix + "the operands must have at least one dimension");
  }
  MatrixOperands operands{a, b, {}};
  if (a.ndim() == 1) {
    operands.a = expand_dims(a, 0, s);
    operands.dropped.push_back(-2);
  }
  if (b.ndim() == 1) {
    operands.b = expand_dims(b, 1, s);
    operands.dropped.push_back(-1);
  }
  if (operands.a.shape(-1) != operands.b.shape(-2)) {
    throw std::invalid_argument(prefix + "the last extent of " + shape_to_string(a.shape()) +
                                " does not match the " + (b.ndim() == 1 ? "" : "second to ") + "last of " +
                                shape_to_string(b.shape()));
  }
  return operands;
}

Dtype product_dtype(Dtype dtype, const char* name) {
  if (!issubdtype(dtype, inexact)) {
    throw std::invalid_argument("[" + std::string(name) + "] " + std::string(dtype_name(dtype)) +
                                " is not supported: floating point only");
  }
  return dtype;
}

/// The operation `matmul`: one instance for each floating point dtype.
const Ref<const Operation>& matmul_operation(Dtype dtype) {
  static const std::vector<Ref<const Operation>> operations = [] {
    std::vector<Ref<const Operation>> made;
    for (int i = 0; i < dtype_count; ++i) {
      made.push_back(make_ref<MatmulOperation>(dtype_from_value(static_cast<Dtype::Val>(i))));
    }
    return made;
  }();
  return operations[static_cast<size_t>(dtype.val())];
}

}  // namespace

array matmul(const array& a, const array& b, StreamOrDevice s) {
  const StreamContext on(s);
  const MatrixOperands x = matrix_operands(a, b, "matmul", s);
  const Dtype dtype = product_dtype(promote_types(a.dtype(), b.dtype()), "matmul");
  const array result = lazuli::apply(matmul_operation(dtype), {astype(x.a, dtype, s), astype(x.b, dtype, s)});
  return squeeze(result, x.dropped, s);
}

array addmm(array c, array a, array b, const float& alpha, const float& beta, StreamOrDevice s) {
  const StreamContext on(s);
  const MatrixOperands x = matrix_operands(a, b, "addmm", s);
  const Dtype dtype = product_dtype(promote_types(c.dtype(), promote_types(a.dtype(), b.dtype())), "addmm");
  std::vector<array> operands{astype(x.a, dtype, s), astype(x.b, dtype, s)};
  const auto operation = make_ref<MatmulOperation>(dtype, alpha, beta);
  if (beta != 0) {
    // `c` has the shape of the result, without the axes that a vector does not have.
    const std::array specs{ArraySpec{x.a.shape(), dtype}, ArraySpec{x.b.shape(), dtype}};
    Shape full_shape = operation->infer(specs)[0].shape;
    Shape shape;
    std::vector<int> added;
    const int rank = static_cast<int>(full_shape.size());
    for (int i = 0; i < rank; ++i) {
      if (std::find(x.dropped.begin(), x.dropped.end(), i - rank) == x.dropped.end()) {
        shape.push_back(full_shape[i]);
      } else {
        added.push_back(i);
      }
    }
    operands.push_back(expand_dims(broadcast_to(astype(c, dtype, s), shape, s), added, s));
  }
  return squeeze(lazuli::apply(operation, std::move(operands)), x.dropped, s);
}

Differentials MatmulOperation::vjp(const Application& at, const Differentials& cotangents,
                                   const std::vector<bool>& wanted) const {
  const array& a = at.inputs[0];
  const array& b = at.inputs[1];
  const array& g = *cotangents[0];
  const auto adjoint = [](const array& x) { return conjugate(swapaxes(x, -1, -2)); };
  const auto product = [&](const array& x, const array& y) {
    return lazuli::apply(make_ref<MatmulOperation>(dtype_, alpha_), {x, y});
  };
  Differentials result(at.inputs.size());
  if (wanted[0]) result[0] = sum_to(product(g, adjoint(b)), a.shape());
  if (wanted[1]) {
    if (a.ndim() > b.ndim() && b.ndim() == 2) {
      // One matrix for the whole batch: its rows are those of one product, which sums over the batch.
      const array rows = flatten(a, 0, -2);
      result[1] = product(adjoint(rows), flatten(g, 0, -2));
    } else {
      result[1] = sum_to(product(adjoint(a), g), b.shape());
    }
  }
  if (wanted.size() > 2 && wanted[2]) result[2] = multiply(g, array(beta_, g.dtype()));
  return result;
}

std::vector<array> MatmulOperation::vmap(std::span<const array> inputs, const std::vector<bool>& batched,
                                         Dim batch) const {
  std::vector<array> operands = aligned_batch(inputs, batched);
  // The other operands broadcast; what is added has the shape of the result.
  if (operands.size() > 2) operands[2] = as_batched(inputs[2], batched[2], batch);
  return {lazuli::apply(Ref<const Operation>(this), std::move(operands))};
}

array inner(const array& a, const array& b, StreamOrDevice s) {
  if (a.ndim() == 0 || b.ndim() == 0) return multiply(a, b, s);
  if (a.shape(-1) != b.shape(-1)) {
    throw std::invalid_argument("[inner] the last extents of " + shape_to_string(a.shape()) + " and " +
                                shape_to_string(b.shape()) + " differ");
  }
  return tensordot(a, b, {-1}, {-1}, s);
}

array outer(const array& a, const array& b, StreamOrDevice s) {
  return multiply(reshape(a, {-1, 1}, s), flatten(b, s), s);
}

array vecdot(const array& a, const array& b, int axis, StreamOrDevice s) {
  return sum(multiply(conjugate(a, s), b, s), axis, false, s);
}

array tensordot(const array& a, const array& b, const int axis, StreamOrDevice s) {
  if (axis < 0 || axis > static_cast<int>(std::min(a.ndim(), b.ndim()))) {
    throw std::invalid_argument("[tensordot] " + std::to_string(axis) + " axes do not fit arrays with " +
                                std::to_string(a.ndim()) + " and " + std::to_string(b.ndim()) +
                                " dimensions");
  }
  std::vector<int> axes_a(static_cast<size_t>(axis));
  std::vector<int> axes_b(static_cast<size_t>(axis));
  std::iota(axes_a.begin(), axes_a.end(), static_cast<int>(a.ndim()) - axis);
  std::iota(axes_b.begin(), axes_b.end(), 0);
  return tensordot(a, b, axes_a, axes_b, s);
}

array tensordot(const array& a, const array& b, const std::vector<int>& axes_a,
                const std::vector<int>& axes_b, StreamOrDevice s) {
  if (axes_a.size() != axes_b.size()) {
    throw std::invalid_argument("[tensordot] both operands must have the same number of axes");
  }
  const std::vector<int> summed_a = normalize_axes(axes_a, a.ndim(), "tensordot");
  const std::vector<int> summed_b = normalize_axes(axes_b, b.ndim(), "tensordot");
  Dim length = 1;
  for (size_t i = 0; i < summed_a.size(); ++i) {
    if (a.shape()[summed_a[i]] != b.shape()[summed_b[i]]) {
      throw std::invalid_argument("[tensordot] axes " + std::to_string(axes_a[i]) + " and " +
                                  std::to_string(axes_b[i]) + " of " + shape_to_string(a.shape()) + " and " +
                                  shape_to_string(b.shape()) + " differ in extent");
    }
    length *= a.shape()[summed_a[i]];
  }
  Shape result;
  const auto others = [&](const array& x, const std::vector<int>& summed) {
    std::vector<int> axes;
    for (int i = 0; i < static_cast<int>(x.ndim()); ++i) {
      if (std::find(summed.begin(), summed.end(), i) != summed.end()) continue;
      axes.push_back(i);
      result.push_back(x.shape()[i]);
    }
    return axes;
  };
  std::vector<int> order_a = others(a, summed_a);
  order_a.insert(order_a.end(), summed_a.begin(), summed_a.end());
  std::vector<int> order_b = summed_b;
  for (int axis : others(b, summed_b)) order_b.push_back(axis);
  // Not -1 where there may be no elements at all.
  Dim rows = 1;
  Dim columns = 1;
  const size_t split_at = a.ndim() - summed_a.size();
  for (size_t i = 0; i < result.size(); ++i) (i < split_at ? rows : columns) *= result[i];
  const array left = reshape(transpose(a, order_a, s), {rows, length}, s);
  const array right = reshape(transpose(b, order_b, s), {length, columns}, s);
  return reshape(matmul(left, right, s), std::move(result), s);
}

array kron(const array& a, const array& b, StreamOrDevice s) {
  // Axis i of the result runs over axis i of `a` and, within, over that of `b`.
  const size_t rank = std::max(a.ndim(), b.ndim());
  Shape left;
  Shape right;
  Shape result;
  for (size_t i = 0; i < rank; ++i) {
    const Dim outer_extent = i + a.ndim() < rank ? Dim(1) : a.shape()[i + a.ndim() - rank];
    const Dim inner_extent = i + b.ndim() < rank ? Dim(1) : b.shape()[i + b.ndim() - rank];
    left.push_back(outer_extent);
    left.push_back(1);
    right.push_back(1);
    right.push_back(inner_extent);
    result.push_back(outer_extent * inner_extent);
  }
  return reshape(multiply(reshape(a, left, s), reshape(b, right, s), s), std::move(result), s);
}

}  // namespace lazuli
