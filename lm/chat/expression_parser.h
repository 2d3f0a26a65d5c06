#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <lazuli/lm/chat/token_cursor.h>

namespace lazuli::lm::chat {

/// Reads the expressions of templates, from the loosest operators to the tightest.
class ExpressionParser : protected TokenCursor {
 protected:
  using TokenCursor::TokenCursor;

  ExprPtr parse_expression();
  /// One expression, or several with commas between them.
  ExprPtr parse_tuple(bool with_conditional = true, Names ends = {}, bool in_parentheses = false);
  /// What is assigned to: a name, one of its attributes, or several of these.
  Target parse_target(bool with_attribute);
  ExprPtr parse_or() { return parse_logic(false); }
  /// Behind the opening parenthesis of a call.
  CallSyntax parse_arguments();
  /// Filters behind a `set` or `filter` tag.
  std::vector<PostfixStep> parse_filters(bool bare_first);
  /// `base` with what follows it: attributes, items and calls, then (with filters) filters, tests and calls.
  ExprPtr parse_postfix(ExprPtr base, bool with_filters);
  ExprPtr parse_unary(bool with_filters);
  ExprPtr parse_primary();

  /// Those around this place, which are told of the special names that they use.
  std::vector<MacroDefinition*> macros_;

 private:
  Target parse_single_target(bool with_attribute);
  bool at_tuple_end(Names also) const;
  ExprPtr parse_logic(bool is_and);
  ExprPtr parse_not();
  std::optional<CompareOp> accept_compare();
  ExprPtr parse_compare();
  template <typename Operand>
  ExprPtr parse_chain(std::initializer_list<std::pair<std::string_view, BinaryOp>> ops, Operand operand);
  ExprPtr parse_sum();
  ExprPtr parse_concatenation();
  ExprPtr parse_product();
  ExprPtr parse_power();
  std::variant<AttributeStep, IndexStep, SliceStep, CallSyntax, FilterStep, TestStep> parse_dot();
  PostfixStep parse_subscript(int at);
  std::string parse_dotted_name();
  FilterStep parse_filter();
  TestStep parse_test();
  Value parse_integer_token();
  ExprPtr parse_name();
  ExprPtr parse_list(int at);
  ExprPtr parse_dict(int at);
};

}  // namespace lazuli::lm::chat
