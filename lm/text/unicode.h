#pragma once

#include <string>
#include <string_view>

namespace lazuli::lm {

/// Unicode properties of one code point (The Unicode Standard, chapter 4).
bool is_white_space(char32_t code);
/// General category N: decimal digits, letter numbers and other numbers.
bool is_numeric(char32_t code);
/// General category P, or an ASCII symbol such as `$` or `+`.
bool is_punctuation(char32_t code);
/// What regular expressions call `\w`: letters, marks, digits, connectors, joiners (Unicode TS #18, annex C).
bool is_word_character(char32_t code);
/// General category M.
bool is_mark(char32_t code);
/// General category Mn.
bool is_nonspacing_mark(char32_t code);
/// General categories Cc, Cf and Co.
bool is_control_format_or_private(char32_t code);

/// Appends the lower case of `code` (full mapping, without regard to its neighbours).
void append_lower_case(std::string& out, char32_t code);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

/// `text`, which must be valid UTF-8, in a normal form of Unicode Standard Annex #15.
std::string normalize_unicode(std::string_view text, NormalForm form);

}  // namespace lazuli::lm
