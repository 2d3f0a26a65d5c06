#pragma once

#include <vector>

#include <lazuli/compiler/kernel_ir/kernel.h>
#include <lazuli/compiler/operations.h>

namespace lazuli {

/// A coordinate while kernels are emitted: affine in the kernel's dimensions, plus a computed value.
struct Coordinate {
  int dim = -1;
  Dim scale = 1;
  Dim offset = 0;
  kir::ValueId dynamic = kir::no_value;
  Dim dynamic_scale = 1;

  bool same_as(const Coordinate& other) const {
    return dim == other.dim && scale.same_as(other.scale) && offset.same_as(other.offset) &&
           dynamic == other.dynamic && dynamic_scale.same_as(other.dynamic_scale);
  }
};
using Coordinates = std::vector<Coordinate>;

bool same(const Coordinates& a, const Coordinates& b);

/// The map's coordinates at given coordinates of the space it maps from. Dynamic terms are left out.
Coordinates map_coordinates(const IndexMap& map, const Coordinates& at);

}  // namespace lazuli
