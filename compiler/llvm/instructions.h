#pragma once

// Private to code generation: this header shows LLVM's types.

#include <lazuli/compiler/kernel_ir/kernel.h>
#include <lazuli/compiler/llvm/builder.h>

namespace lazuli {

/// Emits one instruction of arithmetic on operands of the same number of lanes (any, 1 for scalars).
/// `operand_type` is the compute type of the operands (of those after the first, for select). Sources, sinks,
/// reductions and unexpanded math are not its business: it throws std::logic_error.
llvm::Value* emit_instruction(VectorBuilder& b, const kir::Instruction& instruction, Dtype operand_type,
                              llvm::ArrayRef<llvm::Value*> operands);

/// The same for an opcode without immediate whose result and operands share a type.
llvm::Value* emit_binary(VectorBuilder& b, kir::Opcode op, Dtype type, llvm::Value* left, llvm::Value* right);

/// Value conversion between compute types.
llvm::Value* emit_cast(VectorBuilder& b, llvm::Value* value, Dtype from, Dtype to);

bool is_floating(Dtype t);  ///< of compute types: float32 and float64
bool is_signed(Dtype t);    ///< signed integers

}  // namespace lazuli
