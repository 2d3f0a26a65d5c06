#pragma once

#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli {

/// The kernel with float16 and bfloat16 that are only moved, from loads to stores of the same dtype, as
/// integers of their width: they need no conversion, and a register holds twice as many. Bits stay as they
/// are, NaNs too.
kir::Kernel move_bits(const kir::Kernel& kernel);

}  // namespace lazuli
