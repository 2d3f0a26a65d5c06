#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Strings as templates see them: sequences of Unicode code points, stored as UTF-8.
namespace lazuli::lm::chat {

/// Decodes UTF-8. A byte that is not part of valid UTF-8 becomes the code point 0xDC00 + byte, which
/// `to_utf8` turns back into that byte, so nothing is lost on the way.
std::u32string to_code_points(std::string_view bytes);

/// The inverse of `to_code_points`.
std::string to_utf8(std::u32string_view points);

/// Appends one code point as UTF-8.
void append_utf8(std::string& out, char32_t point);

bool is_ascii(std::string_view bytes);

/// Number of code points.
std::size_t text_length(std::string_view bytes);

/// The code points for which Python's str.isspace() holds.
bool is_space(char32_t point);
bool is_digit(char32_t point);

/// Letters; outside ASCII everything but spaces, controls, symbols and punctuation of the common blocks.
bool is_alpha(char32_t point);

/// Simple case mapping of the Latin, Greek, Cyrillic, Armenian and full-width letters; others stay as they
/// are.
char32_t to_upper(char32_t point);
char32_t to_lower(char32_t point);
bool is_upper(char32_t point);
bool is_lower(char32_t point);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
/// As Python's str.title(): a letter is upper case where no letter precedes it.
std::string title(std::string_view text);
std::string swapcase(std::string_view text);

enum class Side { both, left, right };

/// Removes white space, or the code points in `characters`, from the ends of `text`.
std::string_view strip(std::string_view text, Side side, std::optional<std::string_view> characters = {});

/// Splits at runs of white space, at most `limit` times (negative: no limit), from the left or from the
/// right.
std::vector<std::string> split_space(std::string_view text, std::int64_t limit, bool from_right);

/// Splits at `separator`, which must not be empty.
std::vector<std::string> split_at(std::string_view text, std::string_view separator, std::int64_t limit,
                                  bool from_right);

std::vector<std::string> split_lines(std::string_view text, bool keep_ends);

/// Replaces the first `limit` occurrences (negative: all). An empty `from` matches around every code point.
std::string replace(std::string_view text, std::string_view from, std::string_view to, std::int64_t limit);

/// Number of non-overlapping occurrences.
std::size_t count_occurrences(std::string_view text, std::string_view what);

/// Pads with `fill` up to `width` code points; `Side::both` centers the way Python does.
std::string pad(std::string_view text, std::int64_t width, std::string_view fill, Side text_at);

/// Replaces & < > " ' by HTML entities.
std::string escape_html(std::string_view text);

/// Reads a whole string as Python's int(text, base) does. Empty if it is no integer or does not fit.
std::optional<std::int64_t> parse_integer(std::string_view text, int base);

/// Reads a whole string as Python's float(text) does.
std::optional<double> parse_real(std::string_view text);

}  // namespace lazuli::lm::chat
