#include <lazuli/lm/chat/format.h>
#include <lazuli/lm/chat/runtime.h>

#include <algorithm>

#include <fmt/format.h>

namespace lazuli::lm::chat {
namespace {

// A million-token prompt has some 5 MB and takes about a million steps.
constexpr std::size_t kMaxTextSize = std::size_t{32} << 20;
constexpr std::size_t kMaxBytesBuilt = std::size_t{8} << 30;
constexpr std::size_t kMaxSteps = 100'000'000;
constexpr int kMaxNestedNamespaces = 20;

}  // namespace

void Runtime::step(std::size_t count) {
  steps_ += count;
  if (steps_ > kMaxSteps) throw EvalError("the template does not come to an end");
}

void Runtime::charge(std::size_t size) {
  if (size > kMaxTextSize) throw EvalError("a text grows too large");
  bytes_ += size;
  if (bytes_ > kMaxBytesBuilt) throw EvalError("the template builds too much text");
}

std::string Namespace::repr() const {
  // Namespaces can hold each other, in a circle too.
  thread_local int nested = 0;
  struct Nesting {
    Nesting() { ++nested; }
    ~Nesting() { --nested; }
  } const nesting;
  if (nested > kMaxNestedNamespaces) throw EvalError("values nest too deeply");
  return "<Namespace " + to_repr(Value::dict(variables_)) + ">";
}

std::optional<Value> Namespace::attribute(std::string_view name) const {
  const Value* found = variables_.find(name);
  return found == nullptr ? std::nullopt : std::optional<Value>(*found);
}

void Namespace::set(const std::string& name, Value value) {
  variables_.set(Value::text(name), std::move(value));
}

Arguments::Arguments(std::string_view function, const CallArgs& args,
                     std::initializer_list<std::string_view> names, std::size_t required)
    : function_(function), values_(names.size(), nullptr) {
  if (args.positional.size() > names.size()) {
    throw EvalError(fmt::format("{}() takes at most {} arguments ({} given)", function, names.size(),
                                args.positional.size()));
  }
  for (std::size_t i = 0; i < args.positional.size(); ++i) values_[i] = &args.positional[i];
  for (const auto& [name, value] : args.named) {
    const auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end()) {
      throw EvalError(fmt::format("{}() got an unexpected keyword argument '{}'", function, name));
    }
    const Value*& slot = values_[static_cast<std::size_t>(at - names.begin())];
    if (slot != nullptr) {
      throw EvalError(fmt::format("{}() got multiple values for argument '{}'", function, name));
    }
    slot = &value;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (values_[i] == nullptr) {
      throw EvalError(fmt::format("{}() missing required argument '{}'", function, names.begin()[i]));
    }
  }
}

std::string Arguments::text(std::size_t i, std::string_view fallback) const {
  return has(i) ? expect_text((*this)[i], function_) : std::string(fallback);
}

std::int64_t Arguments::integer(std::size_t i, std::int64_t fallback) const {
  return has(i) ? expect_integer((*this)[i]) : fallback;
}

const std::string& expect_text(const Value& value, std::string_view function) {
  if (value.is(Kind::undefined)) throw EvalError(value.hint());
  if (!value.is(Kind::text)) {
    throw EvalError(fmt::format("{}() argument must be str, not {}", function, value.type_name()));
  }
  return value.as_text();
}

std::int64_t expect_integer(const Value& value) {
  if (value.is(Kind::undefined)) throw EvalError(value.hint());
  if (!value.is_integer_like()) {
    throw EvalError(fmt::format("'{}' object cannot be interpreted as an integer", value.type_name()));
  }
  return value.as_integer();
}

}  // namespace lazuli::lm::chat
