#include <lazuli/lm/chat/chat_template.h>
#include <lazuli/lm/chat/format.h>
#include <lazuli/lm/chat/globals.h>
#include <lazuli/lm/chat/runtime.h>

#include <ctime>

#include <fmt/format.h>

namespace lazuli::lm::chat {
namespace {

// As in Jinja's sandbox.
constexpr std::int64_t kMaxRange = 100'000;

Value range(Runtime& runtime, const CallArgs& args) {
  const Arguments given("range", args, {"start", "stop", "step"}, 1);
  const std::int64_t start = given.has(1) ? expect_integer(given[0]) : 0;
  const std::int64_t stop = expect_integer(given.has(1) ? given[1] : given[0]);
  const std::int64_t step = given.integer(2, 1);
  if (step == 0) throw EvalError("range() arg 3 must not be zero");
  std::vector<Value> items;
  for (std::int64_t at = start; step > 0 ? at < stop : at > stop;) {
    if (static_cast<std::int64_t>(items.size()) == kMaxRange) {
      throw EvalError(
          fmt::format("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({}).", kMaxRange));
    }
    items.push_back(Value::integer(at));
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  runtime.step(items.size());
  return Value::sequence(SequenceKind::range, std::move(items));
}

// The entries of a dict, or pairs.
void add_entries(Dict& dict, const Value& from) {
  if (from.is(Kind::dict)) {
    for (const auto& [key, value] : from.as_dict().entries()) dict.set(key, value);
    return;
  }
  for (const Value& item : to_list(from)) {
    const std::vector<Value> pair = to_list(item);
    if (pair.size() != 2) throw EvalError("dictionary update sequence elements must have length 2");
    dict.set(pair[0], pair[1]);
  }
}

Dict collect_entries(const CallArgs& args) {
  Dict dict;
  for (const Value& value : args.positional) add_entries(dict, value);
  for (const auto& [name, value] : args.named) dict.set(Value::text(name), value);
  return dict;
}

Value make_dict(Runtime&, const CallArgs& args) {
  return Value::dict(collect_entries(args));
}

Value make_namespace(Runtime& runtime, const CallArgs& args) {
  const std::shared_ptr<Namespace> made = runtime.new_namespace();
  const Dict entries = collect_entries(args);
  for (const auto& [name, value] : entries.entries()) made->set(expect_text(name, "namespace"), value);
  return Value::object(made);
}

class Cycler : public Object, public std::enable_shared_from_this<Cycler> {
 public:
  explicit Cycler(std::vector<Value> values) : values_(Value::list(std::move(values))) {}
  std::string type_name() const override { return "Cycler"; }
  std::string repr() const override { return "<Cycler>"; }
  int depth() const override { return values_.depth() + 1; }
  std::optional<Value> attribute(std::string_view name) const override {
    if (name == "current") return current();
    if (name != "next" && name != "reset") return {};
    const bool moves = name == "next";
    const auto self = std::const_pointer_cast<Cycler>(shared_from_this());
    auto body = [self, moves](Runtime&, const CallArgs&) {
      Value before = moves ? self->current() : Value::none();
      self->at_ = moves ? (self->at_ + 1) % self->values_.as_sequence().items.size() : 0;
      return before;
    };
    return make_function(std::string(name), body, depth());
  }

 private:
  Value current() const { return values_.as_sequence().items[at_]; }

  Value values_;
  std::size_t at_ = 0;
};

Value make_cycler(Runtime&, const CallArgs& args) {
  if (args.positional.empty()) throw EvalError("at least one item has to be provided");
  return Value::object(std::make_shared<Cycler>(args.positional));
}

Value make_joiner(Runtime&, const CallArgs& args) {
  const std::string separator = Arguments("joiner", args, {"sep"}).text(0, ", ");
  return make_function("joiner", [separator, used = false](Runtime&, const CallArgs&) mutable {
    return Value::text(std::exchange(used, true) ? separator : "");
  });
}

Value raise_exception(Runtime&, const CallArgs& args) {
  throw ChatRefusal(to_text(Arguments("raise_exception", args, {"message"}, 1)[0]));
}

Value strftime_now(Runtime& runtime, const CallArgs& args) {
  // The space tells an empty result from a buffer that is too small.
  const std::string pattern = Arguments("strftime_now", args, {"format"}, 1).text(0) + " ";
  const std::time_t time = std::chrono::system_clock::to_time_t(runtime.now());
  std::tm local{};
  if (localtime_r(&time, &local) == nullptr) throw EvalError("the time cannot be expressed");
  std::string out(pattern.size() * 4 + 64, '\0');
  std::size_t size = 0;
  while ((size = std::strftime(out.data(), out.size(), pattern.c_str(), &local)) == 0) {
    runtime.charge(out.size() * 4);
    out.resize(out.size() * 4);
  }
  out.resize(size - 1);
  return Value::text(std::move(out));
}

}  // namespace

std::vector<std::pair<std::string, Value>> global_functions() {
  std::vector<std::pair<std::string, Value>> all;
  auto add = [&](const char* name, Function::Body body) {
    all.emplace_back(name, make_function(name, std::move(body)));
  };
  add("range", range);
  add("dict", make_dict);
  add("namespace", make_namespace);
  add("cycler", make_cycler);
  add("joiner", make_joiner);
  add("raise_exception", raise_exception);
  add("strftime_now", strftime_now);
  return all;
}

}  // namespace lazuli::lm::chat
