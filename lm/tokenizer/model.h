#pragma once

#include <lazuli/lm/tokenizer/vocabulary.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace lazuli::lm {

class JsonNode;

/// Turns one piece of text into tokens. Immutable, so one object serves many threads.
class TokenModel {
 public:
  virtual ~TokenModel() = default;
  /// Appends the tokens of `piece` to `ids`.
  virtual void encode(std::string_view piece, std::vector<std::int32_t>& ids) const = 0;
  /// Makes the model take pieces as plain bytes instead of characters of the byte-level alphabet, if it can;
  /// returns whether it does. Called before the first `encode`.
  virtual bool take_bytes() { return false; }
  virtual const Vocabulary& vocabulary() const = 0;
};

/// The model described by the `model` object of a tokenizer.json: BPE, WordPiece or Unigram. Throws
/// std::runtime_error for anything else.
std::unique_ptr<TokenModel> parse_model(const JsonNode& node);

/// The vocabulary of a `vocab` object, which maps tokens to ids.
Vocabulary parse_vocabulary(const JsonNode& node);

/// The ids of the tokens `<0x00>` to `<0xFF>`, kNone where there is none.
std::vector<std::int32_t> find_byte_tokens(const Vocabulary& vocabulary);

}  // namespace lazuli::lm
