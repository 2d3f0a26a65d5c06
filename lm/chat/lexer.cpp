#include <lazuli/lm/chat/lexer.h>
#include <lazuli/lm/chat/text.h>

#include <algorithm>

#include <fmt/format.h>

namespace lazuli::lm::chat {
namespace {

std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
      out += '\n';
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool is_name_start(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || c == '_' || is_alpha(byte);
}

bool is_name_part(char c) {
  return is_name_start(c) || is_digit(static_cast<unsigned char>(c));
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_newlines(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) read_data();
    emit(TokenKind::end, "");
    return std::move(tokens_);
  }

 private:
  bool has(std::size_t at, std::string_view what) const {
    return std::string_view(source_).substr(at).starts_with(what);
  }

  void emit(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  // Moves to `at`, counting lines.
  void move_to(std::size_t at) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
    at_ = at;
  }

  std::size_t behind_space(std::size_t at) const {
    return source_.size() - strip(std::string_view(source_).substr(at), Side::left).size();
  }

  // Emits the text from here to the tag at `tag`, without the white space that the tag removes, and moves
  // behind the tag's beginning and its sign.
  void emit_data(std::size_t tag) {
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
    std::string_view data(source_.data() + at_, tag - at_);
    const bool at_line_start = at_ == 0 || source_[at_ - 1] == '\n';
    if (sign == '-') {
      data = strip(data, Side::right);
    } else if (sign != '+' && source_[tag + 1] != '{') {
      const std::size_t line_start = data.rfind('\n') + 1;
      const std::string_view indent = data.substr(line_start);
      if ((line_start > 0 || at_line_start) && strip(indent, Side::left).empty())
        data = data.substr(0, line_start);
    }
    if (!data.empty()) emit(TokenKind::data, std::string(data));
    move_to(std::min(source_.size(), tag + (sign == '-' || sign == '+' ? 3 : 2)));
  }

