#include <lazuli/ops/index.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>

#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/pieces.h>
#include <lazuli/ops/scatter_operation.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

namespace {

void check_indices(const array& indices, const char* name) {
  if (!issubdtype(indices.dtype(), integer)) {
    throw std::invalid_argument("[" + std::string(name) + "] indices must be integers, not " +
                                std::string(dtype_name(indices.dtype())));
  }
}

/// Reads slice o of `a`, where o runs over the index arrays broadcast together, at indices along axes: maps
/// from that space, followed by the slice's.
struct Scattering {
  Shape index_shape;
  IndexMap map;
  std::vector<DynamicIndex> dynamic;
};

Scattering scattering(const Shape& shape, const std::vector<array>& indices, const std::vector<int>& axes,
                      const Shape& slice_sizes, int first_operand, const char* name) {
  const std::string prefix = "[" + std::string(name) + "] ";
  if (indices.size() != axes.size()) {
    throw std::invalid_argument(prefix + std::to_string(indices.size()) + " index arrays do not fit " +
                                std::to_string(axes.size()) + " axes");
  }
  if (slice_sizes.size() != shape.size()) {
    throw std::invalid_argument(prefix + "slices must have " + std::to_string(shape.size()) +
                                " dimensions, as " + "the array has");
  }
  for (size_t i = 0; i < shape.size(); ++i) {
    if (slice_sizes[i] < 0 || slice_sizes[i] > shape[i]) {
      throw std::invalid_argument(prefix + "slices of shape " + shape_to_string(slice_sizes) +
                                  " do not fit an array of shape " + shape_to_string(shape));
    }
  }
  const std::vector<int> where = normalize_axes(axes, shape.size(), name);
  Scattering result;
  for (const array& index : indices) {
    check_indices(index, name);
    result.index_shape = broadcast_shapes(result.index_shape, index.shape());
  }
  const int lead = static_cast<int>(result.index_shape.size());
  result.map = identity_map(static_cast<int>(shape.size()));
  for (IndexTerm& term : result.map) term.dim += lead;
  for (size_t j = 0; j < where.size(); ++j) {
    result.map[where[j]].dynamic = static_cast<int>(j);
    result.dynamic.push_back({.operand = first_operand + static_cast<int>(j),
                              .map = broadcast_map(indices[j].shape(), result.index_shape),
                              .extent = shape[where[j]],
                              .limit = shape[where[j]] - slice_sizes[where[j]]});
  }
  return result;
}

/// `indices` and the shape of `a` without an axis, broadcast together: the shape of what is taken along it.
Shape along_axis_shape(const array& a, const array& indices, int axis, const char* name) {
  check_indices(indices, name);
  if (indices.ndim() != a.ndim()) {
    throw std::invalid_argument("[" + std::string(name) + "] indices have " + std::to_string(indices.ndim()) +
                                " dimensions, the array has " + std::to_string(a.ndim()));
  }
  Shape others = a.shape();
  others[axis] = 1;
  Shape index_others = indices.shape();
  index_others[axis] = 1;
  Shape shape = broadcast_shapes(others, index_others);
  shape[axis] = indices.shape()[axis];
  if (a.shape()[axis] == 0 && element_count(shape) > 0) {
    throw std::invalid_argument("[" + std::string(name) + "] indices along an axis without elements");
  }
  return shape;
}

}  // namespace

array take(const array& a, const array& indices, int axis, StreamOrDevice s) {
  const StreamContext on(s);
  check_indices(indices, "take");
  axis = normalize_axis(axis, a.ndim(), "take");
  const Dim extent = a.shape()[axis];
  if (extent == 0 && element_count(indices.shape()) > 0) {
    throw std::invalid_argument("[take] there is nothing to take along an axis without elements");
  }
  const int index_rank = static_cast<int>(indices.ndim());
  Shape shape(a.shape().begin(), a.shape().begin() + axis);
  shape.insert(shape.end(), indices.shape().begin(), indices.shape().end());
  shape.insert(shape.end(), a.shape().begin() + axis + 1, a.shape().end());

  IndexMap map = identity_map(static_cast<int>(a.ndim()));
  map[axis] = {.dynamic = 0};
  for (size_t i = axis + 1; i < map.size(); ++i) map[i].dim += index_rank - 1;
  DynamicIndex index{.operand = 1, .map = identity_map(index_rank), .extent = extent, .limit = extent - 1};
  for (IndexTerm& term : index.map) term.dim += axis;
  return lazuli::apply(
      make_ref<IndexedView>("take", std::move(shape), std::move(map), std::vector{std::move(index)}),
      {a, indices});
}

