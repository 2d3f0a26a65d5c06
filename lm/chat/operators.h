#pragma once

#include <lazuli/lm/chat/runtime.h>
#include <lazuli/lm/chat/value.h>

namespace lazuli::lm::chat {

enum class BinaryOp { add, subtract, multiply, divide, floor_divide, modulo, power };
enum class UnaryOp { negate, plus, logical_not };
enum class CompareOp { equal, not_equal, less, less_equal, greater, greater_equal, in, not_in };

/// Applies one of Python's operators. Throws EvalError for operands it is not defined for, and where Python's
/// integers would leave 64 bits.
Value apply_binary(Runtime& runtime, BinaryOp op, const Value& a, const Value& b);
Value apply_unary(UnaryOp op, const Value& operand);
bool apply_compare(CompareOp op, const Value& a, const Value& b);

}  // namespace lazuli::lm::chat
