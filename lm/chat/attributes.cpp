#include <lazuli/lm/chat/attributes.h>
#include <lazuli/lm/chat/format.h>
#include <lazuli/lm/chat/methods.h>
#include <lazuli/lm/chat/text.h>

#include <algorithm>

#include <fmt/format.h>

namespace lazuli::lm::chat {
namespace {

class BoundMethod : public Object {
 public:
  BoundMethod(Value self, std::string name, Method method)
      : self_(std::move(self)), name_(std::move(name)), method_(method) {}
  std::string type_name() const override { return "builtin_function_or_method"; }
  std::string repr() const override {
    return fmt::format("<built-in method {} of {} object>", name_, self_.type_name());
  }
  bool callable() const override { return true; }
  Value call(Runtime& runtime, const CallArgs& args) override { return method_(runtime, self_, args); }
  int depth() const override { return self_.depth() + 1; }

 private:
  Value self_;
  std::string name_;
  Method method_;
};

std::string described(const Value& object) {
  if (object.is(Kind::none)) return "None";
  if (object.is(Kind::object) && object.type_name() == "Namespace") return "jinja2.utils.Namespace object";
  return object.type_name() + " object";
}

Value missing_attribute(const Value& object, const std::string& name) {
  return Value::undefined(fmt::format("'{}' has no attribute '{}'", described(object), name));
}

// The method `name` of `object`, if it has one.
std::optional<Value> find_bound(const Value& object, const std::string& name) {
  if (const Method method = find_method(object, name)) {
    return Value::object(std::make_shared<BoundMethod>(object, name, method));
  }
  if (is_changing_method(object, name)) {
    return Value::undefined(
        fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, object.type_name()));
  }
  if (object.is(Kind::object)) return object.as_object()->attribute(name);
  return {};
}

// The index that `key` means in a row of `size` values; empty if it is none.
std::optional<std::size_t> resolve_index(const Value& key, std::size_t size) {
  if (!key.is_integer_like()) return {};
  std::int64_t index = key.as_integer();
  const std::int64_t count = static_cast<std::int64_t>(size);
  if (index < -count || index >= count) return {};
  return static_cast<std::size_t>(index < 0 ? index + count : index);
}

std::optional<Value> find_item(const Value& object, const Value& key) {
  if (object.is(Kind::dict)) {
    if (key.is(Kind::dict) || key.is_list_or_tuple()) {
      if (key.type_name() != "tuple") return {};
    }
    const Value* found = object.as_dict().find(key);
    return found == nullptr ? std::nullopt : std::optional<Value>(*found);
  }
  if (object.is(Kind::text) && key.is_integer_like()) {
    const std::string& text = object.as_text();
    if (is_ascii(text)) {
      const auto at = resolve_index(key, text.size());
      return at ? std::optional<Value>(Value::text(std::string(1, text[*at]), object.is_safe()))
                : std::nullopt;
    }
    const std::u32string points = to_code_points(text);
    const auto at = resolve_index(key, points.size());
    if (!at) return {};
    return Value::text(to_utf8(std::u32string(1, points[*at])), object.is_safe());
  }
  if (object.is(Kind::object) && object.as_object()->items() != nullptr) {
    const std::vector<Value>& items = *object.as_object()->items();
    const auto at = resolve_index(key, items.size());
    return at ? std::optional<Value>(items[*at]) : std::nullopt;
  }
  if (object.is(Kind::sequence)) {
    const Sequence& sequence = object.as_sequence();
    if (sequence.kind == SequenceKind::view || sequence.kind == SequenceKind::generator) return {};
    const auto at = resolve_index(key, sequence.items.size());
    return at ? std::optional<Value>(sequence.items[*at]) : std::nullopt;
  }
  return {};
}

std::int64_t slice_bound(const Value& bound, std::int64_t size, std::int64_t step, std::int64_t fallback) {
  if (bound.is(Kind::none)) return fallback;
  if (!bound.is_integer_like()) {
    if (bound.is(Kind::undefined)) throw EvalError(bound.hint());
    throw EvalError("slice indices must be integers or None or have an __index__ method");
  }
  std::int64_t at = bound.as_integer();
  if (at < 0) at = std::max<std::int64_t>(at, -size - 1) + size;
  return std::clamp<std::int64_t>(at, step < 0 ? -1 : 0, step < 0 ? size - 1 : size);
}

// The indices that a slice selects.
std::vector<std::size_t> slice_indices(std::size_t count, const Value& start, const Value& stop,
                                       const Value& by) {
  const std::int64_t size = static_cast<std::int64_t>(count);
  std::int64_t step = by.is(Kind::none) ? 1 : expect_integer(by);
  if (step == 0) throw EvalError("slice step cannot be zero");
  step = std::clamp<std::int64_t>(step, -size - 1, size + 1);
  const std::int64_t first = slice_bound(start, size, step, step < 0 ? size - 1 : 0);
  const std::int64_t last = slice_bound(stop, size, step, step < 0 ? -1 : size);
  std::vector<std::size_t> out;
  for (std::int64_t at = first; step < 0 ? at > last : at < last; at += step) {
    out.push_back(static_cast<std::size_t>(at));
  }
  return out;
}

}  // namespace

Value get_attribute(const Value& object, const std::string& name) {
  if (object.is(Kind::undefined)) throw EvalError(object.hint());
  if (std::optional<Value> bound = find_bound(object, name)) return *bound;
  if (object.is(Kind::dict)) {
    if (const Value* found = object.as_dict().find(name)) return *found;
  }
  return missing_attribute(object, name);
}

Value get_item(const Value& object, const Value& key) {
  if (object.is(Kind::undefined)) throw EvalError(object.hint());
  if (std::optional<Value> item = find_item(object, key)) return *item;
  if (key.is(Kind::text)) {
    if (std::optional<Value> bound = find_bound(object, key.as_text())) return *bound;
    return missing_attribute(object, key.as_text());
  }
  return Value::undefined(fmt::format("{} has no element {}", described(object), to_repr(key)));
}

Value get_slice(const Value& object, const Value& start, const Value& stop, const Value& step) {
  if (object.is(Kind::undefined)) throw EvalError(object.hint());
  if (object.is(Kind::text)) {
    const std::u32string points = to_code_points(object.as_text());
    std::u32string selected;
    for (std::size_t at : slice_indices(points.size(), start, stop, step)) selected += points[at];
    return Value::text(to_utf8(selected), object.is_safe());
  }
  const bool row = object.is(Kind::sequence) && object.as_sequence().kind != SequenceKind::view &&
                   object.as_sequence().kind != SequenceKind::generator;
  if (!row) throw EvalError(fmt::format("'{}' object is not subscriptable", object.type_name()));
  const Sequence& sequence = object.as_sequence();
  std::vector<Value> selected;
  for (std::size_t at : slice_indices(sequence.items.size(), start, stop, step)) {
    selected.push_back(sequence.items[at]);
  }
  return Value::sequence(sequence.kind, std::move(selected));
}

}  // namespace lazuli::lm::chat
