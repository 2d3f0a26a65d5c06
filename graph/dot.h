#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <lazuli/array/array.h>

namespace lazuli {

/// Names arrays A, B, ..., Z, AA, ... in the order in which it is asked, unless they have been given names.
struct NodeNamer {
  std::unordered_map<std::uintptr_t, std::string> names;

  const std::string& get_name(const array& x);
  void set_name(const array& x, std::string n);
};

/// Writes the graph behind arrays, as far as it is still to be computed, in the DOT language of Graphviz:
/// boxes are operations, ellipses arrays.
void export_to_dot(std::ostream& os, NodeNamer namer, const std::vector<array>& outputs);
void export_to_dot(std::ostream& os, const std::vector<array>& outputs);
template <typename... Arrays>
requires(std::is_same_v<std::remove_cvref_t<Arrays>, array>&&...) void export_to_dot(std::ostream& os,
                                                                                     Arrays&&... outputs) {
  export_to_dot(os, std::vector<array>{std::forward<Arrays>(outputs)...});
}

/// Prints the same, a line for each operation.
void print_graph(std::ostream& os, NodeNamer namer, const std::vector<array>& outputs);
void print_graph(std::ostream& os, const std::vector<array>& outputs);
template <typename... Arrays>
requires(std::is_same_v<std::remove_cvref_t<Arrays>, array>&&...) void print_graph(std::ostream& os,
                                                                                   Arrays&&... outputs) {
  print_graph(os, std::vector<array>{std::forward<Arrays>(outputs)...});
}

}  // namespace lazuli
