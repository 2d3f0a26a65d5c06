#pragma once

#include <vector>

#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli::kir {

/// For each instruction, whether all that is made of its value is rounded to float16 or bfloat16 in the end,
/// by arithmetic that passes relative errors on as they are or adds them up, so that errors far below such a
/// rounding are not seen. Sums over reduce dimensions count only where nothing is added to them or
/// subtracted from them later, operands of most math functions never.
std::vector<bool> rounded_to_16_bits(const Kernel& kernel);

}  // namespace lazuli::kir
