#pragma once

#include <string>
#include <utility>
#include <vector>

#include <lazuli/array/array.h>
#include <lazuli/array/stream.h>

/// Sums of products in Einstein's notation: a letter names an axis, a comma separates operands, and what
/// stands behind "->" are the axes of the result. Axes that are not in it are summed over; without "->" the
/// result has the letters that occur once, in alphabetical order. "..." stands for axes that broadcast.
/// Throws std::invalid_argument for subscripts that cannot be read or do not fit the operands.
namespace lazuli {

/// The order in which operands are best combined: each step names those (two, or all that are left) that
/// become one, which goes behind the others; and a table of it as text. All orders are tried for up to eight
/// operands; with more, the cheapest pair is taken each time.
std::pair<std::vector<std::vector<int>>, std::string> einsum_path(const std::string& subscripts,
                                                                  const std::vector<array>& operands);

/// The sum of products. Each step is a matrix product where it can be one.
array einsum(const std::string& subscripts, const std::vector<array>& operands, StreamOrDevice s = {});

}  // namespace lazuli
