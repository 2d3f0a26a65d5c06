#pragma once

#include <vector>

#include <lazuli/array/array.h>

/// What transforms need besides the rules of operations, declared here and defined by the layer of
/// operations.
namespace lazuli::transforms {

array zeros(const ArraySpec& spec);
array sum(const array& a, const array& b);
/// `a`, whose shape is that of `like` but may be written with other symbols, with its shape and dtype.
array converted(const array& a, const ArraySpec& like);
/// `a` with axis `from` moved to place `to`.
array with_axis_moved(const array& a, int from, int to);
/// Copies of `a` along a new first axis.
array repeated(const array& a, Dim count);
/// The sum along the first axis, which goes.
array total(const array& a);
/// The same arrays, not to be used before others have been computed.
std::vector<array> ordered_after(const std::vector<array>& arrays, const std::vector<array>& others);

}  // namespace lazuli::transforms
