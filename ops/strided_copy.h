#pragma once

#include <cstddef>
#include <vector>

#include <lazuli/compiler/operations.h>

namespace lazuli {

/// The tensor itself if its last dimension has unit stride, else a row-major copy in `storage`.
TensorView with_unit_stride(const TensorView& tensor, std::vector<std::byte>& storage);

/// The tensor itself if it is row-major, else a row-major copy in `storage`.
TensorView as_row_major(const TensorView& tensor, std::vector<std::byte>& storage);

}  // namespace lazuli
