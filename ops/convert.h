#pragma once

#include <lazuli/compiler/operations.h>

/// Conversions between dtypes, as operations.
namespace lazuli {

/// The operation behind `astype`: one instance for each dtype.
const Ref<const Operation>& convert_operation(Dtype dtype);

}  // namespace lazuli
