#pragma once

#include <lazuli/lm/tokenizer/flat_map.h>

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli::lm {

class JsonNode;
class Normalizer;

/// A token that is found in text before anything else looks at it.
struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  bool single_word = false;  ///< Only where no word character stands beside it.
  bool lstrip = false;       ///< Takes the white space to its left with it.
  bool rstrip = false;       ///< Takes the white space to its right with it.
  bool normalized = false;   ///< Sought in the normalized text instead of the text as it was given.
  bool special = false;      ///< Has a meaning for the model; can be left out when decoding.
};

/// The added tokens of a tokenizer, and where they are in a text.
class AddedTokens {
 public:
  AddedTokens() = default;

  /// The `added_tokens` array of a tokenizer.json; `normalizer` may be null. Throws std::runtime_error if it
  /// is not as it should be.
  AddedTokens(const JsonNode& node, const Normalizer* normalizer);

  const std::vector<AddedToken>& tokens() const { return tokens_; }

  enum class Text { kAsGiven, kNormalized };

  /// Cuts `text` at the added tokens that are sought in text of this kind. Of those that begin at the same
  /// place, the longest counts. Calls `on_text(part, begin)` and `on_token(id)` in order.
  template <typename OnText, typename OnToken>
  void split(std::string_view text, Text kind, OnText on_text, OnToken on_token) const {
    const Trie& trie = kind == Text::kNormalized ? normalized_ : as_given_;
    std::size_t behind_last = 0;
    Match match;
    for (std::size_t from = 0; find(trie, text, from, behind_last, match); from = match.end) {
      if (match.begin > behind_last)
        on_text(text.substr(behind_last, match.begin - behind_last), behind_last);
      on_token(tokens_[match.index].id);
      behind_last = match.end;
    }
    if (behind_last < text.size()) on_text(text.substr(behind_last), behind_last);
  }

 private:
  class Trie {
   public:
    void add(std::string_view content, std::size_t index);
    /// The end of the longest entry that begins at `begin`, 0 if there is none.
    std::size_t longest(std::string_view text, std::size_t begin, std::size_t& index) const;
    /// The first place at or behind `from` where an entry may begin.
    std::size_t candidate(std::string_view text, std::size_t from) const;

   private:
    static constexpr std::size_t kNoEntry = ~std::size_t{0};
    FlatMap edges_;
    std::vector<std::size_t> entries_ = {kNoEntry};
    std::bitset<256> first_bytes_;
  };

  struct Match {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t index = 0;
  };

  bool find(const Trie& trie, std::string_view text, std::size_t from, std::size_t behind_last,
            Match& match) const;

  std::vector<AddedToken> tokens_;
  Trie as_given_;
  Trie normalized_;
};

}  // namespace lazuli::lm
