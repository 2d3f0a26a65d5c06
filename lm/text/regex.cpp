#define PCRE2_CODE_UNIT_WIDTH 8

#include <lazuli/lm/text/regex.h>

#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

namespace lazuli::lm {
namespace {

// Unlike PCRE2's own \s and \w, these are the sets that Oniguruma uses.
constexpr std::string_view kSpace = "\\p{White_Space}";
constexpr std::string_view kNotSpace = "\\P{White_Space}";
constexpr std::string_view kWord = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
constexpr std::string_view kHexadecimal = "0-9A-Fa-f";

/// Names of properties that PCRE2 spells in another way.
constexpr std::array<std::pair<std::string_view, std::string_view>, 37> kPropertyNames = {{
    {"letter", "L"},
    {"mark", "M"},
    {"number", "N"},
    {"punctuation", "P"},
    {"punct", "P"},
    {"symbol", "S"},
    {"separator", "Z"},
    {"other", "C"},
    {"uppercaseletter", "Lu"},
    {"lowercaseletter", "Ll"},
    {"titlecaseletter", "Lt"},
    {"modifierletter", "Lm"},
    {"otherletter", "Lo"},
    {"nonspacingmark", "Mn"},
    {"spacingmark", "Mc"},
    {"enclosingmark", "Me"},
    {"decimalnumber", "Nd"},
    {"letternumber", "Nl"},
    {"othernumber", "No"},
    {"connectorpunctuation", "Pc"},
    {"dashpunctuation", "Pd"},
    {"openpunctuation", "Ps"},
    {"closepunctuation", "Pe"},
    {"initialpunctuation", "Pi"},
    {"finalpunctuation", "Pf"},
    {"otherpunctuation", "Po"},
    {"mathsymbol", "Sm"},
    {"currencysymbol", "Sc"},
    {"modifiersymbol", "Sk"},
    {"othersymbol", "So"},
    {"spaceseparator", "Zs"},
    {"control", "Cc"},
    {"format", "Cf"},
    {"alpha", "Alphabetic"},
    {"space", "White_Space"},
    {"digit", "Nd"},
    {"any", "Any"},
}};

std::string_view property_name(std::string_view name) {
  std::string plain;
  for (char c : name) {
    if (c == '_' || c == ' ' || c == '-') continue;
    plain.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  }
  for (const auto& [theirs, ours] : kPropertyNames) {
    if (plain == theirs) return ours;
  }
  return name;
}

/// Rewrites a pattern from left to right, remembering where the last atom began in the output.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  std::string run() {
    while (position_ < in_.size()) step();
    return std::move(out_);
  }

 private:
  [[noreturn]] static void unsupported(std::string_view what) {
    throw std::invalid_argument(fmt::format("{} in a regular expression is not supported", what));
  }

  char peek(std::size_t ahead = 0) const {
    return position_ + ahead < in_.size() ? in_[position_ + ahead] : '\0';
  }

  void step() {
    const char c = peek();
    switch (c) {
      case '\\':
        atom_ = out_.size();
        escape(false);
        break;
      case '[':
        atom_ = out_.size();
        character_class();
        break;
      case '(':
        groups_.push_back(out_.size());
        open_group();
        break;
      case ')':
        if (!groups_.empty()) {
          atom_ = groups_.back();
          groups_.pop_back();
        }
        take(1);
        break;
      case '{':
        braces();
        break;
      case '*':
      case '+':
      case '?':
      case '|':
        take(1);
        break;
      default:
        atom_ = out_.size();
        take(1);
        // The rest of a character of several bytes belongs to the same atom.
        while ((static_cast<unsigned char>(peek()) & 0xC0u) == 0x80u) take(1);
    }
  }

  void take(std::size_t count) {
    out_ += in_.substr(position_, count);
    position_ = std::min(position_ + count, in_.size());
  }

  void escape(bool in_class) {
    const char c = peek(1);
    auto put = [&](std::string_view text) {
      out_ += text;
      position_ += 2;
    };
    auto put_set = [&](std::string_view set, bool negated) {
      if (in_class && negated) unsupported(fmt::format("\\{} inside a character class", c));
      put(in_class ? std::string(set) : fmt::format("[{}{}]", negated ? "^" : "", set));
    };
    switch (c) {
      case 's':
        return put(kSpace);
      case 'S':
        return put(kNotSpace);
      case 'w':
      case 'W':
        return put_set(kWord, c == 'W');
      case 'h':
      case 'H':
        return put_set(kHexadecimal, c == 'H');
      case 'p':
      case 'P':
        return property(c);
      case 'u':
        if (position_ + 6 > in_.size()) unsupported("an unfinished \\u");
        out_ += fmt::format("\\x{{{}}}", in_.substr(position_ + 2, 4));
        position_ += 6;
        return;
      default:
        take(2);
        while ((static_cast<unsigned char>(peek()) & 0xC0u) == 0x80u) take(1);
    }
  }

  void property(char letter) {
    if (peek(2) != '{') return take(2);
    const std::size_t close = in_.find('}', position_);
    if (close == std::string_view::npos) return take(2);
    std::string_view name = in_.substr(position_ + 3, close - position_ - 3);
    const bool negated = !name.empty() && name.front() == '^';
    if (negated) name.remove_prefix(1);
    out_ += fmt::format("\\{}{{{}{}}}", letter, negated ? "^" : "", property_name(name));
    position_ = close + 1;
  }