  void read_data() {
    std::size_t tag = at_;
    while (true) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        emit(TokenKind::data, source_.substr(at_));
        move_to(source_.size());
        return;
      }
      const char next = source_[tag + 1];
      if (next == '{' || next == '%' || next == '#') break;
      ++tag;
    }
    const char type = source_[tag + 1];
    emit_data(tag);
    if (type == '#') {
      read_comment();
    } else if (type == '{') {
      emit(TokenKind::print_begin, "{{");
      read_tag("}}");
    } else if (!read_raw()) {
      emit(TokenKind::block_begin, "{%");
      read_tag("%}");
    }
  }

  // Moves behind the end of a block or comment at `at`, and behind the white space that it removes.
  void finish_tag(std::size_t at, char sign) {
    if (sign == '-') {
      at = behind_space(at);
    } else if (sign != '+' && at < source_.size() && source_[at] == '\n') {
      ++at;
    }
    move_to(at);
  }

  void read_comment() {
    const std::size_t end = source_.find("#}", at_);
    if (end == std::string::npos) throw_syntax_error(line_, "Missing end of comment tag");
    finish_tag(end + 2, end > at_ ? source_[end - 1] : ' ');
  }

  // Behind `{%`: reads `raw %}...{% endraw %}`. False, without having moved, if something else stands here.
  bool read_raw() {
    std::size_t at = behind_space(at_);
    if (!has(at, "raw")) return false;
    at = behind_space(at + 3);
    if (!has(at, "%}") && !has(at, "-%}")) return false;
    move_to(source_[at] == '-' ? behind_space(at + 3) : at + 2);
    for (std::size_t tag = source_.find("{%", at_); tag != std::string::npos;
         tag = source_.find("{%", tag + 1)) {
      std::size_t end = tag + 2;
      if (end < source_.size() && (source_[end] == '-' || source_[end] == '+')) ++end;
      end = behind_space(end);
      if (!has(end, "endraw")) continue;
      end = behind_space(end + 6);
      const char sign = end < source_.size() ? source_[end] : ' ';
      if (sign == '-' || sign == '+') ++end;
      if (!has(end, "%}")) continue;
      emit_data(tag);
      move_to(end);
      finish_tag(end + 2, sign);
      return true;
    }
    throw_syntax_error(line_, "Missing end of raw directive");
  }

  void read_tag(std::string_view end) {
    std::string open;  // the closing brackets expected
    while (true) {
      move_to(behind_space(at_));
      if (at_ >= source_.size()) return;  // the parser says what is missing
      const char c = source_[at_];
      if (open.empty()) {
        const bool block = end == "%}";
        const bool signed_end = (c == '-' || (c == '+' && block)) && has(at_ + 1, end);
        if (signed_end || has(at_, end)) {
          emit(block ? TokenKind::block_end : TokenKind::print_end, std::string(end));
          const std::size_t behind = at_ + (signed_end ? 3 : 2);
          if (block || c == '-') {
            finish_tag(behind, signed_end ? c : ' ');
          } else {
            move_to(behind);
          }
          return;
        }
      }
      if (is_digit(static_cast<unsigned char>(c))) {
        read_number();
      } else if (is_name_start(c)) {
        std::size_t stop = at_;
        while (stop < source_.size() && is_name_part(source_[stop])) ++stop;
        emit(TokenKind::name, source_.substr(at_, stop - at_));
        move_to(stop);
      } else if (c == '\'' || c == '"') {
        read_text(c);
      } else {
        read_sign(open);
      }
    }
  }

  std::size_t behind_digits(std::size_t at) const {
    auto digit = [&](std::size_t i) {
      return i < source_.size() && is_digit(static_cast<unsigned char>(source_[i]));
    };
    while (digit(at) ||
           (at < source_.size() && source_[at] == '_' && digit(at + 1) && at > 0 && digit(at - 1)))
      ++at;
    return at;
  }

  void read_number() {
    const char mark = at_ + 1 < source_.size() ? static_cast<char>(source_[at_ + 1] | 0x20) : ' ';
    if (source_[at_] == '0' && (mark == 'x' || mark == 'o' || mark == 'b')) {
      std::size_t stop = at_ + 2;
      while (stop < source_.size() && is_name_part(source_[stop])) ++stop;
      emit(TokenKind::integer, source_.substr(at_, stop - at_));
      return move_to(stop);
    }
    const bool behind_dot = at_ > 0 && source_[at_ - 1] == '.';
    std::size_t stop = behind_digits(at_);
    TokenKind kind = TokenKind::integer;
    if (!behind_dot) {
      auto try_part = [&](std::size_t digits) {
        const std::size_t behind = behind_digits(digits);
        if (behind == digits) return;
        stop = behind;
        kind = TokenKind::real;
      };
      if (has(stop, ".")) try_part(stop + 1);
      if (has(stop, "e") || has(stop, "E"))
        try_part(stop + (has(stop + 1, "+") || has(stop + 1, "-") ? 2 : 1));
    }
    emit(kind, source_.substr(at_, stop - at_));
    move_to(stop);
  }

  void read_text(char quote) {
    std::size_t stop = at_ + 1;
    while (stop < source_.size() && source_[stop] != quote) stop += source_[stop] == '\\' ? 2 : 1;
    if (stop >= source_.size()) throw_syntax_error(line_, "a string literal has no end");
    emit(TokenKind::text, unescape(std::string_view(source_).substr(at_ + 1, stop - at_ - 1)));
    move_to(stop + 1);
  }

  std::string unescape(std::string_view body) const {
    std::string out;
    for (std::size_t i = 0; i < body.size(); ++i) {
      if (body[i] != '\\') {
        out += body[i];
        continue;
      }
      const char c = body[++i];
      switch (c) {
        case '\n':
          break;
        case '\\':
        case '\'':
        case '"':
          out += c;
          break;
        case 'a':
          out += '\a';
          break;
        case 'b':
          out += '\b';
          break;
        case 'f':
          out += '\f';
          break;
        case 'n':
          out += '\n';
          break;
        case 'r':
          out += '\r';
          break;
        case 't':
          out += '\t';
          break;
        case 'v':
          out += '\v';
          break;
        case 'x':
          i = read_code(body, i, 2, 2, 16, out);
          break;
        case 'u':
          i = read_code(body, i, 4, 4, 16, out);
          break;
        case 'U':
          i = read_code(body, i, 8, 8, 16, out);
          break;
        case 'N':
          throw_syntax_error(line_, "characters by name (\\N) are not supported");
        default:
          if (c >= '0' && c <= '7') {
            i = read_code(body, i - 1, 1, 3, 8, out);
          } else {
            out += '\\';
            out += c;
          }
      }
    }
    return out;
  }

  // Appends the character whose code stands behind `at`; returns where the code ends.
  std::size_t read_code(std::string_view body, std::size_t at, int least, int most, char32_t base,
                        std::string& out) const {
    char32_t code = 0;
    int count = 0;
    for (; count < most && at + 1 < body.size(); ++count, ++at) {
      const char c = static_cast<char>(to_lower(static_cast<unsigned char>(body[at + 1])));
      const char32_t digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
      if (digit >= base) break;
      code = code * base + digit;
    }
    if (count < least || code > 0x10FFFF) throw_syntax_error(line_, "a string literal has a broken escape");
    append_utf8(out, code);
    return at;
  }

  void read_sign(std::string& open) {
    static constexpr std::string_view kSigns[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                  "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                  ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    const auto sign = std::find_if(std::begin(kSigns), std::end(kSigns),
                                   [&](std::string_view each) { return has(at_, each); });
    if (sign == std::end(kSigns))
      throw_syntax_error(line_, fmt::format("unexpected char '{}'", character_here()));
    const char c = sign->front();
    if (c == '(') open += ')';
    if (c == '[') open += ']';
    if (c == '{') open += '}';
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty()) throw_syntax_error(line_, fmt::format("unexpected '{}'", c));
      if (open.back() != c)
        throw_syntax_error(line_, fmt::format("unexpected '{}', expected '{}'", c, open.back()));
      open.pop_back();
    }
    emit(TokenKind::sign, std::string(*sign));
    move_to(at_ + sign->size());
  }

  std::string character_here() const {
    return to_utf8(to_code_points(std::string_view(source_).substr(at_, 4)).substr(0, 1));
  }

  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

void throw_syntax_error(int line, std::string_view message) {
  throw std::runtime_error(fmt::format("[chat template] line {}: {}", line, message));
}

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::data:
      return "template data / text";
    case TokenKind::print_begin:
      return "begin of print statement";
    case TokenKind::print_end:
      return "end of print statement";
    case TokenKind::block_begin:
      return "begin of statement block";
    case TokenKind::block_end:
      return "end of statement block";
    case TokenKind::end:
      return "end of template";
    default:
      return token.text;
  }
}

}  // namespace lazuli::lm::chat
