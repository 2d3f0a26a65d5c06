#pragma once

#include <lazuli/lm/tokenizer/flat_map.h>
#include <lazuli/lm/tokenizer/model.h>

#include <cstddef>
#include <vector>

namespace lazuli::lm {

/// The unigram language model (Kudo 2018): of all ways to cut a piece into tokens, the one whose scores have
/// the largest sum. A character that no token covers costs ten more than the least likely token; a run of
/// such characters becomes byte tokens (with `byte_fallback`) or the unknown token.
class UnigramModel final : public TokenModel {
 public:
  /// The `model` object of a tokenizer.json. Throws std::runtime_error if it is not as it should be.
  explicit UnigramModel(const JsonNode& node);

  void encode(std::string_view piece, std::vector<std::int32_t>& ids) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  struct Node {
    double score;
    std::size_t begin;
    std::int32_t id;
  };

  void add_to_trie(std::string_view token, std::int32_t id);
  void append_unknown(std::string_view text, std::vector<std::int32_t>& ids) const;

  Vocabulary vocabulary_;
  std::vector<double> scores_;
  double unknown_score_ = 0;
  std::int32_t unknown_ = Vocabulary::kNone;
  bool byte_fallback_ = false;
  std::vector<std::int32_t> byte_tokens_;
  /// From a node and a byte to the next node; and the token that ends at each node.
  FlatMap edges_;
  std::vector<std::int32_t> token_at_;
};

}  // namespace lazuli::lm
