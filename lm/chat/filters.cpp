#include <lazuli/lm/chat/attributes.h>
#include <lazuli/lm/chat/filters.h>
#include <lazuli/lm/chat/format.h>
#include <lazuli/lm/chat/text.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace lazuli::lm::chat {
namespace {

struct NamedFilter {
  std::string_view name;
  Filter filter;
};

// The input as text, and whether it is marked safe.
Value soft_text(const Value& input) {
  return input.is(Kind::text) ? input : Value::text(to_text(input));
}

Value with_text(const Value& input, std::string text) {
  return Value::text(std::move(text), input.is_safe());
}

template <std::string (*convert)(std::string_view)>
Value converted(Runtime& runtime, const Value& input, const CallArgs& args) {
  Arguments("filter", args, {});
  const std::string text = to_text(input);
  runtime.charge(text.size());
  return with_text(input, convert(text));
}

// Jinja's own: upper case behind white space, hyphens and opening brackets.
std::string title_words(std::string_view text) {
  std::string out;
  bool start = true;
  for (char32_t c : to_code_points(text)) {
    append_utf8(out, start ? to_upper(c) : to_lower(c));
    start = is_space(c) || std::u32string_view(U"-({[<").find(c) != std::u32string_view::npos;
  }
  return out;
}

Value trim(Runtime& runtime, const Value& input, const CallArgs& args) {
  const Arguments given("trim", args, {"chars"});
  const std::string text = to_text(input);
  runtime.charge(text.size());
  if (given.get(0).is(Kind::none)) return with_text(input, std::string(strip(text, Side::both)));
  return with_text(input, std::string(strip(text, Side::both, given.text(0))));
}

Value replaced(Runtime& runtime, const Value& input, const CallArgs& args) {
  const Arguments given("replace", args, {"old", "new", "count"}, 2);
  const std::string text = to_text(input), from = to_text(given[0]), to = to_text(given[1]);
  const std::int64_t limit = given.get(2).is(Kind::none) ? -1 : given.integer(2, -1);
  runtime.charge(text.size() + count_occurrences(text, from) * to.size());
  return Value::text(replace(text, from, to, limit));
}

Value center(Runtime& runtime, const Value& input, const CallArgs& args) {
  const std::int64_t width = Arguments("center", args, {"width"}).integer(0, 80);
  const std::string text = to_text(input);
  runtime.charge(text.size() + static_cast<std::size_t>(std::max<std::int64_t>(width, 0)));
  return with_text(input, pad(text, width, " ", Side::both));
}

Value indent(Runtime& runtime, const Value& input, const CallArgs& args) {
  const Arguments given("indent", args, {"width", "first", "blank"});
  std::string margin;
  if (given.get(0).is(Kind::text)) {
    margin = given.text(0);
  } else {
    const std::int64_t width = std::max<std::int64_t>(0, given.integer(0, 4));
    runtime.charge(static_cast<std::size_t>(width));
    margin.assign(static_cast<std::size_t>(width), ' ');
  }
  const std::vector<std::string> lines = split_lines(to_text(input) + "\n", false);
  const bool blank = given.boolean(2, false);
  std::string out = given.boolean(1, false) ? margin : "";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    runtime.charge(out.size() / 64 + margin.size() + lines[i].size());
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !lines[i].empty())) out += margin;
    out += lines[i];
  }
  runtime.charge(out.size());
  return with_text(input, std::move(out));
}

Value truncate(Runtime& runtime, const Value& input, const CallArgs& args) {
  const Arguments given("truncate", args, {"length", "killwords", "end", "leeway"});
  const std::u32string text = to_code_points(to_text(input));
  runtime.charge(text.size());
  const std::int64_t limit = given.integer(0, 255);
  const std::string end = given.text(2, "...");
  const std::int64_t leeway = given.get(3).is(Kind::none) ? 5 : given.integer(3, 5);
  const std::int64_t end_size = static_cast<std::int64_t>(text_length(end));
  if (limit < end_size || leeway < 0) throw EvalError("truncate() needs a larger length or leeway");
  const std::int64_t size = static_cast<std::int64_t>(text.size());
  if (size <= limit || size - limit <= leeway) return with_text(input, to_utf8(text));
  std::u32string_view kept(text.data(), static_cast<std::size_t>(limit - end_size));
  if (!given.boolean(1, false)) kept = kept.substr(0, kept.rfind(U' '));
  return with_text(input, to_utf8(kept) + end);
}

Value wordcount(Runtime& runtime, const Value& input, const CallArgs& args) {
  Arguments("wordcount", args, {});
  const std::string text = to_text(input);
  runtime.charge(text.size());
  std::int64_t count = 0;
  bool inside = false;
  for (char32_t c : to_code_points(text)) {
    const bool word = is_alpha(c) || is_digit(c) || c == '_';
    count += word && !inside;
    inside = word;
  }
  return Value::integer(count);
}

