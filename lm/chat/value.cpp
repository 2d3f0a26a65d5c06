#include <lazuli/lm/chat/text.h>
#include <lazuli/lm/chat/value.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace lazuli::lm::chat {
namespace {

// Deeper values are refused, so that nothing that walks through them exhausts the stack.
constexpr int kMaxDepth = 200;

// Comparing values that share parts can take exponentially long; more pairs than this are refused.
constexpr int kMaxComparisons = 10'000'000;

int checked_depth(int inner) {
  if (inner >= kMaxDepth) throw EvalError("values nest too deeply");
  return inner + 1;
}

// A text that is the same for keys that Python holds equal.
std::string hash_key(const Value& key) {
  switch (key.kind()) {
    case Kind::text:
      return "s" + key.as_text();
    case Kind::none:
      return "-";
    case Kind::boolean:
    case Kind::integer:
      return fmt::format("n{}", key.as_integer());
    case Kind::real: {
      const double value = key.as_real();
      if (std::abs(value) < 9e18 && value == std::floor(value)) {
        return fmt::format("n{}", static_cast<std::int64_t>(value));
      }
      return fmt::format("n{}", value);
    }
    case Kind::sequence:
      if (key.as_sequence().kind == SequenceKind::tuple) {
        std::string all = "(";
        for (const Value& item : key.as_sequence().items) {
          const std::string part = hash_key(item);
          all += fmt::format("{}:{},", part.size(), part);
          if (all.size() > 1'000'000) throw EvalError("a dict's key is too long");
        }
        return all;
      }
      break;
    case Kind::object:
      return fmt::format("o{}", static_cast<const void*>(key.as_object().get()));
    case Kind::undefined:
      return "?";
    case Kind::dict:
      break;
  }
  throw EvalError(fmt::format("unhashable type: '{}'", key.type_name()));
}

class Comparison {
 public:
  bool equal(const Value& a, const Value& b) {
    if (++count_ > kMaxComparisons) throw EvalError("too many comparisons");
    if (a.is_number() && b.is_number()) {
      if (a.is_integer_like() && b.is_integer_like()) return a.as_integer() == b.as_integer();
      return a.as_real() == b.as_real();
    }
    if (a.kind() != b.kind()) return false;
    switch (a.kind()) {
      case Kind::text:
        return a.as_text() == b.as_text();
      case Kind::sequence:
        return a.same_as(b) || equal_sequences(a.as_sequence(), b.as_sequence());
      case Kind::dict:
        return a.same_as(b) || equal_dicts(a.as_dict(), b.as_dict());
      case Kind::object:
        return a.same_as(b);
      default:
        return true;
    }
  }

  bool less(const Value& a, const Value& b, std::string_view sign) {
    for (const Value* side : {&a, &b}) {
      if (side->is(Kind::undefined)) throw EvalError(side->hint());
    }
    if (a.is_number() && b.is_number()) {
      if (a.is_integer_like() && b.is_integer_like()) return a.as_integer() < b.as_integer();
      return a.as_real() < b.as_real();
    }
    if (a.is(Kind::text) && b.is(Kind::text)) return a.as_text() < b.as_text();
    if (a.is_list_or_tuple() && b.is_list_or_tuple() && a.as_sequence().kind == b.as_sequence().kind) {
      const std::vector<Value>& left = a.as_sequence().items;
      const std::vector<Value>& right = b.as_sequence().items;
      for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
        if (!equal(left[i], right[i])) return less(left[i], right[i], sign);
      }
      return left.size() < right.size();
    }
    const bool swapped = sign[0] == '>';
    throw EvalError(fmt::format("'{}' not supported between instances of '{}' and '{}'", sign,
                                (swapped ? b : a).type_name(), (swapped ? a : b).type_name()));
  }

 private:
  bool equal_sequences(const Sequence& a, const Sequence& b) {
    const bool comparable = a.kind != SequenceKind::generator && a.kind != SequenceKind::view;
    if (a.kind != b.kind || !comparable || a.items.size() != b.items.size()) return false;
    for (std::size_t i = 0; i < a.items.size(); ++i) {
      if (!equal(a.items[i], b.items[i])) return false;
    }
    return true;
  }

