#include <lazuli/lm/chat/expression_parser.h>

#include <algorithm>

#include <fmt/format.h>

#include <lazuli/lm/chat/text.h>

namespace lazuli::lm::chat {

Target ExpressionParser::parse_single_target(bool with_attribute) {
  const Nesting nesting(*this);
  if (accept_sign("(")) {
    Target target = parse_target(with_attribute);
    expect_sign(")");
    return target;
  }
  Target target;
  target.name = expect_name();
  for (std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
    if (target.name == constant) fail(fmt::format("can't assign to '{}'", constant));
  }
  if (with_attribute && accept_sign(".")) target.attribute = expect_name();
  return target;
}

Target ExpressionParser::parse_target(bool with_attribute) {
  Target first = parse_single_target(with_attribute);
  if (!is_sign(",")) return first;
  Target all;
  all.parts.push_back(std::move(first));
  while (accept_sign(",")) {
    const bool more = (current().kind == TokenKind::name && current().text != "in") || is_sign("(");
    if (!more) break;
    all.parts.push_back(parse_single_target(with_attribute));
  }
  return all;
}

bool ExpressionParser::at_tuple_end(Names also) const {
  return current().kind == TokenKind::print_end || current().kind == TokenKind::block_end || is_sign(")") ||
         std::any_of(also.begin(), also.end(), [&](std::string_view name) { return is_name(name); });
}

ExprPtr ExpressionParser::parse_tuple(bool with_conditional, Names ends, bool in_parentheses) {
  const int at = line();
  ListLiteral tuple{true, {}};
  bool is_tuple = false;
  while (!at_tuple_end(ends)) {
    tuple.items.push_back(with_conditional ? parse_expression() : parse_or());
    if (!accept_sign(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !tuple.items.empty()) return std::move(tuple.items.front());
  if (tuple.items.empty() && !in_parentheses) {
    fail(fmt::format("Expected an expression, got '{}'", describe(current())));
  }
  return make(at, std::move(tuple));
}

ExprPtr ExpressionParser::parse_expression() {
  const Nesting nesting(*this);
  const int at = line();
  ExprPtr value = parse_or();
  if (!accept_name("if")) return value;
  Conditional node;
  node.value = std::move(value);
  node.condition = parse_or();
  if (accept_name("else")) node.otherwise = parse_expression();
  return make(at, std::move(node));
}

ExprPtr ExpressionParser::parse_logic(bool is_and) {
  const int at = line();
  auto operand = [&] { return is_and ? parse_not() : parse_logic(true); };
  ExprPtr first = operand();
  const std::string_view word = is_and ? "and" : "or";
  if (!is_name(word)) return first;
  Logic node{is_and, {}};
  node.operands.push_back(std::move(first));
  while (accept_name(word)) node.operands.push_back(operand());
  return make(at, std::move(node));
}

ExprPtr ExpressionParser::parse_not() {
  const Nesting nesting(*this);
  const int at = line();
  if (accept_name("not")) return make(at, Unary{UnaryOp::logical_not, parse_not()});
  return parse_compare();
}

std::optional<CompareOp> ExpressionParser::accept_compare() {
  static constexpr std::pair<std::string_view, CompareOp> kOps[] = {
      {"==", CompareOp::equal},      {"!=", CompareOp::not_equal}, {"<", CompareOp::less},
      {"<=", CompareOp::less_equal}, {">", CompareOp::greater},    {">=", CompareOp::greater_equal}};
  for (const auto& [sign, op] : kOps) {
    if (accept_sign(sign)) return op;
  }
  if (accept_name("in")) return CompareOp::in;
  if (is_name("not") && next().kind == TokenKind::name && next().text == "in") {
    take();
    take();
    return CompareOp::not_in;
  }
  return {};
}

ExprPtr ExpressionParser::parse_compare() {
  const int at = line();
  ExprPtr first = parse_sum();
  CompareChain node;
  while (const std::optional<CompareOp> op = accept_compare()) node.rest.emplace_back(*op, parse_sum());
  if (node.rest.empty()) return first;
  node.first = std::move(first);
  return make(at, std::move(node));
}

template <typename Operand>
ExprPtr ExpressionParser::parse_chain(std::initializer_list<std::pair<std::string_view, BinaryOp>> ops,
                                      Operand operand) {
  const int at = line();
  ExprPtr first = operand();
  Arithmetic node;
  auto accept_op = [&]() -> std::optional<BinaryOp> {
    for (const auto& [sign, op] : ops) {
      if (accept_sign(sign)) return op;
    }
    return {};
  };
  while (const std::optional<BinaryOp> op = accept_op()) node.rest.emplace_back(*op, operand());
  if (node.rest.empty()) return first;
  node.first = std::move(first);
  return make(at, std::move(node));
}

ExprPtr ExpressionParser::parse_sum() {
  return parse_chain({{"+", BinaryOp::add}, {"-", BinaryOp::subtract}},
                     [&] { return parse_concatenation(); });
}

ExprPtr ExpressionParser::parse_concatenation() {
  const int at = line();
  ExprPtr first = parse_product();
  if (!is_sign("~")) return first;
  Concatenation node;
  node.parts.push_back(std::move(first));
  while (accept_sign("~")) node.parts.push_back(parse_product());
  return make(at, std::move(node));
}

ExprPtr ExpressionParser::parse_product() {
  return parse_chain({{"*", BinaryOp::multiply},
                      {"/", BinaryOp::divide},
                      {"//", BinaryOp::floor_divide},
                      {"%", BinaryOp::modulo}},
                     [&] { return parse_power(); });
}

ExprPtr ExpressionParser::parse_power() {
  return parse_chain({{"**", BinaryOp::power}}, [&] { return parse_unary(true); });
}

ExprPtr ExpressionParser::parse_unary(bool with_filters) {
  const Nesting nesting(*this);
  const int at = line();
  ExprPtr base;
  if (accept_sign("-")) {
    base = make(at, Unary{UnaryOp::negate, parse_unary(false)});
  } else if (accept_sign("+")) {
    base = make(at, Unary{UnaryOp::plus, parse_unary(false)});
  } else {
    base = parse_primary();
  }
  return parse_postfix(std::move(base), with_filters);
}

ExprPtr ExpressionParser::parse_postfix(ExprPtr base, bool with_filters) {
  const int at = base->line;
  Postfix node;
  while (true) {
    const int step_line = line();
    if (accept_sign(".")) {
      node.steps.push_back({step_line, parse_dot()});
    } else if (accept_sign("[")) {
      node.steps.push_back(parse_subscript(step_line));
    } else if (accept_sign("(")) {
      node.steps.push_back({step_line, parse_arguments()});
    } else {
      break;
    }
  }
  while (with_filters) {
    const int step_line = line();
    if (accept_sign("|")) {
      node.steps.push_back({step_line, parse_filter()});
    } else if (accept_name("is")) {
      node.steps.push_back({step_line, parse_test()});
    } else if (accept_sign("(")) {
      node.steps.push_back({step_line, parse_arguments()});
    } else {
      break;
    }
  }
  if (node.steps.empty()) return base;
  node.base = std::move(base);
  return make(at, std::move(node));
}

std::variant<AttributeStep, IndexStep, SliceStep, CallSyntax, FilterStep, TestStep>
ExpressionParser::parse_dot() {
  if (current().kind == TokenKind::name) return AttributeStep{take().text};
  if (current().kind != TokenKind::integer) fail("expected name or number");
  const int at = line();
  return IndexStep{make(at, Literal{parse_integer_token()})};
}

PostfixStep ExpressionParser::parse_subscript(int at) {
  const Nesting nesting(*this);
  ExprPtr start;
  if (!is_sign(":")) {
    start = parse_expression();
    if (is_sign(",")) {
      ListLiteral tuple{true, {}};
      tuple.items.push_back(std::move(start));
      while (accept_sign(",") && !is_sign("]")) tuple.items.push_back(parse_expression());
      start = make(at, std::move(tuple));
    }
    if (accept_sign("]")) return {at, IndexStep{std::move(start)}};
  }
  expect_sign(":");
  SliceStep slice;
  slice.start = std::move(start);
  if (!is_sign(":") && !is_sign("]")) slice.stop = parse_expression();
  if (accept_sign(":") && !is_sign("]")) slice.step = parse_expression();
  expect_sign("]");
  return {at, std::move(slice)};
}

CallSyntax ExpressionParser::parse_arguments() {
  const Nesting nesting(*this);
  CallSyntax call;
  bool first = true;
  while (!is_sign(")")) {
    if (!first) {
      expect_sign(",");
      if (is_sign(")")) break;
    }
    first = false;
    if (call.named_dict != nullptr) fail("invalid syntax for function call expression");
    if (accept_sign("*")) {
      if (call.positional_list != nullptr) fail("invalid syntax for function call expression");
      call.positional_list = parse_expression();
    } else if (accept_sign("**")) {
      call.named_dict = parse_expression();
    } else if (current().kind == TokenKind::name && next().kind == TokenKind::sign && next().text == "=") {
      std::string name = take().text;
      take();
      call.named.emplace_back(std::move(name), parse_expression());
    } else {
      if (!call.named.empty() || call.positional_list != nullptr) {
        fail("invalid syntax for function call expression");
      }
      call.positional.push_back(parse_expression());
    }
  }
  expect_sign(")");
  return call;
}

std::string ExpressionParser::parse_dotted_name() {
  std::string name = expect_name();
  while (accept_sign(".")) name += "." + expect_name();
  return name;
}

FilterStep ExpressionParser::parse_filter() {
  FilterStep filter;
  filter.name = parse_dotted_name();
  if (accept_sign("(")) filter.args = parse_arguments();
  return filter;
}

std::vector<PostfixStep> ExpressionParser::parse_filters(bool bare_first) {
  std::vector<PostfixStep> filters;
  while (bare_first || is_sign("|")) {
    if (!std::exchange(bare_first, false)) take();
    const int at = line();
    filters.push_back({at, parse_filter()});
  }
  return filters;
}

TestStep ExpressionParser::parse_test() {
  TestStep test;
  test.negated = accept_name("not");
  test.name = parse_dotted_name();
  if (accept_sign("(")) {
    test.args = parse_arguments();
    return test;
  }
  const Token& token = current();
  const bool literal =
      token.kind == TokenKind::text || token.kind == TokenKind::integer || token.kind == TokenKind::real;
  const bool word =
      token.kind == TokenKind::name && token.text != "else" && token.text != "or" && token.text != "and";
  if (word && token.text == "is") fail("You cannot chain multiple tests with is");
  if (literal || word || is_sign("[") || is_sign("{")) {
    test.args.positional.push_back(parse_postfix(parse_primary(), false));
  }
  return test;
}

Value ExpressionParser::parse_integer_token() {
  const Token token = take();
  const std::optional<std::int64_t> value = parse_integer(token.text, 0);
  if (!value) throw_syntax_error(token.line, fmt::format("'{}' is no integer of 64 bits", token.text));
  return Value::integer(*value);
}

ExprPtr ExpressionParser::parse_name() {
  const Token token = take();
  const std::string& name = token.text;
  if (name == "true" || name == "True") return make(token.line, Literal{Value::boolean(true)});
  if (name == "false" || name == "False") return make(token.line, Literal{Value::boolean(false)});
  if (name == "none" || name == "None") return make(token.line, Literal{Value::none()});
  for (MacroDefinition* macro : macros_) {
    macro->uses_varargs |= name == "varargs";
    macro->uses_kwargs |= name == "kwargs";
    macro->uses_caller |= name == "caller";
  }
  return make(token.line, Name{name});
}

ExprPtr ExpressionParser::parse_primary() {
  const Nesting nesting(*this);
  const int at = line();
  switch (current().kind) {
    case TokenKind::name:
      return parse_name();
    case TokenKind::text: {
      std::string text;
      while (current().kind == TokenKind::text) text += take().text;
      return make(at, Literal{Value::text(std::move(text))});
    }
    case TokenKind::integer:
      return make(at, Literal{parse_integer_token()});
    case TokenKind::real: {
      const std::optional<double> value = parse_real(take().text);
      if (!value) throw_syntax_error(at, "a number is malformed");
      return make(at, Literal{Value::real(*value)});
    }
    default:
      break;
  }
  if (accept_sign("(")) {
    ExprPtr value = parse_tuple(true, {}, true);
    expect_sign(")");
    return value;
  }
  if (accept_sign("[")) return parse_list(at);
  if (accept_sign("{")) return parse_dict(at);
  if (current().kind == TokenKind::sign) fail(fmt::format("unexpected '{}'", current().text));
  fail(fmt::format("Expected an expression, got '{}'", describe(current())));
}

ExprPtr ExpressionParser::parse_list(int at) {
  ListLiteral list;
  while (!is_sign("]")) {
    if (!list.items.empty()) {
      expect_sign(",");
      if (is_sign("]")) break;
    }
    list.items.push_back(parse_expression());
  }
  expect_sign("]");
  return make(at, std::move(list));
}

ExprPtr ExpressionParser::parse_dict(int at) {
  DictLiteral dict;
  while (!is_sign("}")) {
    if (!dict.entries.empty()) {
      expect_sign(",");
      if (is_sign("}")) break;
    }
    ExprPtr key = parse_expression();
    expect_sign(":");
    dict.entries.emplace_back(std::move(key), parse_expression());
  }
  expect_sign("}");
  return make(at, std::move(dict));
}

}  // namespace lazuli::lm::chat