  void character_class() {
    take(1);
    if (peek() == '^') take(1);
    if (peek() == ']') {
      out_ += "\\]";
      ++position_;
    }
    while (position_ < in_.size() && peek() != ']') {
      if (peek() == '\\') {
        escape(true);
      } else if (peek() == '[' && peek(1) == ':') {
        const std::size_t close = in_.find(":]", position_);
        if (close == std::string_view::npos) unsupported("a character class within another");
        take(close + 2 - position_);
      } else if (peek() == '[') {
        unsupported("a character class within another");
      } else if (peek() == '&' && peek(1) == '&') {
        unsupported("an intersection (&&) of character classes");
      } else {
        take(1);
      }
    }
    take(1);
  }

  void open_group() {
    take(1);
    if (peek() != '?') return;
    // Inline flags: Ruby's m, which lets the dot match a line feed, is s here.
    std::size_t end = position_ + 1;
    while (end < in_.size() && (in_[end] == 'i' || in_[end] == 'm' || in_[end] == 'x' || in_[end] == '-'))
      ++end;
    if (end == position_ + 1 || end >= in_.size() || (in_[end] != ':' && in_[end] != ')')) return take(1);
    for (; position_ < end; ++position_) out_.push_back(in_[position_] == 'm' ? 's' : in_[position_]);
  }

  void braces() {
    std::size_t end = position_ + 1;
    while (end < in_.size() && ((in_[end] >= '0' && in_[end] <= '9') || in_[end] == ',')) ++end;
    if (end == position_ + 1 || end >= in_.size() || in_[end] != '}') {
      atom_ = out_.size();
      out_ += "\\{";
      ++position_;
      return;
    }
    std::string_view interval = in_.substr(position_, end + 1 - position_);
    position_ = end + 1;
    const bool from_zero = interval[1] == ',';
    out_ += from_zero ? fmt::format("{{0{}", interval.substr(1)) : std::string(interval);
    if (peek() == '+') {
      out_.insert(atom_, "(?:");
      out_ += ")";
    }
  }

  std::string_view in_;
  std::size_t position_ = 0;
  std::string out_;
  std::size_t atom_ = 0;
  std::vector<std::size_t> groups_;
};

struct MatchDataDeleter {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct MatchContextDeleter {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

/// What a search writes to; one for each thread, as searches need it only while they run.
struct Workspace {
  std::unique_ptr<pcre2_match_data, MatchDataDeleter> data{pcre2_match_data_create(1, nullptr)};
  std::unique_ptr<pcre2_match_context, MatchContextDeleter> context{pcre2_match_context_create(nullptr)};

  Workspace() {
    if (!data || !context) throw std::bad_alloc();
    pcre2_set_match_limit(context.get(), std::numeric_limits<std::uint32_t>::max());
  }
};

}  // namespace

std::string pcre2_from_oniguruma(std::string_view pattern) {
  return Translator(pattern).run();
}

struct Regex::Code {
  pcre2_code* compiled = nullptr;
  bool has_jit = false;

  Code() = default;
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(compiled); }
};

Regex::Regex(std::string_view oniguruma_pattern) : code_(std::make_unique<Code>()) {
  const std::string pattern = pcre2_from_oniguruma(oniguruma_pattern);
  struct ContextDeleter {
    void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
  };
  std::unique_ptr<pcre2_compile_context, ContextDeleter> context(pcre2_compile_context_create(nullptr));
  if (!context) throw std::bad_alloc();
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_->compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                                  &offset, context.get());
  if (code_->compiled == nullptr) {
    std::array<PCRE2_UCHAR, 256> message{};
    pcre2_get_error_message(error, message.data(), message.size());
    throw std::invalid_argument(fmt::format("malformed regular expression \"{}\": {} (at byte {} of \"{}\")",
                                            oniguruma_pattern, reinterpret_cast<const char*>(message.data()),
                                            offset, pattern));
  }
  code_->has_jit = pcre2_jit_compile(code_->compiled, PCRE2_JIT_COMPLETE) == 0;
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

bool Regex::search(std::string_view text, std::size_t from, std::size_t& begin, std::size_t& end) const {
  thread_local Workspace workspace;
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.empty() ? "" : text.data());
  int result = PCRE2_ERROR_JIT_STACKLIMIT;
  if (code_->has_jit) {
    result = pcre2_jit_match(code_->compiled, subject, text.size(), from, PCRE2_NO_UTF_CHECK,
                             workspace.data.get(), workspace.context.get());
  }
  if (result == PCRE2_ERROR_JIT_STACKLIMIT) {
    // The machine stack's share was too small for this text; the interpreter takes its memory from the heap.
    result = pcre2_match(code_->compiled, subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                         workspace.data.get(), workspace.context.get());
  }
  if (result == PCRE2_ERROR_NOMATCH) return false;
  if (result < 0) {
    std::array<PCRE2_UCHAR, 256> message{};
    pcre2_get_error_message(result, message.data(), message.size());
    throw std::runtime_error(
        fmt::format("[regex] a search failed: {}", reinterpret_cast<const char*>(message.data())));
  }
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(workspace.data.get());
  begin = range[0];
  end = range[1];
  return true;
}

}  // namespace lazuli::lm
