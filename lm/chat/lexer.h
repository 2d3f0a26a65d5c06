#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli::lm::chat {

enum class TokenKind {
  data,         // text outside of tags
  print_begin,  // {{
  print_end,    // }}
  block_begin,  // {%
  block_end,    // %}
  name,
  text,     // a string literal; its value
  integer,  // its digits
  real,
  sign,  // an operator or bracket
  end,
};

struct Token {
  TokenKind kind;
  std::string text;
  int line;
};

/// Throws the std::runtime_error for an error in a template: `[chat template] line 12: message`.
[[noreturn]] void throw_syntax_error(int line, std::string_view message);

/// Splits a template into tokens, the last of which is `end`. White space around tags is treated as Jinja
/// does with `trim_blocks` and `lstrip_blocks` set, and one newline at the end of the template is dropped.
/// Comments are left out. Throws std::runtime_error where the template has no valid token.
std::vector<Token> tokenize(std::string_view source);

/// What a token is called in error messages.
std::string describe(const Token& token);

}  // namespace lazuli::lm::chat
