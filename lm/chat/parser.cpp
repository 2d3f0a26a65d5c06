#include <lazuli/lm/chat/parser.h>

#include <fmt/format.h>

#include <lazuli/lm/chat/expression_parser.h>
#include <lazuli/lm/chat/text.h>

namespace lazuli::lm::chat {
namespace {

/// Reads the statements of templates: what stands between tags, and the tags.
class Parser : private ExpressionParser {
 public:
  explicit Parser(std::string_view source) : ExpressionParser(source) {}

  Block run() { return parse_block({}); }

 private:
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

  int loops_ = 0;
};

}  // namespace

Block parse(std::string_view source) {
  return Parser(source).run();
}

}  // namespace lazuli::lm::chat
