#pragma once

#include <lazuli/lm/tokenizer/model.h>

#include <cstddef>
#include <string>

namespace lazuli::lm {

/// WordPiece (google-research/bert, tokenization.py): a word is cut into the longest token that begins it,
/// then the longest that continues it, and so on; if that comes to no end, the word becomes the unknown
/// token.
class WordPieceModel final : public TokenModel {
 public:
  /// The `model` object of a tokenizer.json. Throws std::runtime_error if it is not as it should be.
  explicit WordPieceModel(const JsonNode& node);

  void encode(std::string_view piece, std::vector<std::int32_t>& ids) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  Vocabulary vocabulary_;
  /// The tokens that continue a word, without their prefix.
  Vocabulary continuations_;
  std::int32_t unknown_ = Vocabulary::kNone;
  std::size_t maximum_characters_ = 100;
  std::size_t longest_token_ = 0;
};

}  // namespace lazuli::lm
