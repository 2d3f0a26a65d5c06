#pragma once

#include <string>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// Order: ascending, NaN last, complex numbers by real part and then by imaginary part. Axes count from the
/// end where negative; without an axis, elements are taken in row-major order as one. Every dtype can be
/// sorted. std::invalid_argument is thrown for axes, positions and counts that are out of range.
namespace lazuli {

/// The elements in order along an axis. Gradients go back to where the elements came from.
array sort(const array& a, int axis, StreamOrDevice s = {});
array sort(const array& a, StreamOrDevice s = {});

/// The positions, uint32, of the elements in order along an axis. Equal elements stay in their order.
array argsort(const array& a, int axis, StreamOrDevice s = {});
array argsort(const array& a, StreamOrDevice s = {});

/// The elements rearranged so that the one at `kth` is where sorting puts it, none before it is greater and
/// none behind it is less. `kth` counts from the end where negative.
array partition(const array& a, int kth, int axis, StreamOrDevice s = {});
array partition(const array& a, int kth, StreamOrDevice s = {});

/// The positions, uint32, that `partition` takes elements from.
array argpartition(const array& a, int kth, int axis, StreamOrDevice s = {});
array argpartition(const array& a, int kth, StreamOrDevice s = {});

/// The `k` largest elements along an axis, in no order that may be relied on (they are ascending now).
array topk(const array& a, int k, int axis, StreamOrDevice s = {});
array topk(const array& a, int k, StreamOrDevice s = {});

/// For each of `values` (any shape) where in a vector, which is sorted, it would be inserted: before elements
/// equal to it for `side` "left", behind them for "right". uint32, of the shape of `values`.
array searchsorted(const array& sorted_sequence, const array& values, const std::string& side = "left",
                   StreamOrDevice s = {});

/// The element in the middle, or the mean of the two there, in floating point (integers are converted to
/// float32); NaN if any element is. Axes are dropped, or keep extent 1 with `keepdims`. Throws where there
/// is no element.
array median(const array& a, bool keepdims, StreamOrDevice s = {});
inline array median(const array& a, StreamOrDevice s = {}) {
  return median(a, false, s);
}
array median(const array& a, const std::vector<int>& axes, bool keepdims = false, StreamOrDevice s = {});
array median(const array& a, int axis, bool keepdims = false, StreamOrDevice s = {});

}  // namespace lazuli
