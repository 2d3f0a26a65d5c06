#pragma once

#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// Reading and writing at places that arrays of integers say. Indices count from the end where negative;
/// those out of range are cut to it.
namespace lazuli {

/// The slices of `a` at `indices` of an axis: the shape of `indices` stands in place of that axis.
array take(const array& a, const array& indices, int axis, StreamOrDevice s = {});
/// One slice, without the axis; throws where `index` is out of range.
array take(const array& a, int index, int axis, StreamOrDevice s = {});
/// Elements of `a` in row-major order.
array take(const array& a, const array& indices, StreamOrDevice s = {});
array take(const array& a, int index, StreamOrDevice s = {});

/// Elements at `indices` along an axis, each taken from its own row: both have the same rank and broadcast
/// along the other axes.
array take_along_axis(const array& a, const array& indices, int axis, StreamOrDevice s = {});
/// `a` with the elements at which `take_along_axis` would read replaced by `values`, which are broadcast to
/// the shape of `indices`. Where an index occurs twice, one of the values stays.
array put_along_axis(const array& a, const array& indices, const array& values, int axis,
                     StreamOrDevice s = {});

/// Slices of `slice_sizes` that start at `indices[i]` along `axes[i]`, and at 0 along other axes. The index
/// arrays are broadcast; the shape of the result is theirs followed by `slice_sizes`.
array gather(const array& a, const std::vector<array>& indices, const std::vector<int>& axes,
             const Shape& slice_sizes, StreamOrDevice s = {});
inline array gather(const array& a, const array& indices, int axis, const Shape& slice_sizes,
                    StreamOrDevice s = {}) {
  return gather(a, std::vector<array>{indices}, std::vector<int>{axis}, slice_sizes, s);
}

/// `a` with slices replaced by `updates`, whose shape is that of the broadcast index arrays followed by the
/// slices' (as many dimensions as `a` has). Slice j goes to `indices[i][j]` along `axes[i]`, and to 0 along
/// other axes. Where slices overlap, one of the values stays.
array scatter(const array& a, const std::vector<array>& indices, const array& updates,
              const std::vector<int>& axes, StreamOrDevice s = {});
inline array scatter(const array& a, const array& indices, const array& updates, int axis,
                     StreamOrDevice s = {}) {
  return scatter(a, std::vector<array>{indices}, updates, std::vector<int>{axis}, s);
}

/// The same, combining the updates with what is there: adding, multiplying, taking the larger or the smaller
/// (NaN stays; complex numbers are ordered as for `max`). Slices may overlap: all of them count, in order, so
/// that results don't depend on the number of threads. For bool, adding is "or" and multiplying is "and".
array scatter_add(const array& a, const std::vector<array>& indices, const array& updates,
                  const std::vector<int>& axes, StreamOrDevice s = {});
array scatter_prod(const array& a, const std::vector<array>& indices, const array& updates,
                   const std::vector<int>& axes, StreamOrDevice s = {});
array scatter_max(const array& a, const std::vector<array>& indices, const array& updates,
                  const std::vector<int>& axes, StreamOrDevice s = {});
array scatter_min(const array& a, const std::vector<array>& indices, const array& updates,
                  const std::vector<int>& axes, StreamOrDevice s = {});
inline array scatter_add(const array& a, const array& indices, const array& updates, int axis,
                         StreamOrDevice s = {}) {
  return scatter_add(a, std::vector<array>{indices}, updates, std::vector<int>{axis}, s);
}
inline array scatter_prod(const array& a, const array& indices, const array& updates, int axis,
                          StreamOrDevice s = {}) {
  return scatter_prod(a, std::vector<array>{indices}, updates, std::vector<int>{axis}, s);
}
inline array scatter_max(const array& a, const array& indices, const array& updates, int axis,
                         StreamOrDevice s = {}) {
  return scatter_max(a, std::vector<array>{indices}, updates, std::vector<int>{axis}, s);
}
inline array scatter_min(const array& a, const array& indices, const array& updates, int axis,
                         StreamOrDevice s = {}) {
  return scatter_min(a, std::vector<array>{indices}, updates, std::vector<int>{axis}, s);
}

/// `put_along_axis`, adding to what is there. Indices may occur several times.
array scatter_add_axis(const array& a, const array& indices, const array& values, int axis,
                       StreamOrDevice s = {});

/// `a` with the elements where `mask` is true replaced by elements of `src`, one after the other in row-major
/// order. The mask's axes are the first of `a`; along the others it says the same for all. Where `src` has
/// too few elements, its last is repeated. Throws std::invalid_argument for a mask that does not fit or is
/// not bool.
array masked_scatter(const array& a, const array& mask, const array& src, StreamOrDevice s = {});

}  // namespace lazuli
