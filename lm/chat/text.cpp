#include <lazuli/lm/chat/text.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

namespace lazuli::lm::chat {
namespace {

constexpr char32_t kByteEscape = 0xDC00;

// Length of the valid UTF-8 sequence at `at`, or 0; its code point goes to `point`.
std::size_t decode_one(std::string_view bytes, std::size_t at, char32_t& point) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned lead = byte(at);
  if (lead < 0x80) {
    point = lead;
    return 1;
  }
  const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || at + size > bytes.size()) return 0;
  char32_t value = lead & (0xFFu >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return 0;
    value = (value << 6) | (byte(at + i) & 0x3F);
  }
  const bool overlong = (size == 3 && value < 0x800) || (size == 4 && value < 0x10000);
  if (overlong || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return 0;
  point = value;
  return size;
}

template <typename Map>
std::string map_points(std::string_view text, Map map) {
  std::string out;
  out.reserve(text.size());
  for (char32_t point : to_code_points(text)) map(out, point);
  return out;
}

void append_upper(std::string& out, char32_t point) {
  if (point == 0xDF) {
    out += "SS";
  } else {
    append_utf8(out, to_upper(point));
  }
}

bool is_cased(char32_t point) {
  return is_upper(point) || is_lower(point);
}

// Blocks in which upper and lower case alternate, the upper case letter at even (or odd) code points.
struct Alternating {
  char32_t first, last;
  bool upper_is_even;
};
constexpr Alternating kAlternating[] = {{0x100, 0x12F, true}, {0x132, 0x137, true},   {0x139, 0x148, false},
                                        {0x14A, 0x177, true}, {0x179, 0x17E, false},  {0x1CD, 0x1DC, false},
                                        {0x1DE, 0x1EF, true}, {0x1F8, 0x21F, true},   {0x222, 0x233, true},
                                        {0x460, 0x481, true}, {0x48A, 0x4BF, true},   {0x4C1, 0x4CE, false},
                                        {0x4D0, 0x52F, true}, {0x1E00, 0x1E95, true}, {0x1EA0, 0x1EFF, true}};

// Blocks in which the lower case letter stands a fixed distance behind the upper case one.
struct Shifted {
  char32_t first, last, distance;
};
constexpr Shifted kShifted[] = {{'A', 'Z', 32},     {0xC0, 0xD6, 32},     {0xD8, 0xDE, 32},
                                {0x391, 0x3A1, 32}, {0x3A3, 0x3AB, 32},   {0x388, 0x38A, 37},
                                {0x386, 0x386, 38}, {0x38C, 0x38C, 64},   {0x38E, 0x38F, 63},
                                {0x410, 0x42F, 32}, {0x400, 0x40F, 80},   {0x4C0, 0x4C0, 15},
                                {0x531, 0x556, 48}, {0xFF21, 0xFF3A, 32}, {0x178, 0x178, 0xFFFFFF87}};

}  // namespace

void append_utf8(std::string& out, char32_t point) {
  auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0 | (point >> 6));
    put(0x80 | (point & 0x3F));
  } else if (point > kByteEscape && point <= kByteEscape + 0xFF) {
    put(point - kByteEscape);
  } else if (point < 0x10000) {
    put(0xE0 | (point >> 12));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
  } else {
    put(0xF0 | (point >> 18));
    put(0x80 | ((point >> 12) & 0x3F));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
  }
}

std::u32string to_code_points(std::string_view bytes) {
  std::u32string out;
  out.reserve(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    char32_t point = 0;
    std::size_t size = decode_one(bytes, at, point);
    if (size == 0) {
      point = kByteEscape + static_cast<unsigned char>(bytes[at]);
      size = 1;
    }
    out.push_back(point);
    at += size;
  }
  return out;
}

std::string to_utf8(std::u32string_view points) {
  std::string out;
  out.reserve(points.size());
  for (char32_t point : points) append_utf8(out, point);
  return out;
}

bool is_ascii(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::size_t text_length(std::string_view bytes) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < bytes.size(); ++count) {
    char32_t point = 0;
    at += std::max<std::size_t>(1, decode_one(bytes, at, point));
  }
  return count;
}

bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_digit(char32_t c) {
  return c >= '0' && c <= '9';
}

bool is_alpha(char32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  if (c < 0xC0) return c == 0xAA || c == 0xB5 || c == 0xBA;
  const bool symbol = c == 0xD7 || c == 0xF7 || (c >= 0x2000 && c <= 0x2BFF) ||
                      (c >= 0x3000 && c <= 0x3004) || (c >= 0x3008 && c <= 0x3030) ||
                      (c >= 0xD800 && c <= 0xF8FF) || (c >= 0xFF00 && c <= 0xFF20) ||
                      (c >= 0xFF3B && c <= 0xFF40) || (c >= 0xFF5B && c <= 0xFF65) || c >= 0xFFE0;
  return !symbol && !is_space(c);
}

