#include <lazuli/lm/chat/format.h>
#include <lazuli/lm/chat/text.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace lazuli::lm::chat {
namespace {

// Shared parts can make the text of a small value exponentially long.
constexpr std::size_t kMaxSize = std::size_t{32} << 20;

void append_text_repr(std::string& out, std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos;
  const char quote = single && text.find('"') == std::string_view::npos ? '"' : '\'';
  out += quote;
  for (char32_t c : to_code_points(text)) {
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out += '\\';
      append_utf8(out, c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20 || (c >= 0x7F && c <= 0xA0) || c == 0xAD) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    } else if (is_space(c) && c != ' ') {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      append_utf8(out, c);
    }
  }
  out += quote;
}

class ReprWriter {
 public:
  void write(const Value& value) {
    if (out.size() > kMaxSize) throw EvalError("a text grows too large");
    switch (value.kind()) {
      case Kind::undefined:
        out += "Undefined";
        break;
      case Kind::none:
        out += "None";
        break;
      case Kind::boolean:
        out += value.as_boolean() ? "True" : "False";
        break;
      case Kind::integer:
        out += fmt::format("{}", value.as_integer());
        break;
      case Kind::real:
        out += real_to_text(value.as_real());
        break;
      case Kind::text:
        if (value.is_safe()) out += "Markup(";
        append_text_repr(out, value.as_text());
        if (value.is_safe()) out += ")";
        break;
      case Kind::sequence:
        write_sequence(value.as_sequence());
        break;
      case Kind::dict:
        write_dict(value.as_dict());
        break;
      case Kind::object:
        out += value.as_object()->repr();
        break;
    }
  }

  std::string out;

 private:
  void write_sequence(const Sequence& sequence) {
    switch (sequence.kind) {
      case SequenceKind::list:
        return write_items(sequence, "[", "]");
      case SequenceKind::tuple:
        return write_items(sequence, "(", sequence.items.size() == 1 ? ",)" : ")");
      case SequenceKind::view:
        return write_items(sequence, sequence.type_name + "([", "])");
      case SequenceKind::generator:
        out += fmt::format("<{} object>", sequence.type_name);
        return;
      case SequenceKind::range:
        return write_range(sequence.items);
    }
  }

  void write_items(const Sequence& sequence, std::string_view open, std::string_view close) {
    out += open;
    for (std::size_t i = 0; i < sequence.items.size(); ++i) {
      if (i > 0) out += ", ";
      write(sequence.items[i]);
    }
    out += close;
  }

  void write_range(const std::vector<Value>& items) {
    const std::int64_t first = items.empty() ? 0 : items.front().as_integer();
    const std::int64_t step = items.size() < 2 ? 1 : items[1].as_integer() - first;
    const std::int64_t end = items.empty() ? 0 : items.back().as_integer() + step;
    out += step == 1 ? fmt::format("range({}, {})", first, end)
                     : fmt::format("range({}, {}, {})", first, end, step);
  }

  void write_dict(const Dict& dict) {
    out += "{";
    bool first = true;
    for (const auto& [key, item] : dict.entries()) {
      if (!std::exchange(first, false)) out += ", ";
      write(key);
      out += ": ";
      write(item);
    }
    out += "}";
  }
};

class JsonWriter {
 public:
  explicit JsonWriter(const JsonStyle& style) : style_(style) {}

  void write(const Value& value, int level) {
    if (out.size() > kMaxSize) throw EvalError("a text grows too large");
    switch (value.kind()) {
      case Kind::none:
        out += "null";
        return;
      case Kind::boolean:
        out += value.as_boolean() ? "true" : "false";
        return;
      case Kind::integer:
        out += fmt::format("{}", value.as_integer());
        return;
      case Kind::real:
        write_real(value.as_real());
        return;
      case Kind::text:
        write_text(value.as_text());
        return;
      case Kind::dict:
        write_dict(value.as_dict(), level);
        return;
      case Kind::sequence:
        if (value.is_list_or_tuple()) return write_list(value.as_sequence().items, level);
        break;
      default:
        break;
    }
    throw EvalError(fmt::format("Object of type {} is not JSON serializable", value.type_name()));
  }

  std::string out;

