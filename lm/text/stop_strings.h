#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli::lm {

/// Watches generated text for stop strings (an Aho-Corasick automaton). The first stop string to be complete
/// ends the text; of several that end at the same character, the longest. The result does not depend on how
/// the text is cut.
class StopStringMatcher {
 public:
  /// Throws std::invalid_argument if a stop string is empty. Without stop strings, all text passes.
  explicit StopStringMatcher(std::vector<std::string> stop_strings = {});

  /// Takes the next piece of text and returns what is certain not to belong to a stop string. Once a stop
  /// string has been found, it and what follows are dropped.
  std::string push(std::string_view piece);

  /// Ends the text: returns what was withheld, nothing if a stop string was found. The matcher stays as it
  /// was until `reset`, except that nothing is withheld any more.
  std::string finish();

  /// Forgets the text, to begin another.
  void reset();

  /// Whether a stop string has been found.
  bool stopped() const { return matched_.has_value(); }

  /// The index of the stop string that was found.
  std::optional<std::size_t> matched() const { return matched_; }

  const std::vector<std::string>& stop_strings() const { return stop_strings_; }

 private:
  struct Edge {
    char byte;
    std::int32_t node;
  };
  struct Node {
    std::vector<Edge> edges;
    std::int32_t fallback = 0;
    std::int32_t stop = -1;  ///< The longest stop string that ends here.
    std::int32_t depth = 0;
    std::int32_t prefix_of = 0;  ///< A stop string that begins with the text that leads here.
  };

  std::int32_t child(std::int32_t node, char byte) const;
  std::int32_t advance(std::int32_t node, char byte) const;
  std::string_view withheld() const;

  std::vector<std::string> stop_strings_;
  std::vector<Node> nodes_;
  std::int32_t state_ = 0;
  std::optional<std::size_t> matched_;
};

}  // namespace lazuli::lm
