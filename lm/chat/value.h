#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

/// The values that chat templates compute with: Python's, as far as templates can tell.
namespace lazuli::lm::chat {

class Runtime;
class Value;

/// What goes wrong while a template runs, without the place in the template.
class EvalError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Arguments of a call.
struct CallArgs {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

enum class Kind { undefined, none, boolean, integer, real, text, sequence, dict, object };

/// The Python types that hold values in a row. Generators can be read once; views (of a dict) have no index.
enum class SequenceKind { list, tuple, range, view, generator };

struct Text {
  std::string bytes;
  bool safe = false;  // marked by the filter `safe`: adding to it escapes the other side
};

struct Sequence;
class Dict;

/// Anything else: functions, macros, namespaces, `loop`.
class Object {
 public:
  virtual ~Object() = default;
  virtual std::string type_name() const = 0;
  virtual std::string repr() const = 0;
  /// The attribute `name`; empty if there is none.
  virtual std::optional<Value> attribute(std::string_view name) const;
  virtual bool callable() const { return false; }
  virtual Value call(Runtime& runtime, const CallArgs& args);
  /// For objects that can be looped over; null for the others.
  virtual const std::vector<Value>* items() const { return nullptr; }
  /// How deeply values nest in this one.
  virtual int depth() const { return 1; }
};

/// A value of any kind. Copies share lists, dicts and texts, which never change.
class Value {
 public:
  /// An undefined value with the message for those who use it.
  static Value undefined(std::string hint);
  static Value none() { return Value(Storage(std::in_place_index<1>)); }
  static Value boolean(bool value) { return Value(Storage(std::in_place_index<2>, value)); }
  static Value integer(std::int64_t value) { return Value(Storage(std::in_place_index<3>, value)); }
  static Value real(double value) { return Value(Storage(std::in_place_index<4>, value)); }
  static Value text(std::string bytes, bool safe = false);
  static Value list(std::vector<Value> items) { return sequence(SequenceKind::list, std::move(items)); }
  static Value tuple(std::vector<Value> items) { return sequence(SequenceKind::tuple, std::move(items)); }
  /// Throws EvalError if values nest too deeply in the new one. `type_name` names views and generators.
  static Value sequence(SequenceKind kind, std::vector<Value> items, std::string type_name = {});
  static Value dict(Dict entries);
  static Value object(std::shared_ptr<Object> object);
  /// Throws EvalError if `json` nests too deeply.
  static Value from_json(const nlohmann::ordered_json& json);

  Value() : Value(undefined("value is undefined")) {}

  Kind kind() const { return static_cast<Kind>(storage_.index()); }
  bool is(Kind which) const { return kind() == which; }
  bool is_number() const { return is(Kind::boolean) || is_integer_like() || is(Kind::real); }
  bool is_integer_like() const { return is(Kind::integer) || is(Kind::boolean); }
  bool is_list_or_tuple() const;

  // Each of these asks for the right kind to be checked before.
  const std::string& hint() const { return *std::get<0>(storage_); }
  bool as_boolean() const { return std::get<2>(storage_); }
  /// Of an integer or a boolean.
  std::int64_t as_integer() const;
  /// Of any number.
  double as_real() const;
  const std::string& as_text() const { return std::get<5>(storage_)->bytes; }
  bool is_safe() const { return is(Kind::text) && std::get<5>(storage_)->safe; }
  const Sequence& as_sequence() const { return *std::get<6>(storage_); }
  const Dict& as_dict() const { return *std::get<7>(storage_); }
  const std::shared_ptr<Object>& as_object() const { return std::get<8>(storage_); }

  /// Python's bool(value).
  bool truthy() const;
  /// Python's type(value).__name__.
  std::string type_name() const;
  /// How deeply values nest in this one: 0 for a number, 1 for a list of numbers.
  int depth() const;
  /// Whether both are the very same value (Python's `is`).
  bool same_as(const Value& other) const;

 private:
  struct None {};
  using Storage = std::variant<std::shared_ptr<const std::string>, None, bool, std::int64_t, double,
                               std::shared_ptr<const Text>, std::shared_ptr<const Sequence>,
                               std::shared_ptr<const Dict>, std::shared_ptr<Object>>;
  explicit Value(Storage storage) : storage_(std::move(storage)) {}

  Storage storage_;
};

struct Sequence {
  SequenceKind kind = SequenceKind::list;
  std::vector<Value> items;
  std::string type_name;
  int depth = 1;
  mutable bool consumed = false;  // generators only
};

/// A dict in insertion order.
class Dict {
 public:
  /// Adds or overwrites. Throws EvalError for a key that Python cannot hash.
  void set(const Value& key, Value value);
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  std::size_t size() const { return entries_.size(); }
  const std::vector<std::pair<Value, Value>>& entries() const { return entries_; }
  int depth() const { return depth_; }

 private:
  std::vector<std::pair<Value, Value>> entries_;
  std::unordered_map<std::string, std::size_t> index_;
  int depth_ = 1;
};

/// The values that a loop over `value` visits. A generator is empty afterwards.
/// Throws EvalError if `value` cannot be looped over.
std::vector<Value> to_list(const Value& value);

/// Python's a == b.
bool equal(const Value& a, const Value& b);

/// Python's a < b. Throws EvalError for types without an order; `sign` is the operator for the message.
bool less(const Value& a, const Value& b, std::string_view sign = "<");

/// Python's `item in container`.
bool contains(const Value& container, const Value& item);

/// Python's len(value).
std::int64_t length(const Value& value);

}  // namespace lazuli::lm::chat