  bool equal_dicts(const Dict& a, const Dict& b) {
    if (a.size() != b.size()) return false;
    for (const auto& [key, value] : a.entries()) {
      const Value* other = b.find(key);
      if (other == nullptr || !equal(value, *other)) return false;
    }
    return true;
  }

  int count_ = 0;
};

Value convert_json(const nlohmann::ordered_json& json, int depth) {
  if (depth >= kMaxDepth) throw EvalError("values nest too deeply");
  if (json.is_string()) return Value::text(json.get_ref<const std::string&>());
  if (json.is_boolean()) return Value::boolean(json.get<bool>());
  if (json.is_number_unsigned()) {
    const std::uint64_t number = json.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(INT64_MAX)) return Value::real(static_cast<double>(number));
    return Value::integer(static_cast<std::int64_t>(number));
  }
  if (json.is_number_integer()) return Value::integer(json.get<std::int64_t>());
  if (json.is_number_float()) return Value::real(json.get<double>());
  if (json.is_array()) {
    std::vector<Value> items;
    items.reserve(json.size());
    for (const auto& item : json) items.push_back(convert_json(item, depth + 1));
    return Value::list(std::move(items));
  }
  if (json.is_object()) {
    Dict dict;
    for (const auto& [key, item] : json.items()) dict.set(Value::text(key), convert_json(item, depth + 1));
    return Value::dict(std::move(dict));
  }
  return Value::none();
}

}  // namespace

std::optional<Value> Object::attribute(std::string_view) const {
  return {};
}

Value Object::call(Runtime&, const CallArgs&) {
  throw EvalError(fmt::format("'{}' object is not callable", type_name()));
}

Value Value::undefined(std::string hint) {
  return Value(Storage(std::in_place_index<0>, std::make_shared<const std::string>(std::move(hint))));
}

Value Value::text(std::string bytes, bool safe) {
  return Value(Storage(std::in_place_index<5>, std::make_shared<const Text>(Text{std::move(bytes), safe})));
}

Value Value::sequence(SequenceKind kind, std::vector<Value> items, std::string type_name) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  auto node = std::make_shared<Sequence>();
  node->kind = kind;
  node->items = std::move(items);
  node->type_name = std::move(type_name);
  node->depth = checked_depth(depth);
  return Value(Storage(std::in_place_index<6>, std::move(node)));
}

Value Value::dict(Dict entries) {
  return Value(Storage(std::in_place_index<7>, std::make_shared<const Dict>(std::move(entries))));
}

Value Value::object(std::shared_ptr<Object> object) {
  checked_depth(object->depth() - 1);
  return Value(Storage(std::in_place_index<8>, std::move(object)));
}

Value Value::from_json(const nlohmann::ordered_json& json) {
  return convert_json(json, 0);
}

bool Value::is_list_or_tuple() const {
  return is(Kind::sequence) &&
         (as_sequence().kind == SequenceKind::list || as_sequence().kind == SequenceKind::tuple);
}

std::int64_t Value::as_integer() const {
  return is(Kind::boolean) ? as_boolean() : std::get<3>(storage_);
}

double Value::as_real() const {
  return is(Kind::real) ? std::get<4>(storage_) : static_cast<double>(as_integer());
}

bool Value::truthy() const {
  switch (kind()) {
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
    case Kind::integer:
      return as_integer() != 0;
    case Kind::real:
      return as_real() != 0;
    case Kind::text:
      return !as_text().empty();
    case Kind::sequence:
      return as_sequence().kind == SequenceKind::generator || !as_sequence().items.empty();
    case Kind::dict:
      return as_dict().size() != 0;
    case Kind::object:
      break;
  }
  return true;
}

std::string Value::type_name() const {
  switch (kind()) {
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::text:
      return is_safe() ? "Markup" : "str";
    case Kind::sequence:
      switch (as_sequence().kind) {
        case SequenceKind::list:
          return "list";
        case SequenceKind::tuple:
          return "tuple";
        case SequenceKind::range:
          return "range";
        default:
          return as_sequence().type_name;
      }
    case Kind::dict:
      return "dict";
    case Kind::object:
      break;
  }
  return as_object()->type_name();
}