array take(const array& a, int index, int axis, StreamOrDevice s) {
  axis = normalize_axis(axis, a.ndim(), "take");
  const Dim extent = a.shape()[axis];
  if (extent <= index || extent < -index) {
    throw std::invalid_argument("[take] index " + std::to_string(index) +
                                " is out of range for an extent of " + std::to_string(extent.hint()));
  }
  Shape shape = a.shape();
  shape.erase(shape.begin() + axis);
  IndexMap map = identity_map(static_cast<int>(a.ndim()));
  map[axis] = {.offset = index < 0 ? extent + index : Dim(index)};
  for (size_t i = axis + 1; i < map.size(); ++i) --map[i].dim;
  return view_of(a, "take", std::move(shape), std::move(map), s);
}

namespace {

/// Rows that iteration over an array gives, before it is computed and in functions that are transformed.
[[maybe_unused]] const bool rows_are_taken = [] {
  array::ArrayIterator::set_indexer([](const array& a, int row) { return take(a, row, 0); });
  return true;
}();

}  // namespace

array take(const array& a, const array& indices, StreamOrDevice s) {
  return take(flatten(a, s), indices, 0, s);
}

array take(const array& a, int index, StreamOrDevice s) {
  return take(flatten(a, s), index, 0, s);
}

array take_along_axis(const array& a, const array& indices, int axis, StreamOrDevice s) {
  const StreamContext on(s);
  axis = normalize_axis(axis, a.ndim(), "take_along_axis");
  Shape shape = along_axis_shape(a, indices, axis, "take_along_axis");
  Shape others = a.shape();
  others[axis] = 1;
  IndexMap map = broadcast_map(others, shape);
  map[axis] = {.dynamic = 0};
  const Dim extent = a.shape()[axis];
  DynamicIndex index{
      .operand = 1, .map = broadcast_map(indices.shape(), shape), .extent = extent, .limit = extent - 1};
  return lazuli::apply(make_ref<IndexedView>("take_along_axis", std::move(shape), std::move(map),
                                             std::vector{std::move(index)}),
                       {a, indices});
}

namespace {

/// Elements of `a` along an axis, replaced by `values` or, with a mode, combined with them.
array update_along_axis(const array& a, const array& indices, const array& values, int axis,
                        std::optional<ScatterMode> mode, const char* name, StreamOrDevice s) {
  const StreamContext on(s);
  axis = normalize_axis(axis, a.ndim(), name);
  const Shape shape = along_axis_shape(a, indices, axis, name);
  for (int i = 0; i < static_cast<int>(shape.size()); ++i) {
    if (i != axis && shape[i] != a.shape()[i]) {
      throw std::invalid_argument("[" + std::string(name) + "] indices of shape " +
                                  shape_to_string(indices.shape()) + " do not fit an array of shape " +
                                  shape_to_string(a.shape()));
    }
  }
  IndexMap map = identity_map(static_cast<int>(a.ndim()));
  map[axis] = {.dynamic = 0};
  const Dim extent = a.shape()[axis];
  std::vector<DynamicIndex> index{
      {.operand = 2, .map = broadcast_map(indices.shape(), shape), .extent = extent, .limit = extent - 1}};
  std::vector<array> operands{a, broadcast_to(astype(values, a.dtype(), s), shape, s), indices};
  if (mode) {
    return lazuli::apply(make_ref<ScatterOperation>(*mode, std::move(map), std::move(index)),
                         std::move(operands));
  }
  return lazuli::apply(make_ref<IndexedUpdate>(name, std::move(map), std::move(index)), std::move(operands));
}

}  // namespace

