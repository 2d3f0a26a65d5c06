#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <lazuli/lm/chat/runtime.h>
#include <lazuli/lm/chat/value.h>

/// Values as text, the ways Python writes them.
namespace lazuli::lm::chat {

/// Python's str(value). Throws EvalError if the result grows too large.
std::string to_text(const Value& value);

/// Python's repr(value). Throws EvalError if the result grows too large.
std::string to_repr(const Value& value);

/// Python's repr of a float: the shortest decimal that reads back as the same number.
std::string real_to_text(double value);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // what one level is indented by; without it everything is on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

/// Python's json.dumps. Throws EvalError for values that JSON cannot express.
std::string to_json(const Value& value, const JsonStyle& style);

/// Python's `pattern % argument`.
std::string format_percent(Runtime& runtime, const std::string& pattern, const Value& argument);

/// Python's pattern.format(*args, **kwargs).
std::string format_braces(Runtime& runtime, const std::string& pattern, const CallArgs& args);

}  // namespace lazuli::lm::chat
