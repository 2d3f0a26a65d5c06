#include <lazuli/lm/chat/token_cursor.h>

#include <fmt/format.h>

#include <lazuli/lm/chat/text.h>

namespace lazuli::lm::chat {
namespace {

// Deeper nesting than any template needs would exhaust the stack.
constexpr int kMaxNesting = 400;

}  // namespace

TokenCursor::Nesting::Nesting(TokenCursor& cursor) : cursor_(cursor) {
  if (++cursor_.nesting_ > kMaxNesting) cursor_.fail("the template nests too deeply");
}

Token TokenCursor::take() {
  const Token token = current();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool TokenCursor::is_sign(std::string_view sign) const {
  return current().kind == TokenKind::sign && current().text == sign;
}
bool TokenCursor::is_name(std::string_view name) const {
  return current().kind == TokenKind::name && current().text == name;
}

bool TokenCursor::accept_sign(std::string_view sign) {
  if (!is_sign(sign)) return false;
  take();
  return true;
}

bool TokenCursor::accept_name(std::string_view name) {
  if (!is_name(name)) return false;
  take();
  return true;
}

void TokenCursor::fail_expected(std::string_view what) const {
  if (current().kind == TokenKind::end) fail(fmt::format("unexpected end of template, expected '{}'.", what));
  fail(fmt::format("expected token '{}', got '{}'", what, describe(current())));
}

void TokenCursor::expect_sign(std::string_view sign) {
  if (!accept_sign(sign)) fail_expected(sign);
}

std::string TokenCursor::expect_name() {
  if (current().kind != TokenKind::name) fail_expected("name");
  return take().text;
}

void TokenCursor::expect_end(TokenKind kind) {
  if (current().kind != kind) fail_expected(describe({kind, "", 0}));
  take();
}

}  // namespace lazuli::lm::chat
