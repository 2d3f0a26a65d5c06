#include <lazuli/lm/chat/attributes.h>
#include <lazuli/lm/chat/filters.h>
#include <lazuli/lm/chat/format.h>
#include <lazuli/lm/chat/operators.h>
#include <lazuli/lm/chat/text.h>

#include <algorithm>

#include <fmt/format.h>

namespace lazuli::lm::chat {
namespace {

struct NamedFilter {
  std::string_view name;
  Filter filter;
};

std::vector<Value> items_of(Runtime& runtime, const Value& input) {
  std::vector<Value> items = to_list(input);
  runtime.step(items.size());
  return items;
}

Value generator(std::vector<Value> items) {
  return Value::sequence(SequenceKind::generator, std::move(items), "generator");
}

/// Reads an attribute from values: a name, a number, or several of these with dots between them. None reads
/// the value itself.
class AttributeReader {
 public:
  explicit AttributeReader(const Value& attribute, Value fallback = Value::none())
      : fallback_(std::move(fallback)) {
    if (attribute.is(Kind::none)) return;
    if (!attribute.is(Kind::text)) {
      parts_.push_back(attribute);
      return;
    }
    for (std::string& part : split_at(attribute.as_text(), ".", -1, false)) {
      const std::u32string points = to_code_points(part);
      const bool number = !points.empty() && std::all_of(points.begin(), points.end(), is_digit);
      const std::optional<std::int64_t> index = number ? parse_integer(part, 10) : std::nullopt;
      parts_.push_back(index ? Value::integer(*index) : Value::text(std::move(part)));
    }
  }

  Value read(Value value) const {
    for (const Value& part : parts_) {
      value = get_item(value, part);
      if (value.is(Kind::undefined) && !fallback_.is(Kind::none)) value = fallback_;
    }
    return value;
  }

 private:
  std::vector<Value> parts_;
  Value fallback_;
};

Value folded_case(const Value& value, bool case_sensitive) {
  return !case_sensitive && value.is(Kind::text) ? Value::text(lower(value.as_text())) : value;
}

// Sorts by keys that are computed once.
void sort_by(std::vector<std::pair<Value, Value>>& keyed, bool reverse) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return reverse ? less(b.first, a.first) : less(a.first, b.first);
  });
}

std::vector<Value> seconds(std::vector<std::pair<Value, Value>> keyed) {
  std::vector<Value> out;
  out.reserve(keyed.size());
  for (auto& [key, value] : keyed) out.push_back(std::move(value));
  return out;
}

Value first(Runtime&, const Value& input, const CallArgs& args) {
  Arguments("first", args, {});
  const std::vector<Value> items = to_list(input);
  return items.empty() ? Value::undefined("No first item, sequence was empty.") : items.front();
}

Value last(Runtime&, const Value& input, const CallArgs& args) {
  Arguments("last", args, {});
  if (input.is(Kind::sequence) && input.as_sequence().kind == SequenceKind::generator) {
    throw EvalError("'generator' object is not reversible");
  }
  const std::vector<Value> items = to_list(input);
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Value count(Runtime&, const Value& input, const CallArgs& args) {
  Arguments("length", args, {});
  return Value::integer(length(input));
}

Value to_list_filter(Runtime& runtime, const Value& input, const CallArgs& args) {
  Arguments("list", args, {});
  return Value::list(items_of(runtime, input));
}

Value items(Runtime& runtime, const Value& input, const CallArgs& args) {
  Arguments("items", args, {});
  if (input.is(Kind::undefined)) return generator({});
  if (!input.is(Kind::dict)) throw EvalError("Can only get item pairs from a mapping.");
  std::vector<Value> pairs;
  for (const auto& [key, value] : input.as_dict().entries()) pairs.push_back(Value::tuple({key, value}));
  runtime.step(pairs.size());
  return generator(std::move(pairs));
}

Value dictsort(Runtime& runtime, const Value& input, const CallArgs& args) {
  const Arguments given("dictsort", args, {"case_sensitive", "by", "reverse"});
  const bool case_sensitive = given.boolean(0, false);
  const std::string by = given.text(1, "key");
  if (by != "key" && by != "value") throw EvalError("You can only sort by either \"key\" or \"value\"");
  if (input.is(Kind::undefined)) throw EvalError(input.hint());
  if (!input.is(Kind::dict)) {
    throw EvalError(fmt::format("'{}' object has no attribute 'items'", input.type_name()));
  }
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, value] : input.as_dict().entries()) {
    keyed.emplace_back(folded_case(by == "key" ? key : value, case_sensitive), Value::tuple({key, value}));
  }
  runtime.step(keyed.size());
  sort_by(keyed, given.boolean(2, false));
  return Value::list(seconds(std::move(keyed)));
}

