#include <lazuli/ops/sorting.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include <lazuli/ops/elementwise.h>
#include <lazuli/ops/elementwise_table.h>
#include <lazuli/ops/indexed_view.h>
#include <lazuli/ops/shape.h>
#include <lazuli/ops/sort_operations.h>

namespace lazuli {

namespace {

array sorted(const array& a, int axis, bool positions, const char* name, StreamOrDevice s) {
  const StreamContext on(s);
  axis = normalize_axis(axis, a.ndim(), name);
  const array rows = moveaxis(a, axis, -1, s);
  return moveaxis(lazuli::apply(make_ref<SortOperation>(positions), {rows}), -1, axis, s);
}

/// The position that `kth` means along an axis.
void check_position(const array& a, int kth, int axis, const char* name) {
  const Dim extent = a.shape()[normalize_axis(axis, a.ndim(), name)];
  if (extent <= kth || extent < -kth) {
    throw std::invalid_argument("[" + std::string(name) + "] position " + std::to_string(kth) +
                                " is out of range for axis " + std::to_string(axis) + " of " +
                                shape_to_string(a.shape()));
  }
}

}  // namespace

array sort(const array& a, int axis, StreamOrDevice s) {
  return sorted(a, axis, false, "sort", s);
}
array sort(const array& a, StreamOrDevice s) {
  return sort(flatten(a, s), 0, s);
}

array argsort(const array& a, int axis, StreamOrDevice s) {
  return sorted(a, axis, true, "argsort", s);
}
array argsort(const array& a, StreamOrDevice s) {
  return argsort(flatten(a, s), 0, s);
}

// Sorting all of it by digits takes no longer than looking for one position by comparisons.

array partition(const array& a, int kth, int axis, StreamOrDevice s) {
  check_position(a, kth, axis, "partition");
  return sorted(a, axis, false, "partition", s);
}
array partition(const array& a, int kth, StreamOrDevice s) {
  return partition(flatten(a, s), kth, 0, s);
}

array argpartition(const array& a, int kth, int axis, StreamOrDevice s) {
  check_position(a, kth, axis, "argpartition");
  return sorted(a, axis, true, "argpartition", s);
}
array argpartition(const array& a, int kth, StreamOrDevice s) {
  return argpartition(flatten(a, s), kth, 0, s);
}

array topk(const array& a, int k, int axis, StreamOrDevice s) {
  axis = normalize_axis(axis, a.ndim(), "topk");
  const Dim extent = a.shape()[axis];
  if (k < 0 || extent < k) {
    throw std::invalid_argument("[topk] there are no " + std::to_string(k) + " elements along axis " +
                                std::to_string(axis) + " of " + shape_to_string(a.shape()));
  }
  Shape start(a.ndim(), Dim(0));
  start[axis] = extent - k;
  return slice(sorted(a, axis, false, "topk", s), start, a.shape(), s);
}
array topk(const array& a, int k, StreamOrDevice s) {
  return topk(flatten(a, s), k, 0, s);
}

array searchsorted(const array& sorted_sequence, const array& values, const std::string& side,
                   StreamOrDevice s) {
  const StreamContext on(s);
  if (sorted_sequence.ndim() != 1) {
    throw std::invalid_argument("[searchsorted] the sorted sequence must have one dimension, not " +
                                std::to_string(sorted_sequence.ndim()));
  }
  if (side != "left" && side != "right") {
    throw std::invalid_argument("[searchsorted] side must be \"left\" or \"right\", not \"" + side + "\"");
  }
  const Dtype dtype = promote_types(sorted_sequence.dtype(), values.dtype());
  const array row = expand_dims(astype(sorted_sequence, dtype, s), 0, s);
  const array wanted = expand_dims(flatten(astype(values, dtype, s), s), 0, s);
  const array found = lazuli::apply(make_ref<SearchSortedOperation>(side == "right"), {row, wanted});
  return reshape(found, values.shape(), s);
}

array median(const array& a, const std::vector<int>& axes, bool keepdims, StreamOrDevice s) {
  const StreamContext on(s);
  std::vector<int> along = normalize_axes(axes, a.ndim(), "median");
  std::sort(along.begin(), along.end());
  const Dtype dtype = at_least_float(a.dtype());
  const array x = astype(a, dtype, s);
  if (along.empty()) return x;
  std::vector<int> order;
  for (int axis = 0; axis < static_cast<int>(a.ndim()); ++axis) {
    if (!std::binary_search(along.begin(), along.end(), axis)) order.push_back(axis);
  }
  const int others = static_cast<int>(order.size());
  order.insert(order.end(), along.begin(), along.end());
  const array rows = flatten(transpose(x, order, s), others, -1, s);
  const Dim length = rows.shape(-1);
  if (length == 0) {
    throw std::invalid_argument("[median] there is no element along the axes of " +
                                shape_to_string(a.shape()));
  }
  const array ordered = sorted(rows, -1, false, "median", s);
  const auto at = [&](Dim place) {
    Shape start(ordered.ndim(), Dim(0));
    Shape stop = ordered.shape();
    start.back() = place;
    stop.back() = place + 1;
    return squeeze(slice(ordered, start, stop, s), -1, s);
  };
  const array half(0.5f, dtype);
  const array low = at((length - 1) / 2);
  const array high = at(length / 2);
  // Halves are added, as the sum could overflow; where both are one element, it stays as it is.
  const array middle =
      where(equal(low, high, s), low, add(multiply(low, half, s), multiply(high, half, s), s), s);
  const array highest = at(length - 1);
  const array result = where(isnan(highest, s), highest, middle, s);
  return keepdims ? expand_dims(result, along, s) : result;
}
array median(const array& a, bool keepdims, StreamOrDevice s) {
  std::vector<int> axes(a.ndim());
  std::iota(axes.begin(), axes.end(), 0);
  return median(a, axes, keepdims, s);
}
array median(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  return median(a, std::vector<int>{axis}, keepdims, s);
}

}  // namespace lazuli
