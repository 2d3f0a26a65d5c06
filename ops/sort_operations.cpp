#include <lazuli/ops/sort_operations.h>

#include <lazuli/compiler/templates/sort.h>
#include <lazuli/ops/creation.h>
#include <lazuli/ops/index.h>
#include <lazuli/ops/rules.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

std::vector<ArraySpec> SortOperation::infer(std::span<const ArraySpec> inputs) const {
  return {{inputs[0].shape, positions_ ? uint32 : inputs[0].dtype}};
}

void SortOperation::execute(std::span<const TensorView> inputs, std::span<const TensorView> outputs) const {
  const TensorView& in = inputs[0];
  const int64_t count = element_count(in.shape);
  if (count == 0) return;
  const int64_t length = in.shape.back().hint();
  if (positions_) {
    templates::argsort_rows(in.dtype, count / length, length, in.data,
                            reinterpret_cast<uint32_t*>(outputs[0].data));
  } else {
    templates::sort_rows(in.dtype, count / length, length, in.data, outputs[0].data);
  }
}

namespace {

array order_of(const array& a) {
  return lazuli::apply(make_ref<SortOperation>(true), {a});
}

}  // namespace

Differentials SortOperation::vjp(const Application& at, const Differentials& cotangents,
                                 const std::vector<bool>&) const {
  const array& g = *cotangents[0];
  return {put_along_axis(zeros(g.shape(), g.dtype()), order_of(at.inputs[0]), g, -1)};
}

Differentials SortOperation::jvp(const Application& at, const Differentials& tangents) const {
  if (positions_ || !tangents[0]) return {std::nullopt};
  return {take_along_axis(*tangents[0], order_of(at.inputs[0]), -1)};
}

std::vector<array> SortOperation::vmap(std::span<const array> inputs, const std::vector<bool>&, Dim) const {
  return {lazuli::apply(Ref<const Operation>(this), {inputs[0]})};
}

std::vector<ArraySpec> SearchSortedOperation::infer(std::span<const ArraySpec> inputs) const {
  return {{inputs[1].shape, uint32}};
}

void SearchSortedOperation::execute(std::span<const TensorView> inputs,
                                    std::span<const TensorView> outputs) const {
  const TensorView& sequence = inputs[0];
  const TensorView& values = inputs[1];
  const int64_t length = sequence.shape[1].hint();
  const int64_t count = values.shape[1].hint();
  const int64_t size = sequence.dtype.size();
  for (int64_t row = 0; row < values.shape[0].hint(); ++row) {
    templates::search_sorted(sequence.dtype, sequence.data + row * length * size, length,
                             values.data + row * count * size, count, or_equal_,
                             reinterpret_cast<uint32_t*>(outputs[0].data) + row * count);
  }
}

std::vector<array> SearchSortedOperation::vmap(std::span<const array> inputs,
                                               const std::vector<bool>& batched, Dim batch) const {
  const auto rows_of = [&](size_t i) { return flatten(as_batched(inputs[i], batched[i], batch), 0, 1); };
  const Dim rows = inputs[1].shape(batched[1] ? 1 : 0);
  const array found = lazuli::apply(Ref<const Operation>(this), {rows_of(0), rows_of(1)});
  return {unflatten(found, 0, {batch, rows})};
}

}  // namespace lazuli
