#pragma once

#include <string>
#include <vector>

#include <lazuli/array/shape.h>

namespace lazuli {

/// Where a coordinate comes from: `scale * from[dim] + offset`, plus the value of a dynamic index.
struct IndexTerm {
  int dim = -1;   ///< a dimension of the space mapped from; -1 for none
  Dim scale = 1;  ///< may be negative
  Dim offset = 0;
  int dynamic = -1;  ///< which dynamic index is added; -1 for none

  bool same_as(const IndexTerm& other) const {
    return dim == other.dim && scale.same_as(other.scale) && offset.same_as(other.offset) &&
           dynamic == other.dynamic;
  }
};

/// An affine map from the coordinates of one space to those of another, one term for each dimension of the
/// latter. Transposition, slicing, flipping, broadcasting, diagonals are such maps.
using IndexMap = std::vector<IndexTerm>;

/// A dynamic index: an integer operand whose element, found by `map` from the space mapped from, is added
/// to a coordinate. Negative values count from the end; values out of range are clamped.
struct DynamicIndex {
  int operand = 0;  ///< which operand of the operation
  IndexMap map;     ///< from the space mapped from to the operand's own coordinates
  Dim extent = 0;   ///< the coordinate's extent, from which negative values count
  Dim limit = 0;    ///< the largest index that is in range
};

/// The identity map of a space.
IndexMap identity_map(int rank);
/// `outer` after `inner`: coordinates of the space `outer` leads to, from the space `inner` starts at.
/// Neither may have dynamic indices in the terms that meet.
IndexMap compose(const IndexMap& outer, const IndexMap& inner);
/// The map by which an operand is read when broadcast to a result's shape.
IndexMap broadcast_map(const Shape& operand, const Shape& result);
std::string to_string(const IndexMap& map);

}  // namespace lazuli
