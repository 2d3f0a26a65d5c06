#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli::kir {

/// The value of an instruction whose operands are constants of type `operand_type` with the given bits (for
/// `select`, operand 0 is bool); nothing where it is no basic arithmetic instruction.
std::optional<uint64_t> fold(const Instruction& instruction, Dtype operand_type,
                             std::span<const uint64_t> operands);

/// The bits of a constant of a compute type; `value` is converted as `cast` would.
uint64_t constant_bits(Dtype type, double value);

}  // namespace lazuli::kir
