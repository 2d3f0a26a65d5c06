#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <lazuli/array/array.h>

/// The little language of `lazuli explain`.
///
///     program  = { name "=" value ";" } value { "," value }
///     value    = sums and products of: number, name, "(" value ")", function "(" arguments ")", value "["
///     indices "]"
///
/// with + - * / % @ (a matrix product), comparisons, and a minus in front. Functions are Lazuli's operations
/// by their names; arguments are values, numbers, lists such as [0, 1], dtypes and true/false. Indices are
/// numbers and start:stop, as many as dimensions at most.
namespace lazuli::command {

/// The results of an expression over named arrays. Intermediate values are held by nobody afterwards. Throws
/// std::invalid_argument `[explain] what and where` if the expression makes no sense, and what operations
/// throw.
std::vector<array> evaluate_expression(std::string_view text, const std::map<std::string, array>& inputs);

/// Names of the functions there are, sorted.
std::vector<std::string> expression_functions();

/// An input such as `x=float32[64,1024]` (or f32, bf16, f16, f64, i32, ...), filled with numbers: normally
/// distributed, or, for integers, of 0 to 7. `seed` tells inputs apart. Throws std::invalid_argument.
std::pair<std::string, array> make_input(const std::string& text, uint64_t seed);

}  // namespace lazuli::command