Value striptags(Runtime& runtime, const Value& input, const CallArgs& args) {
  Arguments("striptags", args, {});
  std::string text = to_text(input);
  runtime.charge(text.size());
  std::string out;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t open = text.find('<', at);
    const bool comment = open != std::string::npos && text.compare(open, 4, "<!--") == 0;
    const std::size_t close = open == std::string::npos ? open : text.find(comment ? "-->" : ">", open);
    if (close == std::string::npos) break;
    out += text.substr(at, open - at);
    at = close + (comment ? 3 : 1);
  }
  out += text.substr(at);
  std::string joined;
  for (const std::string& word : split_space(out, -1, false)) joined += (joined.empty() ? "" : " ") + word;
  return Value::text(joined);
}

Value to_string(Runtime& runtime, const Value& input, const CallArgs& args) {
  Arguments("string", args, {});
  Value text = soft_text(input);
  runtime.charge(text.as_text().size());
  return text;
}

Value mark_safe(Runtime&, const Value& input, const CallArgs&) {
  return Value::text(to_text(input), true);
}

Value escape(Runtime& runtime, const Value& input, const CallArgs&) {
  if (input.is_safe()) return input;
  const std::string text = to_text(input);
  runtime.charge(text.size() * 5);
  return Value::text(escape_html(text), true);
}

Value forceescape(Runtime& runtime, const Value& input, const CallArgs& args) {
  return escape(runtime, Value::text(to_text(input)), args);
}

Value format(Runtime& runtime, const Value& input, const CallArgs& args) {
  if (!args.positional.empty() && !args.named.empty()) {
    throw EvalError("can't handle positional and keyword arguments at the same time");
  }
  if (args.named.empty())
    return Value::text(format_percent(runtime, to_text(input), Value::tuple(args.positional)));
  Dict named;
  for (const auto& [name, value] : args.named) named.set(Value::text(name), value);
  return Value::text(format_percent(runtime, to_text(input), Value::dict(std::move(named))));
}

std::string quote_url(const std::string& text) {
  std::string out;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte < 0x80 && (is_alpha(byte) || is_digit(byte) ||
                                       std::string_view("_.-~/").find(c) != std::string_view::npos);
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return out;
}

Value urlencode(Runtime& runtime, const Value& input, const CallArgs& args) {
  Arguments("urlencode", args, {});
  if (!input.is(Kind::dict) && !input.is(Kind::sequence)) {
    const std::string text = to_text(input);
    runtime.charge(text.size() * 3);
    return Value::text(quote_url(text));
  }
  std::vector<std::pair<Value, Value>> pairs;
  if (input.is(Kind::dict)) {
    pairs = input.as_dict().entries();
  } else {
    for (const Value& item : to_list(input)) {
      const std::vector<Value> parts = to_list(item);
      if (parts.size() != 2) throw EvalError("urlencode needs pairs");
      pairs.emplace_back(parts[0], parts[1]);
    }
  }
  // In a query even slashes are quoted, and spaces become plus signs.
  auto part = [](const Value& value) {
    return replace(replace(quote_url(to_text(value)), "/", "%2F", -1), "%20", "+", -1);
  };
  std::string out;
  for (const auto& [key, value] : pairs) out += (out.empty() ? "" : "&") + part(key) + "=" + part(value);
  runtime.charge(out.size());
  return Value::text(std::move(out));
}

