#pragma once

#include <optional>

#include <lazuli/array/array.h>

namespace lazuli {

/// a + b where both are zeros but for pieces along one axis, as gradients of slices are, and the pieces lie
/// side by side: put together, rather than added. Nothing where they are something else.
std::optional<array> sum_of_pieces(const array& a, const array& b);

/// Whether an array is zeros that nobody has computed yet.
bool is_lazy_zeros(const array& a);

}  // namespace lazuli
