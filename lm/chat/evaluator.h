#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <lazuli/lm/chat/ast.h>
#include <lazuli/lm/chat/runtime.h>
#include <lazuli/lm/chat/scope.h>

namespace lazuli::lm::chat {

/// Renders one template once.
class Evaluator : public Runtime {
 public:
  explicit Evaluator(std::chrono::system_clock::time_point now);
  ~Evaluator() override;
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  void set_variable(const std::string& name, Value value) { root_->set(name, std::move(value)); }

  /// The text that the template renders to. Throws std::runtime_error `[chat template] line 12: message` for
  /// errors, and lets ChatRefusal pass.
  std::string run(const Block& program);

  Value call(const Value& callee, const CallArgs& args) override;
  Value filter(std::string_view name, const Value& input, const CallArgs& args) override;
  bool test(std::string_view name, const Value& input, const CallArgs& args) override;
  std::shared_ptr<Namespace> new_namespace() override;
  std::chrono::system_clock::time_point now() const override { return now_; }

  /// Calls a macro that was defined in `scope`.
  Value call_macro(const MacroDefinition& macro, const ScopePtr& scope, const CallArgs& args);
  /// Runs a recursive loop once more, over `items`.
  Value call_loop(const For& loop, const ScopePtr& scope, const Value& items, int depth);

 private:
  enum class Flow { proceed, leave_loop, next_turn };
  class Nesting;

  Flow exec_block(const Block& block, const ScopePtr& scope);
  Flow exec_each(const Block& block, const ScopePtr& scope, std::string& out);
  Flow exec(const Data& node, const ScopePtr& scope);
  Flow exec(const Print& node, const ScopePtr& scope);
  Flow exec(const If& node, const ScopePtr& scope);
  Flow exec(const For& node, const ScopePtr& scope);
  Flow exec(const Set& node, const ScopePtr& scope);
  Flow exec(const SetBlock& node, const ScopePtr& scope);
  Flow exec(const MacroDefinition& node, const ScopePtr& scope);
  Flow exec(const CallBlock& node, const ScopePtr& scope);
  Flow exec(const FilterBlock& node, const ScopePtr& scope);
  Flow exec(const With& node, const ScopePtr& scope);
  Flow exec(const Autoescape& node, const ScopePtr& scope);
  Flow exec(const LoopControl& node, const ScopePtr& scope);

  Flow run_loop(const For& loop, const ScopePtr& scope, const Value& iterable, int depth);
  std::vector<Value> loop_items(const For& loop, const ScopePtr& scope, const Value& iterable);
  void assign(const Target& target, const Value& value, const ScopePtr& scope);
  void print(const Value& value);
  void append(std::string_view text);
  ScopePtr inner(const ScopePtr& scope);
  ScopePtr capture(const ScopePtr& scope);

  Value eval(const Expr& expr, const ScopePtr& scope);
  Value eval(const ExprPtr& expr, const ScopePtr& scope) { return eval(*expr, scope); }
  Value eval_optional(const ExprPtr& expr, const ScopePtr& scope);
  Value eval_node(const Literal& node, const ScopePtr& scope);
  Value eval_node(const Name& node, const ScopePtr& scope);
  Value eval_node(const ListLiteral& node, const ScopePtr& scope);
  Value eval_node(const DictLiteral& node, const ScopePtr& scope);
  Value eval_node(const Unary& node, const ScopePtr& scope);
  Value eval_node(const Arithmetic& node, const ScopePtr& scope);
  Value eval_node(const Concatenation& node, const ScopePtr& scope);
  Value eval_node(const Logic& node, const ScopePtr& scope);
  Value eval_node(const CompareChain& node, const ScopePtr& scope);
  Value eval_node(const Conditional& node, const ScopePtr& scope);
  Value eval_node(const Postfix& node, const ScopePtr& scope);
  Value eval_call(const Postfix& node, const ScopePtr& scope, const Value* caller);

  Value apply(const AttributeStep& step, const Value& value, const ScopePtr& scope);
  Value apply(const IndexStep& step, const Value& value, const ScopePtr& scope);
  Value apply(const SliceStep& step, const Value& value, const ScopePtr& scope);
  Value apply(const CallSyntax& step, const Value& value, const ScopePtr& scope);
  Value apply(const FilterStep& step, const Value& value, const ScopePtr& scope);
  Value apply(const TestStep& step, const Value& value, const ScopePtr& scope);
  Value apply_step(const PostfixStep& step, const Value& value, const ScopePtr& scope);
  Value apply_filters(const std::vector<PostfixStep>& filters, Value value, const ScopePtr& scope);
  CallArgs eval_args(const CallSyntax& syntax, const ScopePtr& scope);

  std::chrono::system_clock::time_point now_;
  ScopePtr root_;
  std::string* out_ = nullptr;
  bool autoescape_ = false;
  int line_ = 1;
  int depth_ = 0;
  // Namespaces and the scopes of macros can hold each other in circles and long chains. They live until the
  // end, and are then emptied one by one.
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  std::vector<ScopePtr> captured_;
};

}  // namespace lazuli::lm::chat
