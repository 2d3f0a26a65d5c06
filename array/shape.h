#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include <lazuli/array/dim.h>
#include <lazuli/array/small_vector.h>

namespace lazuli {

using ShapeElem = Dim;
/// Extents of an array's dimensions, outermost first.
using Shape = SmallVector<Dim, 5>;
/// Distances, in elements, between neighbours along each dimension.
using Strides = SmallVector<int64_t, 5>;

/// Number of elements, by the values at hand (no guards); throws std::invalid_argument for negative extents
/// and where the number exceeds 63 bits.
int64_t element_count(const Shape& shape);
/// Row-major strides, by the values at hand.
Strides row_major_strides(const Shape& shape);
/// "(2,3)"; "(2,)" for one dimension; "()" for none.
std::string shape_to_string(const Shape& shape);
std::ostream& operator<<(std::ostream& os, const Shape& shape);
std::ostream& operator<<(std::ostream& os, const Strides& strides);
/// The same extents as constants: where they are symbolic, guards say that they stay these.
Shape concrete_shape(const Shape& shape);
/// The shape that `a` and `b` broadcast to, throws std::invalid_argument where there is none.
Shape broadcast_shapes(const Shape& a, const Shape& b);
/// `axis` counted from the front; throws std::invalid_argument `[prefix] axis ...` where out of range.
int normalize_axis_index(int axis, int ndim, const std::string& message_prefix = "");

}  // namespace lazuli
