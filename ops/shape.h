#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// Operations on shapes. Most are views: they move no data, only the way it is read. Axes count from the end
/// where negative; std::invalid_argument says which axis or shape does not fit.
namespace lazuli {

// Other shapes for the same elements
// ---------------------------------------------------------------------------

/// The elements of `a`, in row-major order, under another shape. One extent may be -1: it is what is left.
array reshape(const array& a, Shape shape, StreamOrDevice s = {});
/// The axes from `start_axis` to `end_axis`, inclusive, made one. A scalar gets one dimension.
array flatten(const array& a, int start_axis, int end_axis = -1, StreamOrDevice s = {});
array flatten(const array& a, StreamOrDevice s = {});
/// An axis split into several; one extent may be -1.
array unflatten(const array& a, int axis, Shape shape, StreamOrDevice s = {});
/// Without the given axes, of extent 1 each; without all such axes, if none are given.
array squeeze(const array& a, const std::vector<int>& axes, StreamOrDevice s = {});
array squeeze(const array& a, int axis, StreamOrDevice s = {});
array squeeze(const array& a, StreamOrDevice s = {});
/// With axes of extent 1 at the given places of the result.
array expand_dims(const array& a, const std::vector<int>& axes, StreamOrDevice s = {});
array expand_dims(const array& a, int axis, StreamOrDevice s = {});
/// With at least one dimension.
array atleast_1d(const array& a, StreamOrDevice s = {});
std::vector<array> atleast_1d(const std::vector<array>& a, StreamOrDevice s = {});
/// With at least two: (n,) becomes (1, n).
array atleast_2d(const array& a, StreamOrDevice s = {});
std::vector<array> atleast_2d(const std::vector<array>& a, StreamOrDevice s = {});
/// With at least three: (n,) becomes (1, n, 1) and (m, n) becomes (m, n, 1).
array atleast_3d(const array& a, StreamOrDevice s = {});
std::vector<array> atleast_3d(const std::vector<array>& a, StreamOrDevice s = {});

// Order of axes and elements
// -----------------------------------------------------------------------------------

/// Axis i of the result is axis `axes[i]` of `a`; without `axes`, the order is reversed.
array transpose(const array& a, std::vector<int> axes, StreamOrDevice s = {});
inline array transpose(const array& a, std::initializer_list<int> axes, StreamOrDevice s = {}) {
  return transpose(a, std::vector<int>(axes), s);
}
array transpose(const array& a, StreamOrDevice s = {});
array swapaxes(const array& a, int axis1, int axis2, StreamOrDevice s = {});
array moveaxis(const array& a, int source, int destination, StreamOrDevice s = {});
/// Elements in reverse order along the given axes, or along all.
array flip(const array& a, const std::vector<int>& axes, StreamOrDevice s = {});
array flip(const array& a, int axis, StreamOrDevice s = {});
array flip(const array& a, StreamOrDevice s = {});
/// Elements shifted by `shift` places along axes (or, without axes, in row-major order); what leaves at one
/// end comes back at the other. Several shifts go with several axes; one goes with all.
array roll(const array& a, int shift, StreamOrDevice s = {});
array roll(const array& a, const Shape& shift, StreamOrDevice s = {});
array roll(const array& a, int shift, int axis, StreamOrDevice s = {});
array roll(const array& a, int shift, const std::vector<int>& axes, StreamOrDevice s = {});
array roll(const array& a, const Shape& shift, int axis, StreamOrDevice s = {});
array roll(const array& a, const Shape& shift, const std::vector<int>& axes, StreamOrDevice s = {});

// Repetition
// ---------------------------------------------------------------------------------------------------

/// `a` broadcast to a shape; throws where it cannot be.
array broadcast_to(const array& a, const Shape& shape, StreamOrDevice s = {});
/// All of them broadcast to their common shape.
std::vector<array> broadcast_arrays(const std::vector<array>& inputs, StreamOrDevice s = {});
/// Each element `repeats` times in a row along an axis, or in row-major order.
array repeat(const array& arr, int repeats, int axis, StreamOrDevice s = {});
array repeat(const array& arr, int repeats, StreamOrDevice s = {});
/// The array laid out `reps[i]` times along axis i.
array tile(const array& arr, std::vector<int> reps, StreamOrDevice s = {});
/// Coordinates: array i, a vector, varies along axis i of the results and is broadcast along the others (not
/// broadcast if `sparse`). `indexing` "xy" swaps the first two axes, "ij" does not.
std::vector<array> meshgrid(const std::vector<array>& arrays, bool sparse = false,
                            const std::string& indexing = "xy", StreamOrDevice s = {});

// Parts
// --------------------------------------------------------------------------------------------------------

/// Elements from `start` (inclusive) to `stop` (exclusive) in steps of `strides` along each axis, with
/// Python's rules: bounds count from the end where negative, and are cut to what there is; strides may be
/// negative, where a stop before element 0 is -n - 1 or less.
array slice(const array& a, Shape start, Shape stop, Shape strides, StreamOrDevice s = {});
/// The same for a start in braces, which could be an `array`, too.
array slice(const array& a, std::initializer_list<Dim> start, Shape stop, Shape strides,
            StreamOrDevice s = {});
array slice(const array& a, Shape start, Shape stop, StreamOrDevice s = {});
/// `slice_size` elements along each axis, from `start[i]`, known only when it runs, along `axes[i]` and from
/// 0 along the others. A start beyond the last place at which the slice fits is moved there.
array slice(const array& a, const array& start, std::vector<int> axes, Shape slice_size,
            StreamOrDevice s = {});

/// `src` with the elements that `slice` would give replaced by `update`, which is broadcast to them and
/// converted to the dtype of `src`.
array slice_update(const array& src, const array& update, Shape start, Shape stop, Shape strides,
                   StreamOrDevice s = {});
array slice_update(const array& src, const array& update, Shape start, Shape stop, StreamOrDevice s = {});
/// The same for a start in braces, which could be an `array`, too.
inline array slice_update(const array& src, const array& update, std::initializer_list<Dim> start, Shape stop,
                          StreamOrDevice s = {}) {
  return slice_update(src, update, Shape(start), std::move(stop), s);
}
/// The same from a start known only when it runs; `update` has the rank of `src` and its own extents.
array slice_update(const array& src, const array& update, const array& start, std::vector<int> axes,
                   StreamOrDevice s = {});

/// `src` with a slice to which an update, broadcast to it, is added; or by which it is multiplied, or which
/// is replaced by the larger or the smaller of both.
array slice_update_add(const array& src, const array& update, Shape start, Shape stop, Shape strides,
                       StreamOrDevice s = {});
inline array slice_update_add(const array& src, const array& update, Shape start, Shape stop,
                              StreamOrDevice s = {}) {
  const Shape ones(start.size(), Dim(1));
  return slice_update_add(src, update, std::move(start), std::move(stop), ones, s);
}
array slice_update_prod(const array& src, const array& update, Shape start, Shape stop, Shape strides,
                        StreamOrDevice s = {});
inline array slice_update_prod(const array& src, const array& update, Shape start, Shape stop,
                               StreamOrDevice s = {}) {
  const Shape ones(start.size(), Dim(1));
  return slice_update_prod(src, update, std::move(start), std::move(stop), ones, s);
}
array slice_update_max(const array& src, const array& update, Shape start, Shape stop, Shape strides,
                       StreamOrDevice s = {});
inline array slice_update_max(const array& src, const array& update, Shape start, Shape stop,
                              StreamOrDevice s = {}) {
  const Shape ones(start.size(), Dim(1));
  return slice_update_max(src, update, std::move(start), std::move(stop), ones, s);
}
array slice_update_min(const array& src, const array& update, Shape start, Shape stop, Shape strides,
                       StreamOrDevice s = {});
inline array slice_update_min(const array& src, const array& update, Shape start, Shape stop,
                              StreamOrDevice s = {}) {
  const Shape ones(start.size(), Dim(1));
  return slice_update_min(src, update, std::move(start), std::move(stop), ones, s);
}
/// `num_splits` equal parts along an axis (0 if not given); throws where the extent is no multiple.
std::vector<array> split(const array& a, int num_splits, int axis, StreamOrDevice s = {});
std::vector<array> split(const array& a, int num_splits, StreamOrDevice s = {});
/// Parts that begin at 0 and at `indices`.
std::vector<array> split(const array& a, const Shape& indices, int axis, StreamOrDevice s = {});
std::vector<array> split(const array& a, const Shape& indices, StreamOrDevice s = {});
/// The parts of extent 1 along an axis, without that axis.
std::vector<array> unstack(const array& a, int axis, StreamOrDevice s = {});
std::vector<array> unstack(const array& a, StreamOrDevice s = {});

/// The diagonal of the last axis of the result: elements where index `axis2` = index `axis1` + offset.
array diagonal(const array& a, int offset = 0, int axis1 = 0, int axis2 = 1, StreamOrDevice s = {});
/// Of a matrix, its k-th diagonal; of a vector, the matrix with that k-th diagonal and zeros elsewhere.
array diag(const array& a, int k = 0, StreamOrDevice s = {});
/// The sum along a diagonal.
array trace(const array& a, int offset, int axis1, int axis2, Dtype dtype, StreamOrDevice s = {});
array trace(const array& a, int offset, int axis1, int axis2, StreamOrDevice s = {});
array trace(const array& a, StreamOrDevice s = {});
/// Element (i, j, ...) of the result is element i * strides[0] + j * strides[1] + ... + offset of `a` in
/// row-major order.
array as_strided(const array& a, Shape shape, Strides strides, size_t offset, StreamOrDevice s = {});

// Arrays put together
// ------------------------------------------------------------------------------------------

/// Arrays behind one another along an axis (0 if not given), promoted to one dtype.
array concatenate(std::vector<array> arrays, int axis, StreamOrDevice s = {});
array concatenate(std::vector<array> arrays, StreamOrDevice s = {});
/// Arrays of one shape side by side along a new axis.
array stack(const std::vector<array>& arrays, int axis, StreamOrDevice s = {});
array stack(const std::vector<array>& arrays, StreamOrDevice s = {});
/// `a` with room before and behind along axes, filled with `pad_value` (mode "constant") or with the
/// outermost elements (mode "edge").
array pad(const array& a, const std::vector<int>& axes, const Shape& low_pad_size, const Shape& high_pad_size,
          const array& pad_value = array(0), const std::string& mode = "constant", StreamOrDevice s = {});
array pad(const array& a, const std::vector<std::pair<int, int>>& pad_width,
          const array& pad_value = array(0), const std::string& mode = "constant", StreamOrDevice s = {});
array pad(const array& a, const std::pair<int, int>& pad_width, const array& pad_value = array(0),
          const std::string& mode = "constant", StreamOrDevice s = {});
array pad(const array& a, int pad_width, const array& pad_value = array(0),
          const std::string& mode = "constant", StreamOrDevice s = {});

}  // namespace lazuli