char32_t to_lower(char32_t c) {
  if (c == 0x130) return 'i';
  for (const Shifted& block : kShifted) {
    if (c >= block.first && c <= block.last) return c + block.distance;
  }
  for (const Alternating& block : kAlternating) {
    if (c >= block.first && c <= block.last) return ((c % 2 == 0) == block.upper_is_even) ? c + 1 : c;
  }
  return c;
}

char32_t to_upper(char32_t c) {
  if (c == 0xB5) return 0x39C;
  if (c == 0x131) return 'I';
  if (c == 0x17F) return 'S';
  if (c == 0x3C2) return 0x3A3;
  for (const Shifted& block : kShifted) {
    if (c >= block.first + block.distance && c <= block.last + block.distance) return c - block.distance;
  }
  for (const Alternating& block : kAlternating) {
    if (c >= block.first && c <= block.last) return ((c % 2 == 0) == block.upper_is_even) ? c : c - 1;
  }
  return c;
}

bool is_upper(char32_t c) {
  return to_lower(c) != c;
}
bool is_lower(char32_t c) {
  return to_upper(c) != c || c == 0xDF;
}

std::string upper(std::string_view text) {
  return map_points(text, append_upper);
}

std::string lower(std::string_view text) {
  return map_points(text, [](std::string& out, char32_t c) { append_utf8(out, to_lower(c)); });
}

std::string capitalize(std::string_view text) {
  bool first = true;
  return map_points(text, [&](std::string& out, char32_t c) {
    append_utf8(out, std::exchange(first, false) ? to_upper(c) : to_lower(c));
  });
}

std::string title(std::string_view text) {
  bool inside = false;
  return map_points(text, [&](std::string& out, char32_t c) {
    append_utf8(out, inside ? to_lower(c) : to_upper(c));
    inside = is_cased(c);
  });
}

std::string swapcase(std::string_view text) {
  return map_points(text, [](std::string& out, char32_t c) {
    if (is_upper(c)) {
      append_utf8(out, to_lower(c));
    } else {
      append_upper(out, c);
    }
  });
}

std::string_view strip(std::string_view text, Side side, std::optional<std::string_view> characters) {
  const std::u32string set = characters ? to_code_points(*characters) : std::u32string();
  auto drop = [&](char32_t c) { return characters ? set.find(c) != std::u32string::npos : is_space(c); };
  auto read = [&](std::size_t at, char32_t& point) {
    const std::size_t size = decode_one(text, at, point);
    if (size == 0) point = kByteEscape + static_cast<unsigned char>(text[at]);
    return std::max<std::size_t>(1, size);
  };
  char32_t point = 0;
  if (side != Side::right) {
    while (!text.empty()) {
      const std::size_t size = read(0, point);
      if (!drop(point)) break;
      text.remove_prefix(size);
    }
  }
  if (side != Side::left) {
    while (!text.empty()) {
      std::size_t at = text.size() - 1;
      for (std::size_t back = 0; back < 3 && at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
           ++back) {
        --at;
      }
      // Broken UTF-8 at the end: look at the last byte alone.
      if (read(at, point) != text.size() - at) read(at = text.size() - 1, point);
      if (!drop(point)) break;
      text.remove_suffix(text.size() - at);
    }
  }
  return text;
}

