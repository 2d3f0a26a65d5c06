#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lazuli::lm {

/// The bytes of U+FFFD, which stands for what is not valid UTF-8.
inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

/// Whether `text` is well-formed UTF-8 (The Unicode Standard, table 3-7: no surrogates, no overlong forms).
bool is_valid_utf8(std::string_view text);

/// The length of the longest prefix of `text` that is well-formed UTF-8.
std::size_t valid_utf8_prefix(std::string_view text);

/// `text` with each maximal ill-formed part replaced by U+FFFD, as the W3C and most libraries do.
std::string to_valid_utf8(std::string_view text);

/// Turns a stream of bytes that is cut anywhere into valid UTF-8, never cutting a character. What all calls
/// together append is `to_valid_utf8` of what they were given.
class Utf8Repairer {
 public:
  /// Appends to `out` the text that is certain once `bytes` have come.
  void push(std::string_view bytes, std::string& out);
  /// Ends the stream: an unfinished character becomes U+FFFD.
  void finish(std::string& out);

 private:
  std::string pending_;
};

/// The code point that begins at `position` in valid UTF-8; moves `position` behind it.
inline char32_t next_code_point(std::string_view text, std::size_t& position) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(position);
  if (lead < 0x80) {
    ++position;
    return lead;
  }
  if (lead < 0xE0) {
    const char32_t code = (lead & 0x1Fu) << 6 | (byte(position + 1) & 0x3Fu);
    position += 2;
    return code;
  }
  if (lead < 0xF0) {
    const char32_t code =
        (lead & 0x0Fu) << 12 | (byte(position + 1) & 0x3Fu) << 6 | (byte(position + 2) & 0x3Fu);
    position += 3;
    return code;
  }
  const char32_t code = (lead & 0x07u) << 18 | (byte(position + 1) & 0x3Fu) << 12 |
                        (byte(position + 2) & 0x3Fu) << 6 | (byte(position + 3) & 0x3Fu);
  position += 4;
  return code;
}

/// The code point that ends before `position` (> 0) in valid UTF-8; moves `position` to its first byte.
char32_t previous_code_point(std::string_view text, std::size_t& position);

/// The number of bytes of the character that begins with `lead`, in valid UTF-8.
inline std::size_t utf8_length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

/// Appends the UTF-8 form of `code`, which must be a Unicode scalar value.
void append_utf8(std::string& out, char32_t code);

}  // namespace lazuli::lm
