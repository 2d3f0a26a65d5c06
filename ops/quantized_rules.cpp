#include <algorithm>
#include <stdexcept>

#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/linalg.h>
#include <lazuli/ops/quantized.h>
#include <lazuli/ops/quantized_operations.h>
#include <lazuli/ops/reduce.h>
#include <lazuli/ops/rules.h>
#include <lazuli/ops/shape.h>

/// Gradients and batches of products with quantized matrices.
namespace lazuli {

Differentials QuantizedMatmulOperation::vjp(const Application& at, const Differentials& cotangents,
                                            const std::vector<bool>& wanted) const {
  const array& x = at.inputs[0];
  const array& codes = at.inputs[1];
  const array& scales = at.inputs[2];
  const array& g = *cotangents[0];
  Differentials result(at.inputs.size());
  if (wanted[0]) {
    const auto other_way = make_ref<QuantizedMatmulOperation>(!transpose_, group_size_, bits_);
    std::vector<array> operands(at.inputs.begin(), at.inputs.end());
    operands[0] = g;
    result[0] = sum_to(lazuli::apply(other_way, std::move(operands)), x.shape());
  }
  // Those of floating point codes are bytes, which have no gradient.
  if (at.inputs.size() < 4 || (!wanted[2] && !wanted[3])) return result;

  // The matrix is codes * scales + biases, group by group. Its own gradient is a product of the other two.
  const bool is_shared = codes.ndim() == 2 && x.ndim() > 2;
  const array rows = is_shared ? flatten(x, 0, -2) : x;
  const array of_rows = is_shared ? flatten(g, 0, -2) : g;
  const array of_matrix =
      astype(transpose_ ? matmul(swapaxes(of_rows, -1, -2), rows) : matmul(swapaxes(rows, -1, -2), of_rows),
             float32);
  const auto in_groups = [&](const array& matrix) {
    return unflatten(matrix, -1, {scales.shape(-1), group_size_});
  };
  const array grouped = in_groups(of_matrix);
  if (wanted[2]) {
    const array levels =
        dequantize(codes, ones_like(scales, float32), zeros_like(scales, float32), group_size_, bits_);
    const array of_scales = sum(multiply(grouped, in_groups(levels)), -1);
    result[2] = astype(sum_to(of_scales, scales.shape()), scales.dtype());
  }
  if (wanted[3]) result[3] = astype(sum_to(sum(grouped, -1), scales.shape()), scales.dtype());
  return result;
}

std::vector<array> QuantizedMatmulOperation::vmap(std::span<const array> inputs,
                                                  const std::vector<bool>& batched, Dim) const {
  // The last two axes of each are a matrix; those before broadcast, the parts of the matrix together.
  std::vector<bool> all = batched;
  std::vector<array> operands(inputs.begin(), inputs.end());
  const auto first_batched = std::find(batched.begin() + 1, batched.end(), true);
  if (first_batched != batched.end()) {
    const auto which = static_cast<size_t>(first_batched - batched.begin());
    const Dim batch = inputs[which].shape()[0];
    for (size_t i = 1; i < operands.size(); ++i) {
      operands[i] = as_batched(inputs[i], batched[i], batch);
      all[i] = true;
    }
  }
  return {lazuli::apply(Ref<const Operation>(this), aligned_batch(operands, all))};
}

Differentials PackedMatmulOperation::vjp(const Application& at, const Differentials& cotangents,
                                         const std::vector<bool>&) const {
  // The rows of the matrix, all of them; rounding of the activations is no part of the derivative.
  const array& x = at.inputs[0];
  const array rows = packed_quantized_take(at.inputs[1], arange(out_features_), x.shape(-1), x.dtype());
  return {matmul(*cotangents[0], rows), std::nullopt};
}

std::vector<array> PackedMatmulOperation::vmap(std::span<const array> inputs,
                                               const std::vector<bool>& batched, Dim) const {
  if (batched[1]) {
    throw std::invalid_argument("[vmap] packed_quantized_matmul takes one matrix for all members of a batch");
  }
  return {lazuli::apply(Ref<const Operation>(this), {inputs.begin(), inputs.end()})};
}

}  // namespace lazuli
