#include <lazuli/ops/rules.h>

#include <algorithm>
#include <numeric>

#include <lazuli/graph/transforms/primitives.h>
#include <lazuli/ops/creation.h>
#include <lazuli/ops/depends.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/pieces.h>
#include <lazuli/ops/reduce.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

array sum_to(const array& a, const Shape& shape) {
  const size_t lead = a.ndim() - shape.size();
  std::vector<int> axes(lead);
  std::iota(axes.begin(), axes.end(), 0);
  const std::vector<int> dropped = axes;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d].hint() == 1 && !shape[d].same_as(a.shape()[lead + d]))
      axes.push_back(static_cast<int>(lead + d));
  }
  return axes.empty() ? a : squeeze(sum(a, axes, true), dropped);
}

std::vector<array> aligned_batch(std::span<const array> inputs, const std::vector<bool>& batched) {
  size_t rank = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    rank = std::max(rank, inputs[i].ndim() - static_cast<size_t>(batched[i]));
  }
  std::vector<array> result;
  for (size_t i = 0; i < inputs.size(); ++i) {
    std::vector<int> added;
    if (batched[i]) {
      added.resize(rank + 1 - inputs[i].ndim());
      std::iota(added.begin(), added.end(), 1);
    }
    result.push_back(expand_dims(inputs[i], added));
  }
  return result;
}

array as_batched(const array& a, bool batched, Dim batch) {
  return batched ? a : broadcast_to(expand_dims(a, 0), with_batch(a.shape(), batch));
}

std::vector<array> broadcast_vmap(const Operation& operation, std::span<const array> inputs,
                                  const std::vector<bool>& batched) {
  return {lazuli::apply(Ref<const Operation>(&operation), aligned_batch(inputs, batched))};
}

Shape with_batch(const Shape& shape, Dim batch) {
  Shape result{batch};
  result.insert(result.end(), shape.begin(), shape.end());
  return result;
}

namespace transforms {

array zeros(const ArraySpec& spec) {
  return lazuli::zeros(spec.shape, spec.dtype);
}
array sum(const array& a, const array& b) {
  const std::optional<array> joined = sum_of_pieces(a, b);
  return joined ? *joined : add(a, b);
}
array converted(const array& a, const ArraySpec& like) {
  return broadcast_to(astype(a, like.dtype), like.shape);
}
array with_axis_moved(const array& a, int from, int to) {
  return moveaxis(a, from, to);
}
array repeated(const array& a, Dim count) {
  return as_batched(a, false, count);
}
array total(const array& a) {
  return lazuli::sum(a, 0);
}
std::vector<array> ordered_after(const std::vector<array>& arrays, const std::vector<array>& others) {
  return depends(arrays, others);
}

}  // namespace transforms

}  // namespace lazuli
