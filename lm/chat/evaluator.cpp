#include <lazuli/lm/chat/attributes.h>
#include <lazuli/lm/chat/evaluator.h>
#include <lazuli/lm/chat/filters.h>
#include <lazuli/lm/chat/format.h>
#include <lazuli/lm/chat/globals.h>
#include <lazuli/lm/chat/lexer.h>
#include <lazuli/lm/chat/loop.h>
#include <lazuli/lm/chat/tests.h>
#include <lazuli/lm/chat/text.h>

#include <algorithm>

#include <fmt/format.h>

namespace lazuli::lm::chat {
namespace {

// Levels of expressions, blocks and calls, each of which takes some stack.
constexpr int kMaxDepth = 1000;

// What one namespace or kept scope counts as, in bytes: this bounds their number.
constexpr std::size_t kKeptSize = 8192;

constexpr std::size_t kMaxOutput = std::size_t{32} << 20;

// What one turn of a loop counts as, in steps.
constexpr std::size_t kTurnSteps = 10;

class Macro : public Object {
 public:
  Macro(Evaluator& evaluator, const MacroDefinition& definition, ScopePtr scope)
      : evaluator_(evaluator), definition_(definition), scope_(std::move(scope)) {}
  std::string type_name() const override { return "Macro"; }
  std::string repr() const override { return fmt::format("<Macro '{}'>", definition_.name); }
  bool callable() const override { return true; }
  Value call(Runtime&, const CallArgs& args) override {
    return evaluator_.call_macro(definition_, scope_, args);
  }
  std::optional<Value> attribute(std::string_view name) const override {
    if (name == "name") return Value::text(definition_.name);
    if (name == "catch_kwargs") return Value::boolean(definition_.uses_kwargs);
    if (name == "catch_varargs") return Value::boolean(definition_.uses_varargs);
    if (name == "caller") return Value::boolean(definition_.uses_caller);
    if (name != "arguments") return {};
    std::vector<Value> names;
    for (const std::string& parameter : definition_.parameters) names.push_back(Value::text(parameter));
    return Value::tuple(std::move(names));
  }

 private:
  Evaluator& evaluator_;
  const MacroDefinition& definition_;
  ScopePtr scope_;
};

}  // namespace

/// One level of depth, while it lives.
class Evaluator::Nesting {
 public:
  explicit Nesting(Evaluator& evaluator) : depth_(evaluator.depth_) {
    evaluator.step();
    if (depth_ >= kMaxDepth) throw EvalError("maximum recursion depth exceeded");
    ++depth_;
  }
  ~Nesting() { --depth_; }

