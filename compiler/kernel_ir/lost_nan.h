#pragma once

#include <vector>

#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli::kir {

/// For each instruction, whether it is a minimum or maximum of a row in which NaN may get lost, as whatever
/// is stored and depends on it is NaN anyway where the row has one: in a softmax the sum of exponentials is.
/// Expanded kernels have 1 as their `imm`.
std::vector<bool> may_lose_nan(const Kernel& kernel);

}  // namespace lazuli::kir
