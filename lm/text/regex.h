#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace lazuli::lm {

/// `pattern`, a regular expression in Oniguruma's Ruby syntax (as in tokenizer.json), in PCRE2's syntax.
/// Differences that matter: `\s`, `\w`, `\h`, the flag `m`, names of properties, and `{n,m}+`, which is not
/// possessive. Throws std::invalid_argument for what PCRE2 cannot express: nested or intersected character
/// classes.
std::string pcre2_from_oniguruma(std::string_view pattern);

/// A compiled regular expression over UTF-8 with Unicode properties. Searching is thread-safe.
class Regex {
 public:
  /// Compiles a pattern in Oniguruma's Ruby syntax. Throws std::invalid_argument if it is malformed.
  explicit Regex(std::string_view oniguruma_pattern);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  /// The leftmost match at or after `from` in `text`, which must be valid UTF-8; false if there is none.
  bool search(std::string_view text, std::size_t from, std::size_t& begin, std::size_t& end) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace lazuli::lm
