#pragma once

#include <string>

#include <lazuli/array/array.h>

namespace lazuli {

/// How arrays are printed.
struct PrintOptions {
  int precision = 6;     ///< significant digits of floating-point numbers
  int threshold = 1000;  ///< arrays of more elements are summarised
  int edge_items = 3;    ///< how many elements a summary shows at each end of a dimension
};

PrintOptions print_options();
/// Returns the old ones; throws std::invalid_argument for negative numbers.
PrintOptions set_printoptions(const PrintOptions& options);

/// What `operator<<` prints.
std::string to_string(const array& a);
std::string to_string(const array& a, const PrintOptions& options);

}  // namespace lazuli
