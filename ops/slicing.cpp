#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

#include <lazuli/ops/creation.h>
#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/index.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/reduce.h>
#include <lazuli/ops/shape.h>

namespace lazuli {

namespace {

/// The elements of a slice: how many along each axis, and where they lie.
struct SliceRange {
  Shape shape;
  IndexMap map;
  bool is_everything = true;
};

Dim limited(Dim value, Dim low, Dim high) {
  // By comparison, not by dim_min and dim_max: what is found out becomes a guard, and the extent stays
  // simple.
  if (value < low) return low;
  return value > high ? high : value;
}

SliceRange slice_range(const Shape& shape, const Shape& start, const Shape& stop, const Shape& strides,
                       const char* name) {
  if (start.size() != shape.size() || stop.size() != shape.size() || strides.size() != shape.size()) {
    throw std::invalid_argument("[" + std::string(name) +
                                "] start, stop and strides must have an entry for each of the " +
                                std::to_string(shape.size()) + " dimensions");
  }
  SliceRange range;
  range.map = identity_map(static_cast<int>(shape.size()));
  for (size_t i = 0; i < shape.size(); ++i) {
    const Dim extent = shape[i];
    const int stride = strides[i];
    if (stride == 0) throw std::invalid_argument("[" + std::string(name) + "] a stride is zero");
    Dim from = start[i] < 0 ? start[i] + extent : start[i];
    Dim to = stop[i] < 0 ? stop[i] + extent : stop[i];
    Dim count = 0;
    if (stride > 0) {
      from = limited(from, 0, extent);
      to = limited(to, 0, extent);
      if (to > from) count = stride == 1 ? to - from : (to - from + (stride - 1)) / stride;
    } else {
      from = limited(from, -1, extent - 1);
      to = limited(to, -1, extent - 1);
      if (from > to) count = stride == -1 ? from - to : (from - to + (-stride - 1)) / -stride;
    }
    range.shape.push_back(count);
    range.map[i].scale = stride;
    range.map[i].offset = from;
    range.is_everything = range.is_everything && stride == 1 && count.same_as(extent);
  }
  return range;
}

/// Checks the starts of a slice that is known when it runs, and makes dynamic indices of them.
std::vector<DynamicIndex> dynamic_starts(const Shape& shape, const array& start, const std::vector<int>& axes,
                                         const Shape& size, int operand, IndexMap& map, const char* name) {
  const std::string prefix = "[" + std::string(name) + "] ";
  if (!issubdtype(start.dtype(), integer)) {
    throw std::invalid_argument(prefix + "the start must be integers, not " +
                                std::string(dtype_name(start.dtype())));
  }
  if (start.ndim() > 1 || (start.ndim() == 1 ? start.shape()[0] != axes.size() : axes.size() != 1)) {
    throw std::invalid_argument(prefix + "a start of shape " + shape_to_string(start.shape()) +
                                " does not fit " + std::to_string(axes.size()) + " axes");
  }
  if (size.size() != shape.size()) {
    throw std::invalid_argument(prefix + "the size of the slice must have " + std::to_string(shape.size()) +
                                " dimensions");
  }
  for (size_t i = 0; i < shape.size(); ++i) {
    if (size[i] < 0 || size[i] > shape[i]) {
      throw std::invalid_argument(prefix + "a slice of shape " + shape_to_string(size) +
                                  " does not fit an array of shape " + shape_to_string(shape));
    }
  }
  const std::vector<int> where = normalize_axes(axes, shape.size(), name);
  std::vector<DynamicIndex> indices;
  for (size_t j = 0; j < where.size(); ++j) {
    map[where[j]].dynamic = static_cast<int>(j);
    DynamicIndex index;
    index.operand = operand;
    if (start.ndim() == 1) index.map.emplace_back().offset = static_cast<int>(j);
    index.extent = shape[where[j]];
    index.limit = shape[where[j]] - size[where[j]];
    indices.push_back(std::move(index));
  }
  return indices;
}

array update_at(const array& src, const array& update, const Shape& shape, IndexMap map, StreamOrDevice s) {
  const StreamContext on(s);
  const array values = broadcast_to(astype(update, src.dtype(), s), shape, s);
  return lazuli::apply(make_ref<IndexedUpdate>("slice_update", std::move(map)), {src, values});
}

Shape all_ones(const Shape& shape) {
  return Shape(shape.size(), Dim(1));
}

}  // namespace

array slice(const array& a, Shape start, Shape stop, Shape strides, StreamOrDevice s) {
  SliceRange range = slice_range(a.shape(), start, stop, strides, "slice");
  return range.is_everything ? a : view_of(a, "slice", std::move(range.shape), std::move(range.map), s);
}

array slice(const array& a, std::initializer_list<Dim> start, Shape stop, Shape strides, StreamOrDevice s) {
  return slice(a, Shape(start), std::move(stop), std::move(strides), s);
}

array slice(const array& a, Shape start, Shape stop, StreamOrDevice s) {
  const Shape strides = all_ones(start);
  return slice(a, std::move(start), std::move(stop), strides, s);
}

array slice(const array& a, const array& start, std::vector<int> axes, Shape slice_size, StreamOrDevice s) {
  const StreamContext on(s);
  IndexMap map = identity_map(static_cast<int>(a.ndim()));
  std::vector<DynamicIndex> indices = dynamic_starts(a.shape(), start, axes, slice_size, 1, map, "slice");
  return lazuli::apply(
      make_ref<IndexedView>("slice", std::move(slice_size), std::move(map), std::move(indices)), {a, start});
}

array slice_update(const array& src, const array& update, Shape start, Shape stop, Shape strides,
                   StreamOrDevice s) {
  SliceRange range = slice_range(src.shape(), start, stop, strides, "slice_update");
  if (range.is_everything) return broadcast_to(astype(update, src.dtype(), s), src.shape(), s);
  return update_at(src, update, range.shape, std::move(range.map), s);
}

array slice_update(const array& src, const array& update, Shape start, Shape stop, StreamOrDevice s) {
  const Shape strides = all_ones(start);
  return slice_update(src, update, std::move(start), std::move(stop), strides, s);
}

array slice_update(const array& src, const array& update, const array& start, std::vector<int> axes,
                   StreamOrDevice s) {
  const StreamContext on(s);
  if (update.ndim() > src.ndim()) {
    throw std::invalid_argument("[slice_update] the update has more dimensions than the array");
  }
  Shape size(src.ndim() - update.ndim(), Dim(1));
  size.insert(size.end(), update.shape().begin(), update.shape().end());
  IndexMap map = identity_map(static_cast<int>(src.ndim()));
  std::vector<DynamicIndex> indices = dynamic_starts(src.shape(), start, axes, size, 2, map, "slice_update");
  const array values = broadcast_to(astype(update, src.dtype(), s), size, s);
  return lazuli::apply(make_ref<IndexedUpdate>("slice_update", std::move(map), std::move(indices)),
                       {src, values, start});
}

namespace {

/// A slice combined with an update: no place of a slice is written twice, so that this takes no more than
/// reading it first.
array combined_slice(array (*combine)(const array&, const array&, StreamOrDevice), const array& src,
                     const array& update, const Shape& start, const Shape& stop, const Shape& strides,
                     const char* name, StreamOrDevice s) {
  const SliceRange range = slice_range(src.shape(), start, stop, strides, name);
  if (!broadcasts_to(update.shape(), range.shape)) {
    throw std::invalid_argument("[" + std::string(name) + "] an update of shape " +
                                shape_to_string(update.shape()) + " does not fit a slice of shape " +
                                shape_to_string(range.shape));
  }
  const array own = slice(src, start, stop, strides, s);
  return slice_update(src, combine(own, astype(update, src.dtype(), s), s), start, stop, strides, s);
}

}  // namespace

array slice_update_add(const array& src, const array& update, Shape start, Shape stop, Shape strides,
                       StreamOrDevice s) {
  return combined_slice(add, src, update, start, stop, strides, "slice_update_add", s);
}
array slice_update_prod(const array& src, const array& update, Shape start, Shape stop, Shape strides,
                        StreamOrDevice s) {
  return combined_slice(multiply, src, update, start, stop, strides, "slice_update_prod", s);
}
array slice_update_max(const array& src, const array& update, Shape start, Shape stop, Shape strides,
                       StreamOrDevice s) {
  return combined_slice(maximum, src, update, start, stop, strides, "slice_update_max", s);
}
array slice_update_min(const array& src, const array& update, Shape start, Shape stop, Shape strides,
                       StreamOrDevice s) {
  return combined_slice(minimum, src, update, start, stop, strides, "slice_update_min", s);
}

array flip(const array& a, const std::vector<int>& axes, StreamOrDevice s) {
  if (axes.empty()) return a;
  IndexMap map = identity_map(static_cast<int>(a.ndim()));
  for (int axis : normalize_axes(axes, a.ndim(), "flip")) {
    map[axis].scale = -1;
    map[axis].offset = a.shape()[axis] - 1;
  }
  return view_of(a, "slice", a.shape(), std::move(map), s);
}

array flip(const array& a, int axis, StreamOrDevice s) {
  return flip(a, std::vector<int>{axis}, s);
}

array flip(const array& a, StreamOrDevice s) {
  std::vector<int> axes(a.ndim());
  std::iota(axes.begin(), axes.end(), 0);
  return flip(a, axes, s);
}

namespace {

/// The part [from, to) along an axis.
array part(const array& a, int axis, Dim from, Dim to, StreamOrDevice s) {
  Shape start(a.ndim(), Dim(0));
  Shape stop = a.shape();
  start[axis] = from;
  stop[axis] = to;
  return slice(a, std::move(start), std::move(stop), s);
}

}  // namespace

std::vector<array> split(const array& a, int num_splits, int axis, StreamOrDevice s) {
  axis = normalize_axis(axis, a.ndim(), "split");
  const Dim extent = a.shape()[axis];
  if (num_splits <= 0 || extent % num_splits != 0) {
    throw std::invalid_argument("[split] an extent of " + std::to_string(extent.hint()) +
                                " cannot be cut into " + std::to_string(num_splits) + " equal parts");
  }
  const Dim size = extent / num_splits;
  std::vector<array> parts;
  for (int i = 0; i < num_splits; ++i) parts.push_back(part(a, axis, size * i, size * (i + 1), s));
  return parts;
}

std::vector<array> split(const array& a, int num_splits, StreamOrDevice s) {
  return split(a, num_splits, 0, s);
}

std::vector<array> split(const array& a, const Shape& indices, int axis, StreamOrDevice s) {
  axis = normalize_axis(axis, a.ndim(), "split");
  std::vector<array> parts;
  Dim from = 0;
  for (Dim index : indices) {
    parts.push_back(part(a, axis, from, index, s));
    from = index;
  }
  parts.push_back(part(a, axis, from, a.shape()[axis], s));
  return parts;
}

std::vector<array> split(const array& a, const Shape& indices, StreamOrDevice s) {
  return split(a, indices, 0, s);
}

std::vector<array> unstack(const array& a, int axis, StreamOrDevice s) {
  axis = normalize_axis(axis, a.ndim(), "unstack");
  std::vector<array> parts;
  for (int i = 0; i < a.shape()[axis]; ++i) parts.push_back(take(a, i, axis, s));
  return parts;
}

std::vector<array> unstack(const array& a, StreamOrDevice s) {
  return unstack(a, 0, s);
}

array diagonal(const array& a, int offset, int axis1, int axis2, StreamOrDevice s) {
  if (a.ndim() < 2) throw std::invalid_argument("[diagonal] the array must have at least two dimensions");
  const std::vector<int> axes = normalize_axes({axis1, axis2}, a.ndim(), "diagonal");
  const Dim first = std::max(-offset, 0);
  const Dim second = std::max(offset, 0);
  const Dim rows = a.shape()[axes[0]] - first;
  const Dim columns = a.shape()[axes[1]] - second;
  Shape shape;
  IndexMap map(a.ndim());
  for (int i = 0; i < static_cast<int>(a.ndim()); ++i) {
    if (i == axes[0] || i == axes[1]) continue;
    map[i].dim = static_cast<int>(shape.size());
    shape.push_back(a.shape()[i]);
  }
  map[axes[0]].offset = first;
  map[axes[1]].offset = second;
  map[axes[0]].dim = map[axes[1]].dim = static_cast<int>(shape.size());
  const Dim length = rows < columns ? rows : columns;
  shape.push_back(length < 0 ? Dim(0) : length);
  return view_of(a, "diagonal", std::move(shape), std::move(map), s);
}

array diag(const array& a, int k, StreamOrDevice s) {
  const StreamContext on(s);
  if (a.ndim() == 2) return diagonal(a, k, 0, 1, s);
  if (a.ndim() != 1) throw std::invalid_argument("[diag] the array must have one or two dimensions");
  const Dim size = a.shape()[0] + std::abs(k);
  IndexMap map(2);
  map[0].dim = map[1].dim = 0;
  map[0].offset = std::max(-k, 0);
  map[1].offset = std::max(k, 0);
  return lazuli::apply(make_ref<IndexedUpdate>("diag", std::move(map)),
                       {zeros({size, size}, a.dtype(), s), a});
}

array trace(const array& a, int offset, int axis1, int axis2, Dtype dtype, StreamOrDevice s) {
  return sum(astype(diagonal(a, offset, axis1, axis2, s), dtype, s), -1, false, s);
}

array trace(const array& a, int offset, int axis1, int axis2, StreamOrDevice s) {
  return trace(a, offset, axis1, axis2, a.dtype(), s);
}

array trace(const array& a, StreamOrDevice s) {
  return trace(a, 0, 0, 1, s);
}

array as_strided(const array& a, Shape shape, Strides strides, size_t offset, StreamOrDevice s) {
  if (shape.size() != strides.size()) {
    throw std::invalid_argument("[as_strided] shape and strides must have the same number of entries");
  }
  // The place of an element is a sum over all axes, which no single index term can say: read by index.
  array places = full(shape, array(static_cast<int64_t>(offset)), int64, s);
  for (size_t i = 0; i < shape.size(); ++i) {
    std::vector<int> others(shape.size());
    std::iota(others.begin(), others.end(), 0);
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
    const array steps = expand_dims(arange(shape[i], int64, s), others, s);
    places = add(places, multiply(steps, array(strides[i], int64), s), s);
  }
  return take(flatten(a, s), places, 0, s);
}

}  // namespace lazuli