Value tojson(Runtime& runtime, const Value& input, const CallArgs& args) {
  const Arguments given("tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = given.boolean(0, false);
  style.sort_keys = given.boolean(3, false);
  const Value indentation = given.get(1);
  if (indentation.is(Kind::text)) {
    style.indent = indentation.as_text();
  } else if (!indentation.is(Kind::none)) {
    const std::int64_t width = std::max<std::int64_t>(0, expect_integer(indentation));
    runtime.charge(static_cast<std::size_t>(width) * 1024);
    style.indent = std::string(static_cast<std::size_t>(width), ' ');
  }
  if (style.indent) style.item_separator = ",";
  if (const Value separators = given.get(2); !separators.is(Kind::none)) {
    const std::vector<Value> pair = to_list(separators);
    if (pair.size() != 2) throw EvalError("separators must be a pair");
    style.item_separator = expect_text(pair[0], "tojson");
    style.key_separator = expect_text(pair[1], "tojson");
  }
  std::string json = to_json(input, style);
  runtime.charge(json.size());
  return Value::text(std::move(json));
}

Value from_json(Runtime& runtime, const Value& input, const CallArgs& args) {
  Arguments("from_json", args, {});
  const std::string& text = expect_text(input, "from_json");
  runtime.charge(text.size());
  const auto json = nlohmann::ordered_json::parse(text, nullptr, false);
  if (json.is_discarded()) throw EvalError("from_json() argument is no valid JSON");
  return Value::from_json(json);
}

Value defaulted(Runtime&, const Value& input, const CallArgs& args) {
  const Arguments given("default", args, {"default_value", "boolean"});
  const bool replace_it = input.is(Kind::undefined) || (given.boolean(1, false) && !input.truthy());
  if (!replace_it) return input;
  return given.has(0) ? given[0] : Value::text("");
}

Value attribute(Runtime&, const Value& input, const CallArgs& args) {
  const std::string name = to_text(Arguments("attr", args, {"name"}, 1)[0]);
  if (input.is(Kind::undefined)) throw EvalError(input.hint());
  if (input.is(Kind::dict)) {
    // Entries are no attributes.
    const Value plain = get_attribute(Value::dict(Dict()), name);
    if (plain.is(Kind::undefined)) return plain;
  }
  return get_attribute(input, name);
}

Value absolute(Runtime&, const Value& input, const CallArgs&) {
  if (input.is(Kind::undefined)) throw EvalError(input.hint());
  if (input.is(Kind::real)) return Value::real(std::abs(input.as_real()));
  if (!input.is_number()) throw EvalError(fmt::format("bad operand type for abs(): '{}'", input.type_name()));
  const std::int64_t number = input.as_integer();
  if (number == INT64_MIN) throw EvalError("an integer leaves the range of 64 bits");
  return Value::integer(std::abs(number));
}

Value rounded(Runtime&, const Value& input, const CallArgs& args) {
  const Arguments given("round", args, {"precision", "method"});
  const std::int64_t precision = given.integer(0, 0);
  const std::string method = given.text(1, "common");
  if (input.is(Kind::undefined)) throw EvalError(input.hint());
  if (!input.is_number())
    throw EvalError(fmt::format("type {} doesn't define __round__ method", input.type_name()));
  if (precision < -300 || precision > 300) throw EvalError("round() precision is out of range");
  const double value = input.as_real();
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return Value::real(std::ceil(value * scale) / scale);
  if (method == "floor") return Value::real(std::floor(value * scale) / scale);
  if (method != "common") throw EvalError("method must be common, ceil or floor");
  if (input.is_integer_like() && precision >= 0) return Value::integer(input.as_integer());
  if (!std::isfinite(value)) return Value::real(value);
  if (precision < 0) {
    const double result = std::nearbyint(value * scale) / scale;
    return input.is_integer_like() ? Value::integer(static_cast<std::int64_t>(result)) : Value::real(result);
  }
  // Decimal formatting rounds the exact value, as Python does.
  return Value::real(parse_real(fmt::format("{:.{}f}", value, precision)).value_or(value));
}

std::optional<Value> real_to_integer(double value) {
  if (!(std::abs(value) < 9.2e18)) return {};
  return Value::integer(static_cast<std::int64_t>(value));
}

Value to_integer(Runtime&, const Value& input, const CallArgs& args) {
  const Arguments given("int", args, {"default", "base"});
  const Value fallback = given.has(0) ? given[0] : Value::integer(0);
  if (input.is(Kind::undefined)) throw EvalError(input.hint());
  if (input.is_integer_like()) return Value::integer(input.as_integer());
  if (input.is(Kind::real)) return real_to_integer(input.as_real()).value_or(fallback);
  if (!input.is(Kind::text)) return fallback;
  const std::int64_t base = given.integer(1, 10);
  if (base < 0 || base > 36) return fallback;
  if (const auto number = parse_integer(input.as_text(), static_cast<int>(base)))
    return Value::integer(*number);
  const std::optional<double> real = parse_real(input.as_text());
  return real ? real_to_integer(*real).value_or(fallback) : fallback;
}

Value to_real(Runtime&, const Value& input, const CallArgs& args) {
  const Arguments given("float", args, {"default"});
  const Value fallback = given.has(0) ? given[0] : Value::real(0);
  if (input.is(Kind::undefined)) throw EvalError(input.hint());
  if (input.is_number()) return Value::real(input.as_real());
  if (!input.is(Kind::text)) return fallback;
  const std::optional<double> real = parse_real(input.as_text());
  return real ? Value::real(*real) : fallback;
}

constexpr NamedFilter kFilters[] = {
    {"abs", absolute},
    {"attr", attribute},
    {"capitalize", converted<capitalize>},
    {"center", center},
    {"d", defaulted},
    {"default", defaulted},
    {"e", escape},
    {"escape", escape},
    {"float", to_real},
    {"forceescape", forceescape},
    {"format", format},
    {"from_json", from_json},
    {"indent", indent},
    {"int", to_integer},
    {"lower", converted<lower>},
    {"replace", replaced},
    {"round", rounded},
    {"safe", mark_safe},
    {"string", to_string},
    {"striptags", striptags},
    {"title", converted<title_words>},
    {"tojson", tojson},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", converted<upper>},
    {"urlencode", urlencode},
    {"wordcount", wordcount},
};

}  // namespace

Filter find_scalar_filter(std::string_view name) {
  for (const NamedFilter& entry : kFilters) {
    if (entry.name == name) return entry.filter;
  }
  return nullptr;
}

Filter find_filter(std::string_view name) {
  const Filter filter = find_scalar_filter(name);
  return filter != nullptr ? filter : find_sequence_filter(name);
}

}  // namespace lazuli::lm::chat
