#pragma once

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lazuli/lm/chat/ast.h>
#include <lazuli/lm/chat/lexer.h>

namespace lazuli::lm::chat {

/// Names that end something.
using Names = std::initializer_list<std::string_view>;

/// A place among the tokens of a template: what parsers of its parts have in common.
class TokenCursor {
 protected:
  explicit TokenCursor(std::string_view source) : tokens_(tokenize(source)) {}

  /// One level of nesting; too many are an error.
  class Nesting {
   public:
    explicit Nesting(TokenCursor& cursor);
    ~Nesting() { --cursor_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    TokenCursor& cursor_;
  };

  const Token& current() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  int line() const { return current().line; }
  Token take();

  bool is_sign(std::string_view sign) const;
  bool is_name(std::string_view name) const;
  /// Takes the token if it is that one.
  bool accept_sign(std::string_view sign);
  bool accept_name(std::string_view name);

  [[noreturn]] void fail(std::string_view message) const { throw_syntax_error(line(), message); }
  [[noreturn]] void fail_expected(std::string_view what) const;
  void expect_sign(std::string_view sign);
  std::string expect_name();
  void expect_end(TokenKind kind);

  template <typename Node>
  static ExprPtr make(int line, Node node) {
    return std::make_unique<Expr>(Expr{line, std::move(node)});
  }

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int nesting_ = 0;
};

}  // namespace lazuli::lm::chat
