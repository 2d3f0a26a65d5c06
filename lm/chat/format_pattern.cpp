#include <lazuli/lm/chat/attributes.h>
#include <lazuli/lm/chat/format.h>
#include <lazuli/lm/chat/text.h>

#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace lazuli::lm::chat {
namespace {

constexpr int kMaxWidth = 1'000'000;
constexpr int kMaxPrecision = 300;

/// How one value is to be written, in the terms that `%` patterns and str.format have in common.
struct Spec {
  std::string fill = " ";
  char align = 0;  // < > ^ = or 0 for the type's own
  char sign = '-';
  bool alternate = false;
  bool grouped = false;
  int width = 0;
  int precision = -1;
  char type = 0;
};

// Reads a decimal number at `at`, which moves behind it.
int read_number(std::string_view text, std::size_t& at, int limit) {
  int value = 0;
  while (at < text.size() && is_digit(static_cast<unsigned char>(text[at]))) {
    value = value * 10 + (text[at++] - '0');
    if (value > limit) throw EvalError("a width or precision in a format is too large");
  }
  return value;
}

std::string group_digits(std::string digits) {
  std::size_t end = digits.find_first_not_of("0123456789");
  if (end == std::string::npos) end = digits.size();
  for (std::size_t at = end; at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string integer_digits(std::uint64_t magnitude, const Spec& spec) {
  switch (spec.type) {
    case 'x':
      return fmt::format("{}{:x}", spec.alternate ? "0x" : "", magnitude);
    case 'X':
      return fmt::format("{}{:X}", spec.alternate ? "0X" : "", magnitude);
    case 'o':
      return fmt::format("{}{:o}", spec.alternate ? "0o" : "", magnitude);
    case 'b':
      return fmt::format("{}{:b}", spec.alternate ? "0b" : "", magnitude);
    default:
      return fmt::format("{}", magnitude);
  }
}

std::string real_digits(double magnitude, const Spec& spec) {
  const int precision = spec.precision < 0 ? 6 : spec.precision;
  switch (spec.type) {
    case 'e':
      return fmt::format("{:.{}e}", magnitude, precision);
    case 'E':
      return fmt::format("{:.{}E}", magnitude, precision);
    case 'g':
      return fmt::format("{:.{}g}", magnitude, precision);
    case 'G':
      return fmt::format("{:.{}G}", magnitude, precision);
    case '%':
      return fmt::format("{:.{}f}%", magnitude * 100, precision);
    case 0:
      return spec.precision < 0 ? real_to_text(magnitude) : fmt::format("{:.{}g}", magnitude, spec.precision);
    default:
      return fmt::format("{:.{}f}", magnitude, precision);
  }
}

std::string place(const std::string& sign, const std::string& body, const Spec& spec, char own_align) {
  const char align = spec.align != 0 ? spec.align : own_align;
  if (align == '=') {
    const std::int64_t width = spec.width - static_cast<std::int64_t>(sign.size());
    return sign + pad(body, width, spec.fill, Side::right);
  }
  return pad(sign + body, spec.width, spec.fill,
             align == '<'   ? Side::left
             : align == '^' ? Side::both
                            : Side::right);
}

std::string format_number(const Value& value, const Spec& spec) {
  const bool as_real =
      value.is(Kind::real) || std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos;
  bool negative = false;
  std::string digits;
  if (as_real && (spec.type != 0 || value.is(Kind::real))) {
    negative = std::signbit(value.as_real());
    digits = real_digits(std::abs(value.as_real()), spec);
  } else {
    const std::int64_t number = value.as_integer();
    negative = number < 0;
    digits = integer_digits(
        negative ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number), spec);
  }
  if (spec.grouped) digits = group_digits(std::move(digits));
  const std::string sign = negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  return place(sign, digits, spec, '>');
}

std::string format_text(const std::string& text, const Spec& spec) {
  if (spec.precision < 0) return place("", text, spec, '<');
  return place("", to_utf8(to_code_points(text).substr(0, static_cast<std::size_t>(spec.precision))), spec,
               '<');
}

// The part of a `%` pattern between the percent sign and the type.
Spec read_percent_spec(std::string_view pattern, std::size_t& at) {
  Spec spec;
  spec.align = '>';
  for (; at < pattern.size(); ++at) {
    const char flag = pattern[at];
    if (flag == '-') {
      spec.align = '<';
    } else if (flag == '0' && spec.align != '<') {
      spec.align = '=';
      spec.fill = "0";
    } else if (flag == '+' || flag == ' ') {
      spec.sign = flag;
    } else if (flag == '#') {
      spec.alternate = true;
    } else {
      break;
    }
  }
  if (spec.align == '<') spec.fill = " ";
  spec.width = read_number(pattern, at, kMaxWidth);
  if (at < pattern.size() && pattern[at] == '.') spec.precision = read_number(pattern, ++at, kMaxPrecision);
  if (at >= pattern.size()) throw EvalError("incomplete format");
  spec.type = pattern[at++];
  return spec;
}

std::string format_percent_value(const Value& value, Spec spec) {
  switch (spec.type) {
    case 's':
    case 'r':
    case 'a':
      if (spec.align == '=') spec.align = '>';
      spec.fill = " ";
      return format_text(spec.type == 's' ? to_text(value) : to_repr(value), spec);
    case 'c':
      return format_text(value.is(Kind::text)
                             ? value.as_text()
                             : to_utf8(std::u32string(1, static_cast<char32_t>(expect_integer(value)))),
                         spec);
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
      if (!value.is_number()) {
        throw EvalError(
            fmt::format("%{} format: a real number is required, not {}", spec.type, value.type_name()));
      }
      if (value.is(Kind::real)) {
        if (!(std::abs(value.as_real()) < 9e18)) throw EvalError("cannot convert float to integer");
        return format_number(Value::integer(static_cast<std::int64_t>(value.as_real())), spec);
      }
      return format_number(value, spec);
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
      if (!value.is_number()) throw EvalError(fmt::format("must be real number, not {}", value.type_name()));
      return format_number(value, spec);
    default:
      throw EvalError(fmt::format("unsupported format character '{}'", spec.type));
  }
}

// What follows the colon in a replacement field of str.format.
Spec read_brace_spec(std::string_view text) {
  Spec spec;
  const std::u32string points = to_code_points(text.substr(0, 8));
  auto is_align = [](char32_t c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  std::size_t at = 0;
  if (points.size() > 1 && is_align(points[1])) {
    spec.fill = to_utf8(points.substr(0, 1));
    spec.align = static_cast<char>(points[1]);
    at = spec.fill.size() + 1;
  } else if (!points.empty() && is_align(points[0])) {
    spec.align = static_cast<char>(points[0]);
    at = 1;
  }
  auto accept = [&](std::string_view set) {
    return at < text.size() && set.find(text[at]) != std::string_view::npos;
  };
  if (accept("+- ")) spec.sign = text[at++];
  if (accept("#")) spec.alternate = true, ++at;
  if (accept("0")) {
    ++at;
    if (spec.align == 0) {
      spec.align = '=';
      spec.fill = "0";
    }
  }
  spec.width = read_number(text, at, kMaxWidth);
  if (accept(",_")) spec.grouped = true, ++at;
  if (accept(".")) spec.precision = read_number(text, ++at, kMaxPrecision);
  if (at < text.size()) spec.type = text[at++];
  if (at != text.size()) throw EvalError("Invalid format specifier");
  return spec;
}

std::string format_brace_value(const Value& value, std::string_view text) {
  if (text.empty()) return to_text(value);
  const Spec spec = read_brace_spec(text);
  const bool numeric = value.is_number() && !(value.is(Kind::boolean) && spec.type == 0) && spec.type != 's';
  if (numeric) {
    if (spec.type != 0 && std::string_view("dxXobeEfFgGn%").find(spec.type) == std::string_view::npos) {
      throw EvalError(
          fmt::format("Unknown format code '{}' for object of type '{}'", spec.type, value.type_name()));
    }
    if (value.is(Kind::real) && std::string_view("dxXob").find(spec.type) != std::string_view::npos &&
        spec.type != 0) {
      throw EvalError(fmt::format("Unknown format code '{}' for object of type 'float'", spec.type));
    }
    return format_number(value, spec);
  }
  if (spec.type != 0 && spec.type != 's') {
    throw EvalError(
        fmt::format("Unknown format code '{}' for object of type '{}'", spec.type, value.type_name()));
  }
  return format_text(to_text(value), spec);
}

/// Looks up the fields of a str.format pattern: numbers, names, and attributes and items of these.
class FieldReader {
 public:
  explicit FieldReader(const CallArgs& args) : args_(args) {}

  Value read(std::string_view field) {
    std::size_t at = field.find_first_of(".[");
    if (at == std::string_view::npos) at = field.size();
    Value value = first(field.substr(0, at));
    while (at < field.size()) {
      if (field[at] == '[') {
        const std::size_t close = field.find(']', at);
        if (close == std::string_view::npos) throw EvalError("expected ']' in a format");
        const std::string key(field.substr(at + 1, close - at - 1));
        const std::optional<std::int64_t> index = parse_integer(key, 10);
        value = get_item(value, index ? Value::integer(*index) : Value::text(key));
        at = close + 1;
      } else if (field[at] == '.') {
        std::size_t end = field.find_first_of(".[", at + 1);
        if (end == std::string_view::npos) end = field.size();
        value = get_attribute(value, std::string(field.substr(at + 1, end - at - 1)));
        at = end;
      } else {
        throw EvalError("only '.' or '[' may follow ']' in a format");
      }
    }
    if (value.is(Kind::undefined)) throw EvalError(value.hint());
    return value;
  }

 private:
  Value first(std::string_view name) {
    std::optional<std::int64_t> index = parse_integer(name, 10);
    if (name.empty()) index = next_++;
    if (index) {
      if (*index < 0 || static_cast<std::size_t>(*index) >= args_.positional.size()) {
        throw EvalError(fmt::format("Replacement index {} out of range for positional args tuple", *index));
      }
      return args_.positional[static_cast<std::size_t>(*index)];
    }
    for (const auto& [key, value] : args_.named) {
      if (key == name) return value;
    }
    throw EvalError(fmt::format("no argument is named '{}'", name));
  }

  const CallArgs& args_;
  std::int64_t next_ = 0;
};

}  // namespace

std::string format_percent(Runtime& runtime, const std::string& pattern, const Value& argument) {
  const bool many = argument.is(Kind::sequence) && argument.as_sequence().kind == SequenceKind::tuple;
  const std::vector<Value> values = many ? argument.as_sequence().items : std::vector<Value>{argument};
  std::size_t next = 0;
  bool named = false;
  std::string out;
  for (std::size_t at = 0; at < pattern.size();) {
    if (pattern[at] != '%') {
      out += pattern[at++];
      continue;
    }
    if (++at >= pattern.size()) throw EvalError("incomplete format");
    if (pattern[at] == '%') {
      out += pattern[at++];
      continue;
    }
    Value value;
    if (pattern[at] == '(') {
      const std::size_t close = pattern.find(')', at);
      if (close == std::string::npos) throw EvalError("incomplete format key");
      if (!argument.is(Kind::dict)) throw EvalError("format requires a mapping");
      const std::string key = pattern.substr(at + 1, close - at - 1);
      const Value* found = argument.as_dict().find(key);
      if (found == nullptr) throw EvalError(fmt::format("'{}'", key));
      value = *found;
      named = true;
      at = close + 1;
    } else {
      if (next >= values.size()) throw EvalError("not enough arguments for format string");
      value = values[next++];
    }
    const Spec spec = read_percent_spec(pattern, at);
    out += format_percent_value(value, spec);
    runtime.charge(out.size());
  }
  if (!named && next < values.size() && !argument.is(Kind::dict)) {
    throw EvalError("not all arguments converted during string formatting");
  }
  return out;
}

std::string format_braces(Runtime& runtime, const std::string& pattern, const CallArgs& args) {
  FieldReader fields(args);
  std::string out;
  for (std::size_t at = 0; at < pattern.size();) {
    const char c = pattern[at++];
    if (c != '{' && c != '}') {
      out += c;
      continue;
    }
    if (at < pattern.size() && pattern[at] == c) {
      out += pattern[at++];
      continue;
    }
    if (c == '}') throw EvalError("Single '}' encountered in format string");
    std::size_t close = at;
    while (close < pattern.size() && pattern[close] != '}' && pattern[close] != '{') ++close;
    if (close == pattern.size()) throw EvalError("expected '}' before end of string");
    if (pattern[close] == '{') throw EvalError("nested fields in a format are not supported");
    std::string_view field(pattern.data() + at, close - at);
    at = close + 1;
    const std::size_t colon = field.find(':');
    const std::string_view spec = colon == std::string_view::npos ? "" : field.substr(colon + 1);
    field = field.substr(0, colon);
    const std::size_t mark = field.find('!');
    const std::string_view conversion = mark == std::string_view::npos ? "" : field.substr(mark + 1);
    Value value = fields.read(field.substr(0, mark));
    if (conversion == "r" || conversion == "a") {
      value = Value::text(to_repr(value));
    } else if (conversion == "s") {
      value = Value::text(to_text(value));
    } else if (mark != std::string_view::npos) {
      throw EvalError("unknown conversion in a format");
    }
    out += format_brace_value(value, spec);
    runtime.charge(out.size());
  }
  return out;
}

}  // namespace lazuli::lm::chat
