#pragma once

#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli::kir {

/// Whether two values are the same at each element, as they are made in the same way from the same inputs.
bool are_same(const Kernel& kernel, ValueId a, ValueId b, int depth = 8);

}  // namespace lazuli::kir