 private:
  int& depth_;
};

Evaluator::Evaluator(std::chrono::system_clock::time_point now) : now_(now) {
  auto globals = std::make_shared<Scope>();
  for (auto& [name, function] : global_functions()) globals->set(name, std::move(function));
  root_ = std::make_shared<Scope>(std::move(globals));
}

Evaluator::~Evaluator() {
  for (const auto& each : namespaces_) each->clear();
  for (const auto& scope : captured_) scope->clear();
  root_->clear();
}

std::string Evaluator::run(const Block& program) {
  std::string out;
  try {
    exec_each(program, root_, out);
  } catch (const EvalError& error) {
    throw_syntax_error(line_, error.what());
  }
  return out;
}

// Statements.

Evaluator::Flow Evaluator::exec_block(const Block& block, const ScopePtr& scope) {
  const Nesting nesting(*this);
  for (const Statement& statement : block) {
    step();
    line_ = statement.line;
    const Flow flow = std::visit([&](const auto& node) { return exec(node, scope); }, statement.what);
    if (flow != Flow::proceed) return flow;
  }
  return Flow::proceed;
}

// Runs a block whose output goes to `out`.
Evaluator::Flow Evaluator::exec_each(const Block& block, const ScopePtr& scope, std::string& out) {
  struct Redirection {
    Redirection(std::string*& where, std::string* to) : where_(where), before_(where) { where_ = to; }
    ~Redirection() { where_ = before_; }
    std::string*& where_;
    std::string* before_;
  } const redirection(out_, &out);
  return exec_block(block, scope);
}

ScopePtr Evaluator::inner(const ScopePtr& scope) {
  return std::make_shared<Scope>(scope);
}

ScopePtr Evaluator::capture(const ScopePtr& scope) {
  if (scope != root_ && (captured_.empty() || captured_.back() != scope)) {
    charge(kKeptSize);
    captured_.push_back(scope);
  }
  return scope;
}

void Evaluator::append(std::string_view text) {
  charge(text.size());
  *out_ += text;
  if (out_->size() > kMaxOutput) throw EvalError("the output grows too large");
}

void Evaluator::print(const Value& value) {
  if (autoescape_ && !value.is_safe()) {
    append(escape_html(to_text(value)));
  } else if (value.is(Kind::text)) {
    append(value.as_text());
  } else {
    append(to_text(value));
  }
}

Evaluator::Flow Evaluator::exec(const Data& node, const ScopePtr&) {
  append(node.text);
  return Flow::proceed;
}

Evaluator::Flow Evaluator::exec(const Print& node, const ScopePtr& scope) {
  print(eval(node.value, scope));
  return Flow::proceed;
}

Evaluator::Flow Evaluator::exec(const If& node, const ScopePtr& scope) {
  for (const auto& [condition, body] : node.branches) {
    if (eval(condition, scope).truthy()) return exec_block(body, scope);
  }
  return exec_block(node.otherwise, scope);
}

Evaluator::Flow Evaluator::exec(const For& node, const ScopePtr& scope) {
  return run_loop(node, scope, eval(node.iterable, scope), 0);
}

std::vector<Value> Evaluator::loop_items(const For& loop, const ScopePtr& scope, const Value& iterable) {
  std::vector<Value> items = to_list(iterable);
  charge(items.size() * sizeof(Value));
  step(items.size());
  if (loop.condition == nullptr) return items;
  std::vector<Value> kept;
  for (Value& item : items) {
    const ScopePtr turn = inner(scope);
    assign(loop.target, item, turn);
    if (eval(loop.condition, turn).truthy()) kept.push_back(std::move(item));
  }
  return kept;
}

Evaluator::Flow Evaluator::run_loop(const For& loop, const ScopePtr& scope, const Value& iterable,
                                    int depth) {
  // A loop that cannot be called needs no scope, and must not keep it alive.
  const ScopePtr kept = loop.recursive ? capture(scope) : nullptr;
  const auto state = std::make_shared<LoopState>(*this, loop, kept, loop_items(loop, scope, iterable), depth);
  const Value variable = Value::object(state);
  for (std::size_t i = 0; i < state->size(); ++i) {
    step(kTurnSteps);
    state->move_to(i);
    const ScopePtr turn = inner(scope);
    turn->set("loop", variable);
    assign(loop.target, state->item(i), turn);
    if (exec_block(loop.body, turn) == Flow::leave_loop) break;
  }
  return state->size() == 0 ? exec_block(loop.otherwise, inner(scope)) : Flow::proceed;
}

Evaluator::Flow Evaluator::exec(const Set& node, const ScopePtr& scope) {
  assign(node.target, eval(node.value, scope), scope);
  return Flow::proceed;
}

Evaluator::Flow Evaluator::exec(const SetBlock& node, const ScopePtr& scope) {
  std::string text;
  const Flow flow = exec_each(node.body, inner(scope), text);
  if (flow != Flow::proceed) return flow;
  assign(node.target, apply_filters(node.filters, Value::text(std::move(text), autoescape_), scope), scope);
  return Flow::proceed;
}

Evaluator::Flow Evaluator::exec(const MacroDefinition& node, const ScopePtr& scope) {
  scope->set(node.name, Value::object(std::make_shared<Macro>(*this, node, capture(scope))));
  return Flow::proceed;
}

Evaluator::Flow Evaluator::exec(const CallBlock& node, const ScopePtr& scope) {
  const Value caller = Value::object(std::make_shared<Macro>(*this, node.body, capture(scope)));
  print(eval_call(std::get<Postfix>(node.call->what), scope, &caller));
  return Flow::proceed;
}

Evaluator::Flow Evaluator::exec(const FilterBlock& node, const ScopePtr& scope) {
  std::string text;
  const Flow flow = exec_each(node.body, inner(scope), text);
  if (flow != Flow::proceed) return flow;
  print(apply_filters(node.filters, Value::text(std::move(text), autoescape_), scope));
  return Flow::proceed;
}

Evaluator::Flow Evaluator::exec(const With& node, const ScopePtr& scope) {
  const ScopePtr body_scope = inner(scope);
  for (const auto& [target, value] : node.variables) assign(target, eval(value, scope), body_scope);
  return exec_block(node.body, body_scope);
}

Evaluator::Flow Evaluator::exec(const Autoescape& node, const ScopePtr& scope) {
  struct Restore {
    bool& where;
    bool before;
    ~Restore() { where = before; }
  } const restore{autoescape_, autoescape_};
  autoescape_ = eval(node.enabled, scope).truthy();
  return exec_block(node.body, inner(scope));
}

Evaluator::Flow Evaluator::exec(const LoopControl& node, const ScopePtr&) {
  return node.is_break ? Flow::leave_loop : Flow::next_turn;
}

void Evaluator::assign(const Target& target, const Value& value, const ScopePtr& scope) {
  if (!target.attribute.empty()) {
    const Value* object = scope->find(target.name);
    Namespace* space = nullptr;
    if (object != nullptr && object->is(Kind::object))
      space = dynamic_cast<Namespace*>(object->as_object().get());
    if (space == nullptr) throw EvalError("cannot assign attribute on non-namespace object");
    space->set(target.attribute, value);
    return;
  }
  if (!target.name.empty()) {
    scope->set(target.name, value);
    return;
  }
  const bool single = value.is_number() || value.is(Kind::none);
  if (single) throw EvalError(fmt::format("cannot unpack non-iterable {} object", value.type_name()));
  const std::vector<Value> items = to_list(value);
  const std::size_t wanted = target.parts.size();
  if (items.size() > wanted) throw EvalError(fmt::format("too many values to unpack (expected {})", wanted));
  if (items.size() < wanted) {
    throw EvalError(fmt::format("not enough values to unpack (expected {}, got {})", wanted, items.size()));
  }
  for (std::size_t i = 0; i < wanted; ++i) assign(target.parts[i], items[i], scope);
}

// Calls.

Value Evaluator::call(const Value& callee, const CallArgs& args) {
  const Nesting nesting(*this);
  if (callee.is(Kind::undefined)) throw EvalError(callee.hint());
  if (!callee.is(Kind::object))
    throw EvalError(fmt::format("'{}' object is not callable", callee.type_name()));
  return callee.as_object()->call(*this, args);
}

Value Evaluator::filter(std::string_view name, const Value& input, const CallArgs& args) {
  step();
  const Filter found = find_filter(name);
  if (found == nullptr) throw EvalError(fmt::format("No filter named '{}'.", name));
  return found(*this, input, args);
}

bool Evaluator::test(std::string_view name, const Value& input, const CallArgs& args) {
  step();
  const Test found = find_test(name);
  if (found == nullptr) throw EvalError(fmt::format("No test named '{}'.", name));
  return found(input, args);
}

std::shared_ptr<Namespace> Evaluator::new_namespace() {
  charge(kKeptSize);
  namespaces_.push_back(std::make_shared<Namespace>());
  return namespaces_.back();
}

Value Evaluator::call_macro(const MacroDefinition& macro, const ScopePtr& scope, const CallArgs& args) {
  const ScopePtr body_scope = inner(scope);
  const std::size_t count = macro.parameters.size();
  const std::size_t without_default = count - macro.defaults.size();
  std::vector<bool> used(args.named.size(), false);
  auto take_named = [&](std::string_view name) -> const Value* {
    for (std::size_t i = 0; i < args.named.size(); ++i) {
      if (args.named[i].first != name || used[i]) continue;
      used[i] = true;
      return &args.named[i].second;
    }
    return nullptr;
  };
  for (std::size_t i = 0; i < count; ++i) {
    const std::string& name = macro.parameters[i];
    const Value* given = i < args.positional.size() ? &args.positional[i] : take_named(name);
    if (given != nullptr) {
      body_scope->set(name, *given);
    } else if (i >= without_default) {
      body_scope->set(name, eval(macro.defaults[i - without_default], body_scope));
    } else {
      body_scope->set(name, Value::undefined(fmt::format("parameter '{}' was not provided", name)));
    }
  }
  if (macro.uses_caller) {
    const Value* caller = take_named("caller");
    body_scope->set("caller", caller != nullptr ? *caller : Value::undefined("No caller defined"));
  }
  Dict rest;
  for (std::size_t i = 0; i < args.named.size(); ++i) {
    if (!used[i]) rest.set(Value::text(args.named[i].first), args.named[i].second);
  }
  if (macro.uses_kwargs) {
    body_scope->set("kwargs", Value::dict(rest));
  } else if (rest.find("caller") != nullptr) {
    throw EvalError(
        fmt::format("macro '{}' was invoked with two values for the special caller argument. "
                    "This is most likely a bug.",
                    macro.name));
  } else if (rest.size() > 0) {
    throw EvalError(
        fmt::format("macro '{}' takes no keyword argument {}", macro.name, to_repr(rest.entries()[0].first)));
  }
  if (macro.uses_varargs) {
    const auto first =
        args.positional.begin() + static_cast<std::ptrdiff_t>(std::min(count, args.positional.size()));
    body_scope->set("varargs", Value::tuple(std::vector<Value>(first, args.positional.end())));
  } else if (args.positional.size() > count) {
    throw EvalError(fmt::format("macro '{}' takes not more than {} argument(s)", macro.name, count));
  }
  std::string text;
  exec_each(macro.body, body_scope, text);
  return Value::text(std::move(text), autoescape_);
}

Value Evaluator::call_loop(const For& loop, const ScopePtr& scope, const Value& items, int depth) {
  struct Redirection {
    std::string*& where;
    std::string* before;
    ~Redirection() { where = before; }
  } const redirection{out_, out_};
  std::string text;
  out_ = &text;
  run_loop(loop, scope, items, depth);
  return Value::text(std::move(text), autoescape_);
}

CallArgs Evaluator::eval_args(const CallSyntax& syntax, const ScopePtr& scope) {
  CallArgs args;
  for (const ExprPtr& value : syntax.positional) args.positional.push_back(eval(value, scope));
  for (const auto& [name, value] : syntax.named) args.named.emplace_back(name, eval(value, scope));
  if (syntax.positional_list != nullptr) {
    for (Value& item : to_list(eval(syntax.positional_list, scope)))
      args.positional.push_back(std::move(item));
  }
  if (syntax.named_dict != nullptr) {
    const Value dict = eval(syntax.named_dict, scope);
    if (!dict.is(Kind::dict)) throw EvalError("argument after ** must be a mapping");
    for (const auto& [key, value] : dict.as_dict().entries()) {
      args.named.emplace_back(expect_text(key, "keywords"), value);
    }
  }
  return args;
}

// Expressions.

Value Evaluator::eval(const Expr& expr, const ScopePtr& scope) {
  const Nesting nesting(*this);
  line_ = expr.line;
  return std::visit([&](const auto& node) { return eval_node(node, scope); }, expr.what);
}

Value Evaluator::eval_optional(const ExprPtr& expr, const ScopePtr& scope) {
  return expr == nullptr ? Value::none() : eval(expr, scope);
}

Value Evaluator::eval_node(const Literal& node, const ScopePtr&) {
  return node.value;
}

Value Evaluator::eval_node(const Name& node, const ScopePtr& scope) {
  const Value* found = scope->find(node.name);
  return found != nullptr ? *found : Value::undefined(fmt::format("'{}' is undefined", node.name));
}

Value Evaluator::eval_node(const ListLiteral& node, const ScopePtr& scope) {
  std::vector<Value> items;
  items.reserve(node.items.size());
  for (const ExprPtr& item : node.items) items.push_back(eval(item, scope));
  return node.is_tuple ? Value::tuple(std::move(items)) : Value::list(std::move(items));
}

Value Evaluator::eval_node(const DictLiteral& node, const ScopePtr& scope) {
  Dict dict;
  for (const auto& [key, value] : node.entries) {
    const Value name = eval(key, scope);
    dict.set(name, eval(value, scope));
  }
  return Value::dict(std::move(dict));
}

Value Evaluator::eval_node(const Unary& node, const ScopePtr& scope) {
  return apply_unary(node.op, eval(node.operand, scope));
}

Value Evaluator::eval_node(const Arithmetic& node, const ScopePtr& scope) {
  Value value = eval(node.first, scope);
  for (const auto& [op, operand] : node.rest) value = apply_binary(*this, op, value, eval(operand, scope));
  return value;
}

Value Evaluator::eval_node(const Concatenation& node, const ScopePtr& scope) {
  std::string text;
  for (const ExprPtr& part : node.parts) {
    const Value value = eval(part, scope);
    text += value.is(Kind::text) ? value.as_text() : to_text(value);
    charge(text.size());
  }
  return Value::text(std::move(text));
}

Value Evaluator::eval_node(const Logic& node, const ScopePtr& scope) {
  Value value;
  for (const ExprPtr& operand : node.operands) {
    value = eval(operand, scope);
    if (value.truthy() != node.is_and) break;
  }
  return value;
}

Value Evaluator::eval_node(const CompareChain& node, const ScopePtr& scope) {
  Value left = eval(node.first, scope);
  for (const auto& [op, operand] : node.rest) {
    Value right = eval(operand, scope);
    if (!apply_compare(op, left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Evaluator::eval_node(const Conditional& node, const ScopePtr& scope) {
  if (eval(node.condition, scope).truthy()) return eval(node.value, scope);
  if (node.otherwise != nullptr) return eval(node.otherwise, scope);
  return Value::undefined(fmt::format(
      "the inline if-expression on line {} evaluated to false and no else section was defined.", line_));
}

Value Evaluator::eval_node(const Postfix& node, const ScopePtr& scope) {
  return eval_call(node, scope, nullptr);
}

// Evaluates a chain of steps; `caller` goes to the call that ends it.
Value Evaluator::eval_call(const Postfix& node, const ScopePtr& scope, const Value* caller) {
  Value value = eval(node.base, scope);
  for (const PostfixStep& each : node.steps) {
    step();
    line_ = each.line;
    if (caller != nullptr && &each == &node.steps.back()) {
      CallArgs args = eval_args(std::get<CallSyntax>(each.what), scope);
      args.named.emplace_back("caller", *caller);
      return call(value, args);
    }
    value = apply_step(each, value, scope);
  }
  return value;
}

Value Evaluator::apply_step(const PostfixStep& each, const Value& value, const ScopePtr& scope) {
  return std::visit([&](const auto& what) { return apply(what, value, scope); }, each.what);
}

Value Evaluator::apply_filters(const std::vector<PostfixStep>& filters, Value value, const ScopePtr& scope) {
  for (const PostfixStep& each : filters) value = apply_step(each, value, scope);
  return value;
}

Value Evaluator::apply(const AttributeStep& step, const Value& value, const ScopePtr&) {
  return get_attribute(value, step.name);
}

Value Evaluator::apply(const IndexStep& step, const Value& value, const ScopePtr& scope) {
  return get_item(value, eval(step.key, scope));
}

Value Evaluator::apply(const SliceStep& step, const Value& value, const ScopePtr& scope) {
  if (value.is(Kind::text)) charge(value.as_text().size());
  const Value start = eval_optional(step.start, scope);
  const Value stop = eval_optional(step.stop, scope);
  return get_slice(value, start, stop, eval_optional(step.step, scope));
}

Value Evaluator::apply(const CallSyntax& step, const Value& value, const ScopePtr& scope) {
  return call(value, eval_args(step, scope));
}

Value Evaluator::apply(const FilterStep& step, const Value& value, const ScopePtr& scope) {
  return filter(step.name, value, eval_args(step.args, scope));
}

Value Evaluator::apply(const TestStep& step, const Value& value, const ScopePtr& scope) {
  return Value::boolean(test(step.name, value, eval_args(step.args, scope)) != step.negated);
}

}  // namespace lazuli::lm::chat