int Value::depth() const {
  switch (kind()) {
    case Kind::sequence:
      return as_sequence().depth;
    case Kind::dict:
      return as_dict().depth();
    case Kind::object:
      return as_object()->depth();
    default:
      return 0;
  }
}

bool Value::same_as(const Value& other) const {
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::boolean:
    case Kind::integer:
      return as_integer() == other.as_integer();
    case Kind::real:
      return as_real() == other.as_real();
    case Kind::text:
      return as_text() == other.as_text();
    case Kind::sequence:
      return &as_sequence() == &other.as_sequence();
    case Kind::dict:
      return &as_dict() == &other.as_dict();
    case Kind::object:
      break;
  }
  return as_object() == other.as_object();
}

void Dict::set(const Value& key, Value value) {
  depth_ = std::max(depth_, checked_depth(std::max(key.depth(), value.depth())));
  const auto [at, fresh] = index_.try_emplace(hash_key(key), entries_.size());
  if (fresh) {
    entries_.emplace_back(key, std::move(value));
  } else {
    entries_[at->second].second = std::move(value);
  }
}

const Value* Dict::find(const Value& key) const {
  const auto at = index_.find(hash_key(key));
  return at == index_.end() ? nullptr : &entries_[at->second].second;
}

const Value* Dict::find(std::string_view key) const {
  std::string hash = "s";
  hash += key;
  const auto at = index_.find(hash);
  return at == index_.end() ? nullptr : &entries_[at->second].second;
}

std::vector<Value> to_list(const Value& value) {
  std::vector<Value> out;
  switch (value.kind()) {
    case Kind::undefined:
      return out;
    case Kind::text:
      for (char32_t point : to_code_points(value.as_text())) {
        std::string one;
        append_utf8(one, point);
        out.push_back(Value::text(std::move(one)));
      }
      return out;
    case Kind::sequence: {
      const Sequence& sequence = value.as_sequence();
      if (sequence.kind == SequenceKind::generator && std::exchange(sequence.consumed, true)) return out;
      return sequence.items;
    }
    case Kind::dict:
      for (const auto& [key, item] : value.as_dict().entries()) out.push_back(key);
      return out;
    case Kind::object:
      if (const std::vector<Value>* items = value.as_object()->items()) return *items;
      break;
    default:
      break;
  }
  throw EvalError(fmt::format("'{}' object is not iterable", value.type_name()));
}

bool equal(const Value& a, const Value& b) {
  return Comparison().equal(a, b);
}

bool less(const Value& a, const Value& b, std::string_view sign) {
  return Comparison().less(a, b, sign);
}

bool contains(const Value& container, const Value& item) {
  if (container.is(Kind::text)) {
    if (!item.is(Kind::text)) {
      throw EvalError(fmt::format("'in <string>' requires string as left operand, not {}", item.type_name()));
    }
    return container.as_text().find(item.as_text()) != std::string::npos;
  }
  if (container.is(Kind::dict)) return container.as_dict().find(item) != nullptr;
  const bool listed = container.is(Kind::undefined) || container.is(Kind::sequence) ||
                      (container.is(Kind::object) && container.as_object()->items() != nullptr);
  if (!listed) throw EvalError(fmt::format("argument of type '{}' is not iterable", container.type_name()));
  Comparison comparison;
  const std::vector<Value> items = to_list(container);
  return std::any_of(items.begin(), items.end(),
                     [&](const Value& other) { return comparison.equal(other, item); });
}

std::int64_t length(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return 0;
    case Kind::text:
      return static_cast<std::int64_t>(text_length(value.as_text()));
    case Kind::dict:
      return static_cast<std::int64_t>(value.as_dict().size());
    case Kind::sequence:
      if (value.as_sequence().kind == SequenceKind::generator) break;
      return static_cast<std::int64_t>(value.as_sequence().items.size());
    case Kind::object:
      if (value.as_object()->items() != nullptr) {
        return static_cast<std::int64_t>(value.as_object()->items()->size());
      }
      break;
    default:
      break;
  }
  throw EvalError(fmt::format("object of type '{}' has no len()", value.type_name()));
}

}  // namespace lazuli::lm::chat