 private:
  void write_real(double value) {
    if (std::isnan(value)) {
      out += "NaN";
    } else if (std::isinf(value)) {
      out += value < 0 ? "-Infinity" : "Infinity";
    } else {
      out += real_to_text(value);
    }
  }

  void write_text(std::string_view text) {
    out += '"';
    if (style_.ensure_ascii) {
      for (char32_t c : to_code_points(text)) write_ascii(c);
    } else {
      for (char c : text) {
        if (!write_escape(static_cast<unsigned char>(c))) out += c;
      }
    }
    out += '"';
  }

  void write_ascii(char32_t c) {
    if (write_escape(c)) return;
    if (c < 0x7F) {
      out += static_cast<char>(c);
    } else if (c < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      const unsigned rest = static_cast<unsigned>(c) - 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
    }
  }

  bool write_escape(char32_t c) {
    switch (c) {
      case '"':
        out += "\\\"";
        return true;
      case '\\':
        out += "\\\\";
        return true;
      case '\n':
        out += "\\n";
        return true;
      case '\r':
        out += "\\r";
        return true;
      case '\t':
        out += "\\t";
        return true;
      case '\b':
        out += "\\b";
        return true;
      case '\f':
        out += "\\f";
        return true;
      default:
        break;
    }
    if (c >= 0x20) return false;
    out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    return true;
  }

  void new_line(int level) {
    if (!style_.indent) return;
    out += '\n';
    for (int i = 0; i < level; ++i) out += *style_.indent;
  }

  void write_list(const std::vector<Value>& items, int level) {
    if (items.empty()) {
      out += "[]";
      return;
    }
    out += '[';
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += style_.item_separator;
      new_line(level + 1);
      write(items[i], level + 1);
    }
    new_line(level);
    out += ']';
  }

  static std::string key_text(const Value& key) {
    switch (key.kind()) {
      case Kind::text:
        return key.as_text();
      case Kind::none:
        return "null";
      case Kind::boolean:
        return key.as_boolean() ? "true" : "false";
      case Kind::integer:
      case Kind::real:
        return to_text(key);
      default:
        break;
    }
    throw EvalError(fmt::format("keys must be str, int, float, bool or None, not {}", key.type_name()));
  }

  void write_dict(const Dict& dict, int level) {
    if (dict.size() == 0) {
      out += "{}";
      return;
    }
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries()) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [](const auto* a, const auto* b) { return less(a->first, b->first); });
    }
    out += '{';
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out += style_.item_separator;
      new_line(level + 1);
      write_text(key_text(entries[i]->first));
      out += style_.key_separator;
      write(entries[i]->second, level + 1);
    }
    new_line(level);
    out += '}';
  }

  const JsonStyle& style_;
};

}  // namespace

std::string to_text(const Value& value) {
  if (value.is(Kind::text)) return value.as_text();
  if (value.is(Kind::undefined)) return "";
  return to_repr(value);
}

std::string to_repr(const Value& value) {
  ReprWriter writer;
  writer.write(value);
  return std::move(writer.out);
}

std::string real_to_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  if (value == 0) return std::signbit(value) ? "-0.0" : "0.0";
  char buffer[64];
  const auto [end, error] =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string_view digits(buffer, static_cast<std::size_t>(end - buffer));
  if (error != std::errc()) return "nan";
  std::string sign;
  if (digits.front() == '-') {
    sign = "-";
    digits.remove_prefix(1);
  }
  const std::size_t mark = digits.find('e');
  const int exponent = static_cast<int>(*parse_integer(digits.substr(mark + 1), 10));
  std::string mantissa(1, digits[0]);
  if (mark > 2) mantissa += digits.substr(2, mark - 2);
  const int count = static_cast<int>(mantissa.size());
  if (exponent < -4 || exponent >= 16) {
    if (count > 1) mantissa.insert(1, ".");
    return fmt::format("{}{}e{}{:02}", sign, mantissa, exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + mantissa;
  if (count <= exponent + 1)
    return sign + mantissa + std::string(static_cast<std::size_t>(exponent + 1 - count), '0') + ".0";
  mantissa.insert(static_cast<std::size_t>(exponent) + 1, ".");
  return sign + mantissa;
}

std::string to_json(const Value& value, const JsonStyle& style) {
  JsonWriter writer(style);
  writer.write(value, 0);
  return std::move(writer.out);
}

}  // namespace lazuli::lm::chat
