#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <lazuli/lm/chat/value.h>

namespace lazuli::lm::chat {

/// The namespace objects of templates: the only values that change.
class Namespace : public Object {
 public:
  std::string type_name() const override { return "Namespace"; }
  std::string repr() const override;
  std::optional<Value> attribute(std::string_view name) const override;
  void set(const std::string& name, Value value);
  void clear() { variables_ = Dict(); }

 private:
  Dict variables_;
};

/// What filters, methods and functions need of the evaluator, and the limits that stop runaway templates.
class Runtime {
 public:
  virtual ~Runtime() = default;

  /// Calls a function, macro or method. Throws EvalError if `callee` is none.
  virtual Value call(const Value& callee, const CallArgs& args) = 0;
  /// Throws EvalError if there is no filter of that name.
  virtual Value filter(std::string_view name, const Value& input, const CallArgs& args) = 0;
  /// Throws EvalError if there is no test of that name.
  virtual bool test(std::string_view name, const Value& input, const CallArgs& args) = 0;
  virtual std::shared_ptr<Namespace> new_namespace() = 0;
  /// The time that `strftime_now` formats.
  virtual std::chrono::system_clock::time_point now() const = 0;

  /// Counts work. Throws EvalError when a template does far more than rendering needs.
  void step(std::size_t count = 1);
  /// To be called before a text of `size` bytes is built. Throws EvalError if it is too large, or if too many
  /// bytes were built in all.
  void charge(std::size_t size);

 private:
  std::size_t steps_ = 0;
  std::size_t bytes_ = 0;
};

/// A function written in C++.
class Function : public Object {
 public:
  using Body = std::function<Value(Runtime&, const CallArgs&)>;
  /// `depth` is that of the values which `body` holds.
  Function(std::string name, Body body, int depth = 0)
      : name_(std::move(name)), body_(std::move(body)), depth_(depth) {}
  std::string type_name() const override { return "function"; }
  std::string repr() const override { return "<function " + name_ + ">"; }
  bool callable() const override { return true; }
  Value call(Runtime& runtime, const CallArgs& args) override { return body_(runtime, args); }
  int depth() const override { return depth_ + 1; }

 private:
  std::string name_;
  Body body_;
  int depth_;
};

inline Value make_function(std::string name, Function::Body body, int depth = 0) {
  return Value::object(std::make_shared<Function>(std::move(name), std::move(body), depth));
}

/// The arguments of a call, matched to the names of a function's parameters.
class Arguments {
 public:
  /// Throws EvalError for unknown names, for too many arguments and if one of the first `required` is
  /// missing.
  Arguments(std::string_view function, const CallArgs& args, std::initializer_list<std::string_view> names,
            std::size_t required = 0);

  /// Whether the argument was given (whatever its value).
  bool has(std::size_t i) const { return values_[i] != nullptr; }
  /// The argument, which must have been given.
  const Value& operator[](std::size_t i) const { return *values_[i]; }
  /// The argument, or None.
  Value get(std::size_t i) const { return has(i) ? *values_[i] : Value::none(); }

  // These throw EvalError if the argument is of another kind.
  std::string text(std::size_t i, std::string_view fallback = "") const;
  std::int64_t integer(std::size_t i, std::int64_t fallback) const;
  bool boolean(std::size_t i, bool fallback) const { return has(i) ? (*this)[i].truthy() : fallback; }

 private:
  std::string function_;
  std::vector<const Value*> values_;
};

/// As Arguments::text: the text of `value`, or an EvalError that names the wrong type.
const std::string& expect_text(const Value& value, std::string_view function);
std::int64_t expect_integer(const Value& value);

}  // namespace lazuli::lm::chat
