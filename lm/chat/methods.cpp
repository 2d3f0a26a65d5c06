#include <lazuli/lm/chat/format.h>
#include <lazuli/lm/chat/methods.h>
#include <lazuli/lm/chat/text.h>

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace lazuli::lm::chat {
namespace {

struct NamedMethod {
  std::string_view name;
  Method method;
};

Value same_kind(const Value& self, std::string text) {
  return Value::text(std::move(text), self.is_safe());
}

Value texts(std::vector<std::string> parts) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (std::string& part : parts) items.push_back(Value::text(std::move(part)));
  return Value::list(std::move(items));
}

template <std::string (*convert)(std::string_view)>
Value converted(Runtime& runtime, const Value& self, const CallArgs& args) {
  Arguments("str method", args, {});
  runtime.charge(self.as_text().size());
  return same_kind(self, convert(self.as_text()));
}

template <Side side>
Value stripped(Runtime& runtime, const Value& self, const CallArgs& args) {
  const Arguments given("strip", args, {"chars"});
  runtime.charge(self.as_text().size());
  if (given.get(0).is(Kind::none)) return same_kind(self, std::string(strip(self.as_text(), side)));
  return same_kind(self, std::string(strip(self.as_text(), side, given.text(0))));
}

template <bool from_right>
Value split(Runtime& runtime, const Value& self, const CallArgs& args) {
  const Arguments given("split", args, {"sep", "maxsplit"});
  const std::int64_t limit = given.integer(1, -1);
  runtime.charge(self.as_text().size());
  runtime.step(self.as_text().size() / 16);
  if (given.get(0).is(Kind::none)) return texts(split_space(self.as_text(), limit, from_right));
  const std::string separator = given.text(0);
  if (separator.empty()) throw EvalError("empty separator");
  return texts(split_at(self.as_text(), separator, limit, from_right));
}

Value splitlines(Runtime& runtime, const Value& self, const CallArgs& args) {
  const Arguments given("splitlines", args, {"keepends"});
  runtime.charge(self.as_text().size());
  return texts(split_lines(self.as_text(), given.boolean(0, false)));
}

template <bool from_right>
Value partition(Runtime&, const Value& self, const CallArgs& args) {
  const Arguments given("partition", args, {"sep"}, 1);
  const std::string separator = given.text(0);
  if (separator.empty()) throw EvalError("empty separator");
  const std::string& text = self.as_text();
  const std::size_t at = from_right ? text.rfind(separator) : text.find(separator);
  std::array<std::string, 3> parts;
  if (at != std::string::npos) {
    parts = {text.substr(0, at), separator, text.substr(at + separator.size())};
  } else {
    parts[from_right ? 2 : 0] = text;
  }
  return Value::tuple({Value::text(parts[0]), Value::text(parts[1]), Value::text(parts[2])});
}

// The part of `text` between the code points `start` and `end`, as Python's str.find and others take them.
// Empty if `start` lies behind the text. `offset` is the number of code points before the part.
std::optional<std::string> section(const std::string& text, const Value& start, const Value& end,
                                   std::int64_t& offset) {
  const std::u32string points = to_code_points(text);
  const std::int64_t size = static_cast<std::int64_t>(points.size());
  auto bound = [&](const Value& value, std::int64_t fallback) {
    if (value.is(Kind::none)) return fallback;
    const std::int64_t at = expect_integer(value);
    return at < 0 ? std::max<std::int64_t>(0, std::max(at, -size) + size) : at;
  };
  offset = bound(start, 0);
  const std::int64_t last = std::min(bound(end, size), size);
  if (offset > last) return {};
  return to_utf8(std::u32string_view(points).substr(static_cast<std::size_t>(offset),
                                                    static_cast<std::size_t>(last - offset)));
}

template <bool at_end>
Value starts_or_ends(Runtime& runtime, const Value& self, const CallArgs& args) {
  const std::string_view name = at_end ? "endswith" : "startswith";
  const Arguments given(name, args, {"prefix", "start", "end"}, 1);
  const bool many = given[0].is(Kind::sequence) && given[0].as_sequence().kind == SequenceKind::tuple;
  const std::vector<Value> affixes = many ? given[0].as_sequence().items : std::vector<Value>{given[0]};
  std::string part;
  std::string_view text = self.as_text();
  if (given.has(1)) {
    runtime.charge(text.size());
    std::int64_t offset = 0;
    const std::optional<std::string> found = section(self.as_text(), given.get(1), given.get(2), offset);
    if (!found) return Value::boolean(false);
    text = part = *found;
  }
  for (const Value& affix : affixes) {
    if (!affix.is(Kind::text)) {
      throw EvalError(
          fmt::format("{} first arg must be str or a tuple of str, not {}", name, affix.type_name()));
    }
    const std::string& what = affix.as_text();
    if (at_end ? text.ends_with(what) : text.starts_with(what)) return Value::boolean(true);
  }
  return Value::boolean(false);
}

template <bool from_right, bool must_exist>
Value find(Runtime& runtime, const Value& self, const CallArgs& args) {
  const Arguments given(must_exist ? "index" : "find", args, {"sub", "start", "end"}, 1);
  const std::string what = given.text(0);
  runtime.charge(self.as_text().size());
  std::int64_t offset = 0;
  if (const auto part = section(self.as_text(), given.get(1), given.get(2), offset)) {
    const std::size_t at = from_right ? part->rfind(what) : part->find(what);
    if (at != std::string::npos) {
      return Value::integer(offset +
                            static_cast<std::int64_t>(text_length(std::string_view(*part).substr(0, at))));
    }
  }
  if (must_exist) throw EvalError("substring not found");
  return Value::integer(-1);
}

Value count(Runtime& runtime, const Value& self, const CallArgs& args) {
  const Arguments given("count", args, {"sub", "start", "end"}, 1);
  const std::string what = given.text(0);
  runtime.charge(self.as_text().size());
  std::int64_t offset = 0;
  const auto part = section(self.as_text(), given.get(1), given.get(2), offset);
  return Value::integer(part ? static_cast<std::int64_t>(count_occurrences(*part, what)) : 0);
}

Value replaced(Runtime& runtime, const Value& self, const CallArgs& args) {
  const Arguments given("replace", args, {"old", "new", "count"}, 2);
  const std::string from = given.text(0), to = given.text(1);
  runtime.charge(self.as_text().size() + count_occurrences(self.as_text(), from) * to.size());
  return same_kind(self, replace(self.as_text(), from, to, given.integer(2, -1)));
}

Value join(Runtime& runtime, const Value& self, const CallArgs& args) {
  const Arguments given("join", args, {"iterable"}, 1);
  const bool iterable = given[0].is(Kind::sequence) || given[0].is(Kind::text) || given[0].is(Kind::dict) ||
                        given[0].is(Kind::undefined);
  if (!iterable) throw EvalError("can only join an iterable");
  std::string out;
  std::size_t i = 0;
  for (const Value& item : to_list(given[0])) {
    if (!item.is(Kind::text)) {
      throw EvalError(fmt::format("sequence item {}: expected str instance, {} found", i, item.type_name()));
    }
    if (i++ > 0) out += self.as_text();
    out += item.as_text();
    if (out.size() > (std::size_t{1} << 20)) runtime.charge(out.size());
  }
  runtime.charge(out.size());
  return Value::text(std::move(out));
}

template <Side text_at>
Value padded(Runtime& runtime, const Value& self, const CallArgs& args) {
  const Arguments given("center", args, {"width", "fillchar"}, 1);
  const std::int64_t width = expect_integer(given[0]);
  const std::string fill = given.text(1, " ");
  if (text_length(fill) != 1) throw EvalError("The fill character must be exactly one character long");
  runtime.charge(self.as_text().size() + static_cast<std::size_t>(std::max<std::int64_t>(width, 0)));
  return same_kind(self, pad(self.as_text(), width, fill, text_at));
}

Value zfill(Runtime& runtime, const Value& self, const CallArgs& args) {
  const Arguments given("zfill", args, {"width"}, 1);
  std::int64_t width = expect_integer(given[0]);
  std::string_view digits = self.as_text();
  runtime.charge(digits.size() + static_cast<std::size_t>(std::max<std::int64_t>(width, 0)));
  std::string sign;
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) {
    sign = digits.substr(0, 1);
    digits.remove_prefix(1);
    --width;
  }
  return Value::text(sign + pad(digits, width, "0", Side::right));
}

