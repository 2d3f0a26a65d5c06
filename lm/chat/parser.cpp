#include <lazuli/lm/chat/lexer.h>
#include <lazuli/lm/chat/parser.h>
#include <lazuli/lm/chat/text.h>

#include <algorithm>
#include <initializer_list>

#include <fmt/format.h>

namespace lazuli::lm::chat {
namespace {

// Deeper nesting than any template needs would exhaust the stack.
constexpr int kMaxNesting = 400;

using Names = std::initializer_list<std::string_view>;

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)) {}

  Block run() { return parse_block({}); }

 private:
  /// One level of nesting.
  class Nesting {
   public:
    explicit Nesting(Parser& parser) : parser_(parser) {
      if (++parser_.nesting_ > kMaxNesting) parser_.fail("the template nests too deeply");
    }
    ~Nesting() { --parser_.nesting_; }

   private:
    Parser& parser_;
  };

  // Tokens.

  const Token& current() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  int line() const { return current().line; }

  Token take() {
    const Token token = current();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }

  bool is_sign(std::string_view sign) const {
    return current().kind == TokenKind::sign && current().text == sign;
  }
  bool is_name(std::string_view name) const {
    return current().kind == TokenKind::name && current().text == name;
  }

  bool accept_sign(std::string_view sign) {
    if (!is_sign(sign)) return false;
    take();
    return true;
  }

  bool accept_name(std::string_view name) {
    if (!is_name(name)) return false;
    take();
    return true;
  }

  [[noreturn]] void fail(std::string_view message) const { throw_syntax_error(line(), message); }

  [[noreturn]] void fail_expected(std::string_view what) const {
    if (current().kind == TokenKind::end)
      fail(fmt::format("unexpected end of template, expected '{}'.", what));
    fail(fmt::format("expected token '{}', got '{}'", what, describe(current())));
  }

  void expect_sign(std::string_view sign) {
    if (!accept_sign(sign)) fail_expected(sign);
  }

  std::string expect_name() {
    if (current().kind != TokenKind::name) fail_expected("name");
    return take().text;
  }

  void expect_end(TokenKind kind) {
    if (current().kind != kind) fail_expected(describe({kind, "", 0}));
    take();
  }

  template <typename Node>
  static ExprPtr make(int line, Node node) {
    return std::make_unique<Expr>(Expr{line, std::move(node)});
  }

  // Statements.

  // Reads statements up to a tag whose name is in `ends`, and stops at that name; without `ends` up to the
  // end.
  Block parse_block(Names ends) {
    const Nesting nesting(*this);
    Block block;
    while (true) {
      const int at = line();
      switch (current().kind) {
        case TokenKind::data:
          block.push_back({at, Data{take().text}});
          break;
        case TokenKind::print_begin:
          take();
          block.push_back({at, Print{parse_tuple()}});
          expect_end(TokenKind::print_end);
          break;
        case TokenKind::block_begin:
          take();
          if (std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return is_name(end); }))
            return block;
          block.push_back(parse_statement(ends));
          expect_end(TokenKind::block_end);
          break;
        default:
          if (ends.size() == 0 && current().kind == TokenKind::end) return block;
          fail(fmt::format("Unexpected end of template. Jinja was looking for the following tags: {}.",
                           listed(ends)));
      }
    }
  }

  static std::string listed(Names names) {
    std::string out;
    for (std::string_view name : names) out += fmt::format("{}'{}'", out.empty() ? "" : " or ", name);
    return out;
  }

  // As parse_block, and skips the one tag that can end it.
  Block parse_body(std::string_view end) {
    expect_end(TokenKind::block_end);
    Block block = parse_block({end});
    take();
    return block;
  }

  Statement parse_statement(Names ends) {
    const int at = line();
    if (current().kind != TokenKind::name) fail("tag name expected");
    const std::string tag = take().text;
    if (tag == "if") return {at, parse_if()};
    if (tag == "for") return {at, parse_for()};
    if (tag == "set") return parse_set(at);
    if (tag == "macro") return {at, parse_macro()};
    if (tag == "call") return {at, parse_call_block()};
    if (tag == "filter") return {at, parse_filter_block()};
    if (tag == "with") return {at, parse_with()};
    if (tag == "autoescape") return {at, parse_autoescape()};
    if (tag == "print") return {at, Print{parse_tuple()}};
    if (tag == "generation") return {at, With{{}, parse_body("endgeneration")}};
    if (tag == "block") return {at, parse_named_block()};
    if (tag == "break" || tag == "continue") {
      if (loops_ == 0) throw_syntax_error(at, fmt::format("'{}' outside of a loop", tag));
      return {at, LoopControl{tag == "break"}};
    }
    for (std::string_view other : {"include", "import", "from", "extends"}) {
      if (tag == other)
        throw_syntax_error(at, fmt::format("'{}' needs another template, and there is none", tag));
    }
    std::string message = fmt::format("Encountered unknown tag '{}'.", tag);
    if (ends.size() > 0)
      message += fmt::format(" Jinja was looking for the following tags: {}.", listed(ends));
    throw_syntax_error(at, message);
  }

  If parse_if() {
    If node;
    do {
      ExprPtr condition = parse_tuple(false);
      expect_end(TokenKind::block_end);
      Block body = parse_block({"elif", "else", "endif"});
      node.branches.emplace_back(std::move(condition), std::move(body));
    } while (accept_name("elif"));
    if (accept_name("else")) {
      node.otherwise = parse_body("endif");
    } else {
      take();
    }
    return node;
  }

  For parse_for() {
    For node;
    node.target = parse_target(false);
    if (!accept_name("in")) fail_expected("in");
    node.iterable = parse_tuple(false, {"recursive"});
    if (accept_name("if")) node.condition = parse_expression();
    node.recursive = accept_name("recursive");
    expect_end(TokenKind::block_end);
    ++loops_;
    node.body = parse_block({"endfor", "else"});
    --loops_;
    if (accept_name("else")) {
      node.otherwise = parse_body("endfor");
    } else {
      take();
    }
    return node;
  }

  Statement parse_set(int at) {
    Target target = parse_target(true);
    if (accept_sign("=")) return {at, Set{std::move(target), parse_tuple()}};
    SetBlock node;
    node.target = std::move(target);
    node.filters = parse_filters(false);
    node.body = parse_body("endset");
    return {at, std::move(node)};
  }

  // A body of its own: loops around it cannot be left from inside.
  Block parse_closed_body(std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    Block body = parse_body(end);
    loops_ = loops;
    return body;
  }

  void parse_signature(MacroDefinition& macro) {
    expect_sign("(");
    while (!is_sign(")")) {
      if (!macro.parameters.empty()) expect_sign(",");
      macro.parameters.push_back(expect_name());
      if (accept_sign("=")) {
        macro.defaults.push_back(parse_expression());
      } else if (!macro.defaults.empty()) {
        fail("non-default argument follows default argument");
      }
    }
    expect_sign(")");
  }

  void parse_macro_body(MacroDefinition& macro, std::string_view end) {
    macros_.push_back(&macro);
    macro.body = parse_closed_body(end);
    macros_.pop_back();
  }

  MacroDefinition parse_macro() {
    MacroDefinition macro;
    macro.name = expect_name();
    parse_signature(macro);
    parse_macro_body(macro, "endmacro");
    return macro;
  }

  CallBlock parse_call_block() {
    CallBlock node;
    node.body.name = "caller";
    if (is_sign("(")) parse_signature(node.body);
    node.call = parse_expression();
    const Postfix* call = std::get_if<Postfix>(&node.call->what);
    if (call == nullptr || !std::holds_alternative<CallSyntax>(call->steps.back().what))
      fail("expected call");
    parse_macro_body(node.body, "endcall");
    return node;
  }

  FilterBlock parse_filter_block() {
    FilterBlock node;
    node.filters = parse_filters(true);
    node.body = parse_body("endfilter");
    return node;
  }

  With parse_with() {
    With node;
    while (current().kind != TokenKind::block_end) {
      if (!node.variables.empty()) expect_sign(",");
      Target target = parse_target(false);
      expect_sign("=");
      node.variables.emplace_back(std::move(target), parse_expression());
    }
    node.body = parse_body("endwith");
    return node;
  }

  Autoescape parse_autoescape() {
    Autoescape node;
    node.enabled = parse_expression();
    node.body = parse_body("endautoescape");
    return node;
  }

  With parse_named_block() {
    const std::string name = expect_name();
    while (accept_name("scoped") || accept_name("required")) {
    }
    With node{{}, parse_body("endblock")};
    accept_name(name);
    return node;
  }

  Target parse_single_target(bool with_attribute) {
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

  Target parse_target(bool with_attribute) {
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

  // Expressions.

  bool at_tuple_end(Names also) const {
    return current().kind == TokenKind::print_end || current().kind == TokenKind::block_end || is_sign(")") ||
           std::any_of(also.begin(), also.end(), [&](std::string_view name) { return is_name(name); });
  }

  // One expression, or several with commas between them.
  ExprPtr parse_tuple(bool with_conditional = true, Names ends = {}, bool in_parentheses = false) {
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

  ExprPtr parse_expression() {
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

  ExprPtr parse_logic(bool is_and) {
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

  ExprPtr parse_or() { return parse_logic(false); }

  ExprPtr parse_not() {
    const Nesting nesting(*this);
    const int at = line();
    if (accept_name("not")) return make(at, Unary{UnaryOp::logical_not, parse_not()});
    return parse_compare();
  }

  std::optional<CompareOp> accept_compare() {
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

  ExprPtr parse_compare() {
    const int at = line();
    ExprPtr first = parse_sum();
    CompareChain node;
    while (const std::optional<CompareOp> op = accept_compare()) node.rest.emplace_back(*op, parse_sum());
    if (node.rest.empty()) return first;
    node.first = std::move(first);
    return make(at, std::move(node));
  }

  template <typename Operand>
  ExprPtr parse_chain(std::initializer_list<std::pair<std::string_view, BinaryOp>> ops, Operand operand) {
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

  ExprPtr parse_sum() {
    return parse_chain({{"+", BinaryOp::add}, {"-", BinaryOp::subtract}},
                       [&] { return parse_concatenation(); });
  }

  ExprPtr parse_concatenation() {
    const int at = line();
    ExprPtr first = parse_product();
    if (!is_sign("~")) return first;
    Concatenation node;
    node.parts.push_back(std::move(first));
    while (accept_sign("~")) node.parts.push_back(parse_product());
    return make(at, std::move(node));
  }

  ExprPtr parse_product() {
    return parse_chain({{"*", BinaryOp::multiply},
                        {"/", BinaryOp::divide},
                        {"//", BinaryOp::floor_divide},
                        {"%", BinaryOp::modulo}},
                       [&] { return parse_power(); });
  }

  ExprPtr parse_power() {
    return parse_chain({{"**", BinaryOp::power}}, [&] { return parse_unary(true); });
  }

  ExprPtr parse_unary(bool with_filters) {
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

  // Reads what follows `base`: attributes, items and calls, then (with filters) filters, tests and calls.
  ExprPtr parse_postfix(ExprPtr base, bool with_filters) {
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

  std::variant<AttributeStep, IndexStep, SliceStep, CallSyntax, FilterStep, TestStep> parse_dot() {
    if (current().kind == TokenKind::name) return AttributeStep{take().text};
    if (current().kind != TokenKind::integer) fail("expected name or number");
    const int at = line();
    return IndexStep{make(at, Literal{parse_integer_token()})};
  }

  PostfixStep parse_subscript(int at) {
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

  // Behind the opening parenthesis of a call.
  CallSyntax parse_arguments() {
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

  std::string parse_dotted_name() {
    std::string name = expect_name();
    while (accept_sign(".")) name += "." + expect_name();
    return name;
  }

  FilterStep parse_filter() {
    FilterStep filter;
    filter.name = parse_dotted_name();
    if (accept_sign("(")) filter.args = parse_arguments();
    return filter;
  }

  // Filters behind a `set` or `filter` tag.
  std::vector<PostfixStep> parse_filters(bool bare_first) {
    std::vector<PostfixStep> filters;
    while (bare_first || is_sign("|")) {
      if (!std::exchange(bare_first, false)) take();
      const int at = line();
      filters.push_back({at, parse_filter()});
    }
    return filters;
  }

  TestStep parse_test() {
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

  Value parse_integer_token() {
    const Token token = take();
    const std::optional<std::int64_t> value = parse_integer(token.text, 0);
    if (!value) throw_syntax_error(token.line, fmt::format("'{}' is no integer of 64 bits", token.text));
    return Value::integer(*value);
  }

  ExprPtr parse_name() {
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

  ExprPtr parse_primary() {
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

  ExprPtr parse_list(int at) {
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

  ExprPtr parse_dict(int at) {
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

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int nesting_ = 0;
  int loops_ = 0;
  std::vector<MacroDefinition*> macros_;
};

}  // namespace

Block parse(std::string_view source) {
  return Parser(source).run();
}

}  // namespace lazuli::lm::chat