array put_along_axis(const array& a, const array& indices, const array& values, int axis, StreamOrDevice s) {
  return update_along_axis(a, indices, values, axis, std::nullopt, "put_along_axis", s);
}

array scatter_add_axis(const array& a, const array& indices, const array& values, int axis,
                       StreamOrDevice s) {
  return update_along_axis(a, indices, values, axis, ScatterMode::add, "scatter_add_axis", s);
}

array gather(const array& a, const std::vector<array>& indices, const std::vector<int>& axes,
             const Shape& slice_sizes, StreamOrDevice s) {
  const StreamContext on(s);
  Scattering from = scattering(a.shape(), indices, axes, slice_sizes, 1, "gather");
  Shape shape = from.index_shape;
  shape.insert(shape.end(), slice_sizes.begin(), slice_sizes.end());
  std::vector<array> operands{a};
  operands.insert(operands.end(), indices.begin(), indices.end());
  return lazuli::apply(
      make_ref<IndexedView>("gather", std::move(shape), std::move(from.map), std::move(from.dynamic)),
      std::move(operands));
}

namespace {

/// Slices of `a` replaced by updates or, with a mode, combined with them.
array scatter(const array& a, const std::vector<array>& indices, const array& updates,
              const std::vector<int>& axes, std::optional<ScatterMode> mode, const char* name,
              StreamOrDevice s) {
  const StreamContext on(s);
  const std::string prefix = "[" + std::string(name) + "] ";
  if (updates.ndim() < a.ndim()) {
    throw std::invalid_argument(prefix + "the updates have fewer dimensions than the array");
  }
  const Shape slice_sizes(updates.shape().end() - a.ndim(), updates.shape().end());
  Scattering to = scattering(a.shape(), indices, axes, slice_sizes, 2, name);
  Shape shape = to.index_shape;
  shape.insert(shape.end(), slice_sizes.begin(), slice_sizes.end());
  if (!(shape == updates.shape())) {
    throw std::invalid_argument(prefix + "updates of shape " + shape_to_string(updates.shape()) +
                                " do not fit indices of shape " + shape_to_string(to.index_shape) +
                                " and an array of shape " + shape_to_string(a.shape()));
  }
  std::vector<array> operands{a, astype(updates, a.dtype(), s)};
  operands.insert(operands.end(), indices.begin(), indices.end());
  if (mode) {
    // One zero that is repeated: zeros need not be in memory before others are added to them.
    if (is_lazy_zeros(a)) operands[0] = broadcast_to(zeros({}, a.dtype(), s), a.shape(), s);
    return lazuli::apply(make_ref<ScatterOperation>(*mode, std::move(to.map), std::move(to.dynamic)),
                         std::move(operands));
  }
  return lazuli::apply(make_ref<IndexedUpdate>(name, std::move(to.map), std::move(to.dynamic)),
                       std::move(operands));
}

}  // namespace

array scatter(const array& a, const std::vector<array>& indices, const array& updates,
              const std::vector<int>& axes, StreamOrDevice s) {
  return scatter(a, indices, updates, axes, std::nullopt, "scatter", s);
}
array scatter_add(const array& a, const std::vector<array>& indices, const array& updates,
                  const std::vector<int>& axes, StreamOrDevice s) {
  return scatter(a, indices, updates, axes, ScatterMode::add, "scatter_add", s);
}
array scatter_prod(const array& a, const std::vector<array>& indices, const array& updates,
                   const std::vector<int>& axes, StreamOrDevice s) {
  return scatter(a, indices, updates, axes, ScatterMode::prod, "scatter_prod", s);
}
array scatter_max(const array& a, const std::vector<array>& indices, const array& updates,
                  const std::vector<int>& axes, StreamOrDevice s) {
  return scatter(a, indices, updates, axes, ScatterMode::max, "scatter_max", s);
}
array scatter_min(const array& a, const std::vector<array>& indices, const array& updates,
                  const std::vector<int>& axes, StreamOrDevice s) {
  return scatter(a, indices, updates, axes, ScatterMode::min, "scatter_min", s);
}

}  // namespace lazuli