Value sort(Runtime& runtime, const Value& input, const CallArgs& args) {
  const Arguments given("sort", args, {"reverse", "case_sensitive", "attribute"});
  const bool case_sensitive = given.boolean(1, false);
  std::vector<AttributeReader> readers;
  const Value attribute = given.get(2);
  if (attribute.is(Kind::text)) {
    for (const std::string& part : split_at(attribute.as_text(), ",", -1, false))
      readers.emplace_back(Value::text(part));
  } else {
    readers.emplace_back(attribute);
  }
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items_of(runtime, input)) {
    std::vector<Value> keys;
    for (const AttributeReader& reader : readers)
      keys.push_back(folded_case(reader.read(item), case_sensitive));
    keyed.emplace_back(Value::list(std::move(keys)), item);
  }
  sort_by(keyed, given.boolean(0, false));
  return Value::list(seconds(std::move(keyed)));
}

Value unique(Runtime& runtime, const Value& input, const CallArgs& args) {
  const Arguments given("unique", args, {"case_sensitive", "attribute"});
  const AttributeReader reader(given.get(1));
  Dict seen;
  std::vector<Value> out;
  for (const Value& item : items_of(runtime, input)) {
    const Value key = folded_case(reader.read(item), given.boolean(0, false));
    if (seen.find(key) != nullptr) continue;
    seen.set(key, Value::none());
    out.push_back(item);
  }
  return generator(std::move(out));
}

template <bool largest>
Value extreme(Runtime& runtime, const Value& input, const CallArgs& args) {
  const Arguments given(largest ? "max" : "min", args, {"case_sensitive", "attribute"});
  const AttributeReader reader(given.get(1));
  const std::vector<Value> values = items_of(runtime, input);
  if (values.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  auto key = [&](const Value& value) { return folded_case(reader.read(value), given.boolean(0, false)); };
  std::size_t best = 0;
  for (std::size_t i = 1; i < values.size(); ++i) {
    const bool better =
        largest ? less(key(values[best]), key(values[i]), ">") : less(key(values[i]), key(values[best]));
    if (better) best = i;
  }
  return values[best];
}

Value sum(Runtime& runtime, const Value& input, const CallArgs& args) {
  const Arguments given("sum", args, {"attribute", "start"});
  const AttributeReader reader(given.get(0));
  Value total = given.has(1) ? given[1] : Value::integer(0);
  for (const Value& item : items_of(runtime, input)) {
    total = apply_binary(runtime, BinaryOp::add, total, reader.read(item));
  }
  return total;
}

Value join(Runtime& runtime, const Value& input, const CallArgs& args) {
  const Arguments given("join", args, {"d", "attribute"});
  const std::string separator = given.has(0) ? to_text(given[0]) : "";
  const AttributeReader reader(given.get(1));
  std::string out;
  bool is_first = true;
  for (const Value& item : items_of(runtime, input)) {
    const std::string part = to_text(reader.read(item));
    runtime.charge(part.size() + separator.size());
    if (!std::exchange(is_first, false)) out += separator;
    out += part;
    if (out.size() > (std::size_t{1} << 20)) runtime.charge(out.size());
  }
  return Value::text(std::move(out));
}

Value reverse(Runtime& runtime, const Value& input, const CallArgs& args) {
  Arguments("reverse", args, {});
  if (input.is(Kind::text)) {
    std::u32string points = to_code_points(input.as_text());
    runtime.charge(input.as_text().size());
    std::reverse(points.begin(), points.end());
    return Value::text(to_utf8(points), input.is_safe());
  }
  std::vector<Value> values = items_of(runtime, input);
  std::reverse(values.begin(), values.end());
  return Value::sequence(SequenceKind::generator, std::move(values), "list_reverseiterator");
}

Value batch(Runtime& runtime, const Value& input, const CallArgs& args) {
  const Arguments given("batch", args, {"linecount", "fill_with"}, 1);
  const std::int64_t size = expect_integer(given[0]);
  if (size < 1) throw EvalError("batch() needs a positive count");
  std::vector<Value> out, row;
  for (const Value& item : items_of(runtime, input)) {
    if (static_cast<std::int64_t>(row.size()) == size) out.push_back(Value::list(std::exchange(row, {})));
    row.push_back(item);
  }
  if (!row.empty()) {
    if (!given.get(1).is(Kind::none)) {
      runtime.charge(static_cast<std::size_t>(std::min<std::int64_t>(size, INT32_MAX)) * sizeof(Value));
      row.resize(static_cast<std::size_t>(size), given[1]);
    }
    out.push_back(Value::list(std::move(row)));
  }
  return generator(std::move(out));
}

Value slice(Runtime& runtime, const Value& input, const CallArgs& args) {
  const Arguments given("slice", args, {"slices", "fill_with"}, 1);
  const std::int64_t slices = expect_integer(given[0]);
  if (slices < 1) throw EvalError("slice() needs a positive count");
  runtime.charge(static_cast<std::size_t>(std::min<std::int64_t>(slices, INT32_MAX)) * sizeof(Value));
  const std::vector<Value> values = items_of(runtime, input);
  const std::size_t count = static_cast<std::size_t>(slices);
  const std::size_t each = values.size() / count, longer = values.size() % count;
  std::vector<Value> out;
  auto at = values.begin();
  for (std::size_t i = 0; i < count; ++i) {
    const auto end = at + static_cast<std::ptrdiff_t>(each + (i < longer ? 1 : 0));
    std::vector<Value> row(at, end);
    at = end;
    if (!given.get(1).is(Kind::none) && i >= longer) row.push_back(given[1]);
    out.push_back(Value::list(std::move(row)));
  }
  return generator(std::move(out));
}

/// What `groupby` yields: a pair whose parts have names.
class Group : public Object {
 public:
  Group(Value key, std::vector<Value> values) : parts_{std::move(key), Value::list(std::move(values))} {}
  std::string type_name() const override { return "_GroupTuple"; }
  std::string repr() const override { return to_repr(Value::tuple(parts_)); }
  const std::vector<Value>* items() const override { return &parts_; }
  int depth() const override { return std::max(parts_[0].depth(), parts_[1].depth()) + 1; }
  std::optional<Value> attribute(std::string_view name) const override {
    if (name == "grouper") return parts_[0];
    if (name == "list") return parts_[1];
    return {};
  }

 private:
  std::vector<Value> parts_;
};

Value groupby(Runtime& runtime, const Value& input, const CallArgs& args) {
  const Arguments given("groupby", args, {"attribute", "default", "case_sensitive"}, 1);
  const AttributeReader reader(given[0], given.get(1));
  const bool case_sensitive = given.boolean(2, false);
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items_of(runtime, input)) {
    keyed.emplace_back(folded_case(reader.read(item), case_sensitive), item);
  }
  sort_by(keyed, false);
  std::vector<Value> out;
  for (std::size_t i = 0; i < keyed.size();) {
    std::vector<Value> group;
    const Value key = keyed[i].first;
    for (; i < keyed.size() && equal(keyed[i].first, key); ++i) group.push_back(keyed[i].second);
    // Keys that differ in case are one group, named as its first value spells it.
    const Value name = reader.read(group.front());
    out.push_back(Value::object(std::make_shared<Group>(name, std::move(group))));
  }
  return Value::list(std::move(out));
}

