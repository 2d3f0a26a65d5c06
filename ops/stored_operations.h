#pragma once

#include <lazuli/graph/operation_registry.h>

/// What operations share that are read from files.
namespace lazuli {

/// Whether shapes are the same, by the values at hand.
bool same_extents(const Shape& a, const Shape& b);
/// Whether what is of shape `from` can be broadcast to `to`, by the values at hand.
bool extents_broadcast(const Shape& from, const Shape& to);
bool is_real_floating(Dtype dtype);

}  // namespace lazuli