Value removeprefix(Runtime& runtime, const Value& self, const CallArgs& args) {
  const std::string affix = Arguments("removeprefix", args, {"prefix"}, 1).text(0);
  runtime.charge(self.as_text().size());
  return same_kind(self, self.as_text().substr(self.as_text().starts_with(affix) ? affix.size() : 0));
}

Value removesuffix(Runtime& runtime, const Value& self, const CallArgs& args) {
  const std::string affix = Arguments("removesuffix", args, {"suffix"}, 1).text(0);
  const std::string& text = self.as_text();
  runtime.charge(text.size());
  return same_kind(self, text.substr(0, text.size() - (text.ends_with(affix) ? affix.size() : 0)));
}

Value expandtabs(Runtime& runtime, const Value& self, const CallArgs& args) {
  const std::int64_t size = Arguments("expandtabs", args, {"tabsize"}).integer(0, 8);
  std::string out;
  std::int64_t column = 0;
  for (char32_t c : to_code_points(self.as_text())) {
    if (c == '\t') {
      const std::int64_t spaces = size > 0 ? size - column % size : 0;
      runtime.charge(out.size() + static_cast<std::size_t>(spaces));
      out.append(static_cast<std::size_t>(spaces), ' ');
      column += spaces;
    } else {
      append_utf8(out, c);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
  }
  return Value::text(std::move(out));
}

Value format(Runtime& runtime, const Value& self, const CallArgs& args) {
  return Value::text(format_braces(runtime, self.as_text(), args));
}

template <bool (*holds)(char32_t)>
Value all_are(Runtime&, const Value& self, const CallArgs&) {
  const std::u32string points = to_code_points(self.as_text());
  return Value::boolean(!points.empty() && std::all_of(points.begin(), points.end(), holds));
}

bool is_alnum(char32_t c) {
  return is_alpha(c) || is_digit(c);
}

// True if some letter has the wanted case and none has the other.
template <bool (*wanted)(char32_t), bool (*unwanted)(char32_t)>
Value has_case(Runtime&, const Value& self, const CallArgs&) {
  const std::u32string points = to_code_points(self.as_text());
  return Value::boolean(std::any_of(points.begin(), points.end(), wanted) &&
                        std::none_of(points.begin(), points.end(), unwanted));
}

Value istitle(Runtime&, const Value& self, const CallArgs&) {
  const std::u32string points = to_code_points(self.as_text());
  return Value::boolean(std::any_of(points.begin(), points.end(), is_upper) &&
                        title(self.as_text()) == self.as_text());
}

Value isascii(Runtime&, const Value& self, const CallArgs&) {
  return Value::boolean(is_ascii(self.as_text()));
}

constexpr NamedMethod kTextMethods[] = {
    {"capitalize", converted<capitalize>},
    {"casefold", converted<lower>},
    {"center", padded<Side::both>},
    {"count", count},
    {"endswith", starts_or_ends<true>},
    {"expandtabs", expandtabs},
    {"find", find<false, false>},
    {"format", format},
    {"index", find<false, true>},
    {"isalnum", all_are<is_alnum>},
    {"isalpha", all_are<is_alpha>},
    {"isascii", isascii},
    {"isdecimal", all_are<is_digit>},
    {"isdigit", all_are<is_digit>},
    {"islower", has_case<is_lower, is_upper>},
    {"isnumeric", all_are<is_digit>},
    {"isspace", all_are<is_space>},
    {"istitle", istitle},
    {"isupper", has_case<is_upper, is_lower>},
    {"join", join},
    {"ljust", padded<Side::left>},
    {"lower", converted<lower>},
    {"lstrip", stripped<Side::left>},
    {"partition", partition<false>},
    {"removeprefix", removeprefix},
    {"removesuffix", removesuffix},
    {"replace", replaced},
    {"rfind", find<true, false>},
    {"rindex", find<true, true>},
    {"rjust", padded<Side::right>},
    {"rpartition", partition<true>},
    {"rsplit", split<true>},
    {"rstrip", stripped<Side::right>},
    {"split", split<false>},
    {"splitlines", splitlines},
    {"startswith", starts_or_ends<false>},
    {"strip", stripped<Side::both>},
    {"swapcase", converted<swapcase>},
    {"title", converted<title>},
    {"upper", converted<upper>},
    {"zfill", zfill},
};

Value dict_get(Runtime&, const Value& self, const CallArgs& args) {
  const Arguments given("get", args, {"key", "default"}, 1);
  const Value* found = self.as_dict().find(given[0]);
  return found == nullptr ? given.get(1) : *found;
}

Value dict_items(Runtime&, const Value& self, const CallArgs& args) {
  Arguments("items", args, {});
  std::vector<Value> items;
  for (const auto& [key, value] : self.as_dict().entries()) items.push_back(Value::tuple({key, value}));
  return Value::sequence(SequenceKind::view, std::move(items), "dict_items");
}

Value dict_keys(Runtime&, const Value& self, const CallArgs& args) {
  Arguments("keys", args, {});
  return Value::sequence(SequenceKind::view, to_list(self), "dict_keys");
}

Value dict_values(Runtime&, const Value& self, const CallArgs& args) {
  Arguments("values", args, {});
  std::vector<Value> items;
  for (const auto& [key, value] : self.as_dict().entries()) items.push_back(value);
  return Value::sequence(SequenceKind::view, std::move(items), "dict_values");
}

Value copy(Runtime&, const Value& self, const CallArgs& args) {
  Arguments("copy", args, {});
  return self;
}

constexpr NamedMethod kDictMethods[] = {
    {"copy", copy}, {"get", dict_get}, {"items", dict_items}, {"keys", dict_keys}, {"values", dict_values}};

Value sequence_index(Runtime&, const Value& self, const CallArgs& args) {
  const Arguments given("index", args, {"value"}, 1);
  const std::vector<Value>& items = self.as_sequence().items;
  const auto at =
      std::find_if(items.begin(), items.end(), [&](const Value& item) { return equal(item, given[0]); });
  if (at == items.end()) throw EvalError(fmt::format("{} is not in list", to_repr(given[0])));
  return Value::integer(at - items.begin());
}

Value sequence_count(Runtime&, const Value& self, const CallArgs& args) {
  const Arguments given("count", args, {"value"}, 1);
  const std::vector<Value>& items = self.as_sequence().items;
  return Value::integer(
      std::count_if(items.begin(), items.end(), [&](const Value& item) { return equal(item, given[0]); }));
}

constexpr NamedMethod kSequenceMethods[] = {
    {"copy", copy}, {"count", sequence_count}, {"index", sequence_index}};

template <std::size_t count>
Method find_in(const NamedMethod (&table)[count], std::string_view name) {
  for (const NamedMethod& entry : table) {
    if (entry.name == name) return entry.method;
  }
  return nullptr;
}

}  // namespace

Method find_method(const Value& self, std::string_view name) {
  if (self.is(Kind::text)) return find_in(kTextMethods, name);
  if (self.is(Kind::dict)) return find_in(kDictMethods, name);
  if (self.is_list_or_tuple() && !(name == "copy" && self.type_name() == "tuple")) {
    return find_in(kSequenceMethods, name);
  }
  return nullptr;
}

bool is_changing_method(const Value& self, std::string_view name) {
  static constexpr std::string_view kOfDicts[] = {"clear", "pop", "popitem", "setdefault", "update"};
  static constexpr std::string_view kOfLists[] = {"append", "clear",  "extend",  "insert",
                                                  "pop",    "remove", "reverse", "sort"};
  auto in = [&](const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  if (self.is(Kind::dict)) return in(kOfDicts);
  return self.is_list_or_tuple() && self.type_name() == "list" && in(kOfLists);
}

}  // namespace lazuli::lm::chat