// The arguments behind the first `count`.
CallArgs without_first(const CallArgs& args, std::size_t count) {
  CallArgs rest = args;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() + static_cast<std::ptrdiff_t>(count));
  return rest;
}

// Jinja's map and select take anything that is false, such as None, for an empty list.
std::vector<Value> items_if_any(Runtime& runtime, const Value& input) {
  return input.truthy() ? items_of(runtime, input) : std::vector<Value>();
}

Value map(Runtime& runtime, const Value& input, const CallArgs& args) {
  std::vector<Value> out;
  if (args.positional.empty()) {
    const Arguments given("map", args, {"attribute", "default"}, 1);
    const AttributeReader reader(given[0], given.get(1));
    for (const Value& item : items_if_any(runtime, input)) out.push_back(reader.read(item));
    return generator(std::move(out));
  }
  const std::string name = expect_text(args.positional[0], "map");
  const CallArgs rest = without_first(args, 1);
  for (const Value& item : items_if_any(runtime, input)) out.push_back(runtime.filter(name, item, rest));
  return generator(std::move(out));
}

template <bool wanted, bool by_attribute>
Value select(Runtime& runtime, const Value& input, const CallArgs& args) {
  const std::size_t at = by_attribute ? 1 : 0;
  if (args.positional.size() < at) throw EvalError("Missing parameter for attribute name");
  const AttributeReader reader(by_attribute ? args.positional[0] : Value::none());
  const bool tested = args.positional.size() > at;
  const std::string name = tested ? expect_text(args.positional[at], "select") : "";
  const CallArgs rest = without_first(args, std::min(args.positional.size(), at + 1));
  std::vector<Value> out;
  for (const Value& item : items_if_any(runtime, input)) {
    const Value subject = reader.read(item);
    if ((tested ? runtime.test(name, subject, rest) : subject.truthy()) == wanted) out.push_back(item);
  }
  return generator(std::move(out));
}

constexpr NamedFilter kFilters[] = {
    {"batch", batch},
    {"count", count},
    {"dictsort", dictsort},
    {"first", first},
    {"groupby", groupby},
    {"items", items},
    {"join", join},
    {"last", last},
    {"length", count},
    {"list", to_list_filter},
    {"map", map},
    {"max", extreme<true>},
    {"min", extreme<false>},
    {"reject", select<false, false>},
    {"rejectattr", select<false, true>},
    {"reverse", reverse},
    {"select", select<true, false>},
    {"selectattr", select<true, true>},
    {"slice", slice},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
};

}  // namespace

Filter find_sequence_filter(std::string_view name) {
  for (const NamedFilter& entry : kFilters) {
    if (entry.name == name) return entry.filter;
  }
  return nullptr;
}

}  // namespace lazuli::lm::chat