std::vector<std::string> split_space(std::string_view text, std::int64_t limit, bool from_right) {
  std::vector<std::string> out;
  const std::u32string points = to_code_points(strip(text, from_right ? Side::right : Side::left));
  std::u32string_view rest = points;
  while (!rest.empty() && (limit < 0 || static_cast<std::int64_t>(out.size()) < limit)) {
    if (from_right) {
      std::size_t begin = rest.size();
      while (begin > 0 && !is_space(rest[begin - 1])) --begin;
      out.push_back(to_utf8(rest.substr(begin)));
      while (begin > 0 && is_space(rest[begin - 1])) --begin;
      rest = rest.substr(0, begin);
    } else {
      std::size_t end = 0;
      while (end < rest.size() && !is_space(rest[end])) ++end;
      out.push_back(to_utf8(rest.substr(0, end)));
      while (end < rest.size() && is_space(rest[end])) ++end;
      rest = rest.substr(end);
    }
  }
  // Behind the last split the white space at the far end stays.
  if (!rest.empty()) out.push_back(to_utf8(rest));
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string> split_at(std::string_view text, std::string_view separator, std::int64_t limit,
                                  bool from_right) {
  std::vector<std::string> out;
  while (limit < 0 || static_cast<std::int64_t>(out.size()) < limit) {
    const std::size_t at = from_right ? text.rfind(separator) : text.find(separator);
    if (at == std::string_view::npos) break;
    if (from_right) {
      out.emplace_back(text.substr(at + separator.size()));
      text = text.substr(0, at);
    } else {
      out.emplace_back(text.substr(0, at));
      text = text.substr(at + separator.size());
    }
  }
  out.emplace_back(text);
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string> split_lines(std::string_view text, bool keep_ends) {
  auto breaks = [](char32_t c) {
    return (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
  };
  std::vector<std::string> out;
  const std::u32string points = to_code_points(text);
  std::u32string_view rest = points;
  while (!rest.empty()) {
    std::size_t end = 0;
    while (end < rest.size() && !breaks(rest[end])) ++end;
    std::size_t next = end;
    if (next < rest.size()) next += rest.substr(next, 2) == U"\r\n" ? 2 : 1;
    out.push_back(to_utf8(rest.substr(0, keep_ends ? next : end)));
    rest = rest.substr(next);
  }
  return out;
}

std::string replace(std::string_view text, std::string_view from, std::string_view to, std::int64_t limit) {
  std::string out;
  if (from.empty()) {
    for (char32_t point : to_code_points(text)) {
      if (limit != 0) out += to;
      limit -= limit > 0;
      append_utf8(out, point);
    }
    if (limit != 0) out += to;
    return out;
  }
  while (limit != 0) {
    const std::size_t at = text.find(from);
    if (at == std::string_view::npos) break;
    out += text.substr(0, at);
    out += to;
    text = text.substr(at + from.size());
    limit -= limit > 0;
  }
  out += text;
  return out;
}

std::size_t count_occurrences(std::string_view text, std::string_view what) {
  if (what.empty()) return text_length(text) + 1;
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + what.size()))
    ++count;
  return count;
}

std::string pad(std::string_view text, std::int64_t width, std::string_view fill, Side text_at) {
  const std::int64_t size = static_cast<std::int64_t>(text_length(text));
  if (width <= size) return std::string(text);
  const std::int64_t missing = width - size;
  std::int64_t left = text_at == Side::left ? 0 : missing;
  if (text_at == Side::both) left = missing / 2 + (missing & width & 1);
  std::string out;
  for (std::int64_t i = 0; i < left; ++i) out += fill;
  out += text;
  for (std::int64_t i = left; i < missing; ++i) out += fill;
  return out;
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

namespace {

// Removes surrounding white space and the underscores between digits. False if an underscore stands
// elsewhere.
bool normalize_number(std::string_view text, std::string& out) {
  text = strip(text, Side::both);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '_') {
      auto alnum = [](char c) {
        return is_digit(static_cast<unsigned char>(c)) || is_alpha(static_cast<unsigned char>(c));
      };
      if (i == 0 || i + 1 == text.size() || !alnum(text[i - 1]) || !alnum(text[i + 1])) return false;
    } else {
      out += text[i];
    }
  }
  return !out.empty();
}

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view text, int base) {
  std::string digits;
  if (!normalize_number(text, digits)) return {};
  std::string_view rest = digits;
  const bool negative = rest[0] == '-';
  if (rest[0] == '-' || rest[0] == '+') rest.remove_prefix(1);
  if (rest.size() > 2 && rest[0] == '0') {
    const char mark = static_cast<char>(to_lower(static_cast<unsigned char>(rest[1])));
    const int marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (marked != 0 && (base == marked || base == 0)) {
      base = marked;
      rest.remove_prefix(2);
    }
  }
  if (base == 0) base = 10;
  if (base < 2 || base > 36 || rest.empty() || rest[0] == '-') return {};
  std::uint64_t magnitude = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), magnitude, base);
  if (error != std::errc() || end != rest.data() + rest.size()) return {};
  if (magnitude > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return {};
  const std::int64_t value = static_cast<std::int64_t>(magnitude);
  return negative ? -value : value;
}

std::optional<double> parse_real(std::string_view text) {
  std::string digits;
  if (!normalize_number(text, digits)) return {};
  std::string_view rest = digits;
  const bool negative = rest[0] == '-';
  if (rest[0] == '-' || rest[0] == '+') rest.remove_prefix(1);
  if (rest.empty() || rest[0] == '-') return {};
  double value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error == std::errc::result_out_of_range && end == rest.data() + rest.size()) {
    const bool tiny = rest.find("e-") != std::string_view::npos || rest.find("E-") != std::string_view::npos;
    value = tiny ? 0.0 : std::numeric_limits<double>::infinity();
  } else if (error != std::errc() || end != rest.data() + rest.size()) {
    return {};
  }
  return negative ? -value : value;
}

}  // namespace lazuli::lm::chat
