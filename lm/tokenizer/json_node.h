#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lazuli::lm {

/// A value inside a JSON file together with the path that leads to it. Whatever it does not find as asked it
/// reports as a std::runtime_error that names the path. Refers to the parsed document, which must outlive it.
class JsonNode {
 public:
  JsonNode(const nlohmann::json& value, std::string path, int depth = 0);

  const nlohmann::json& value() const { return *value_; }
  const std::string& path() const { return path_; }

  /// The member `key` of an object; an error if it is missing or null.
  JsonNode member(const char* key) const;
  /// The member `key` of an object, if it is there and not null.
  std::optional<JsonNode> find(const char* key) const;
  /// The number of elements; an error if this is not an array.
  std::size_t size() const;
  /// The element at `index` of an array.
  JsonNode element(std::size_t index) const;

  const std::string& as_string() const;
  bool as_bool() const;
  double as_number() const;
  /// A whole number that is not negative and fits into a token id.
  std::int32_t as_token_id() const;
  /// A whole number that is not negative.
  std::size_t as_size() const;

  /// The one character that this string consists of.
  char32_t as_character() const;

  bool bool_or(const char* key, bool otherwise) const;
  std::string string_or(const char* key, std::string_view otherwise) const;

  /// The member `type`, which says what kind of component an object describes.
  const std::string& type() const;

  /// Throws std::runtime_error with the path and `message`.
  [[noreturn]] void fail(std::string_view message) const;
  /// Throws std::runtime_error because `type` names no known `kind` of component.
  [[noreturn]] void fail_unknown_type(std::string_view kind) const;

 private:
  const nlohmann::json* value_;
  std::string path_;
  int depth_;
};

}  // namespace lazuli::lm
