#pragma once

#include <cstddef>

#include <lazuli/array/array.h>

namespace lazuli {

/// A row-major array with the elements that lie `strides` (in elements) apart from `first` on, which need not
/// be aligned.
array copied_elements(const std::byte* first, const Shape& shape, const Strides& strides, Dtype dtype);

}  // namespace lazuli
