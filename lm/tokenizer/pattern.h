#pragma once

#include <lazuli/lm/text/regex.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace lazuli::lm {

class JsonNode;

/// What a component looks for: `{"String": …}`, `{"Regex": …}`, or a plain string.
class Pattern {
 public:
  explicit Pattern(const JsonNode& node);
  explicit Pattern(Regex regex) : regex_(std::move(regex)) {}

  /// The leftmost match at or after `from`; false if there is none. A match may be empty if the pattern is a
  /// regular expression.
  bool search(std::string_view text, std::size_t from, std::size_t& begin, std::size_t& end) const;

  /// The string looked for, if this is not a regular expression.
  const std::string* literal() const { return regex_ ? nullptr : &literal_; }

  /// `text` with every match replaced by `content` as it stands.
  std::string replace_all(std::string_view text, std::string_view content) const;

 private:
  std::string literal_;
  std::optional<Regex> regex_;
};

}  // namespace lazuli::lm
