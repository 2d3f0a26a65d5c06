#pragma once

#include <lazuli/lm/tokenizer/flat_map.h>
#include <lazuli/lm/tokenizer/model.h>

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli::lm {

/// Byte pair encoding (Sennrich et al. 2016): a piece begins as characters; the adjacent pair whose merge was
/// learnt first is joined, the leftmost first, until no pair is left that was learnt.
///
/// Takes n log n for a piece of n characters. Characters that are not in the vocabulary become byte tokens
/// (with `byte_fallback`), the unknown token, or nothing. Dropout, which is for training, is ignored.
class BpeModel final : public TokenModel {
 public:
  /// The `model` object of a tokenizer.json. Throws std::runtime_error if it is not as it should be.
  explicit BpeModel(const JsonNode& node);

  void encode(std::string_view piece, std::vector<std::int32_t>& ids) const override;
  bool take_bytes() override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  struct Merge {
    std::uint32_t rank;
    std::int32_t result;
  };

  void parse_merges(const JsonNode& node);
  void find_joints(const std::vector<std::array<std::int32_t, 3>>& merges);
  void encode_short(std::string_view piece, std::vector<std::int32_t>& ids) const;
  void encode_uncached(std::string_view piece, std::vector<std::int32_t>& ids) const;
  void start_with_characters(std::string_view piece, std::vector<std::int32_t>& symbols) const;
  void start_with_affixes(std::string_view piece, std::vector<std::int32_t>& symbols) const;
  void start_with_bytes(std::string_view piece, std::vector<std::int32_t>& symbols) const;
  std::int32_t find_character(char32_t code, std::string_view character) const;
  bool may_join(char32_t left, char32_t right) const;
  std::optional<Merge> find_merge(std::int32_t left, std::int32_t right) const;
  void merge_few(std::vector<std::int32_t>& symbols) const;
  void merge_many(std::vector<std::int32_t>& symbols) const;

  class SymbolWriter;

  Vocabulary vocabulary_;
  FlatMap merges_;
  std::int32_t unknown_ = Vocabulary::kNone;
  bool fuse_unknown_ = false;
  bool byte_fallback_ = false;
  bool ignore_merges_ = false;
  std::string word_prefix_;
  std::string word_suffix_;
  std::vector<std::int32_t> byte_tokens_;
  std::uint32_t cache_tag_ = 0;

  /// Ids of the characters of the basic multilingual plane.
  std::vector<std::int32_t> characters_;

  /// The pairs of characters that stand side by side in the result of a merge. Where text has another pair,
  /// no merge ever reaches across, so it can be cut there.
  bool can_cut_ = false;
  std::bitset<128 * 128> ascii_joints_;
  FlatMap joints_;

  /// When pieces come as bytes: the tokens of the 256 bytes, and all tokens by the bytes that they stand for.
  bool bytes_ = false;
  std::array<std::int32_t, 256> byte_symbols_{};
  Vocabulary whole_pieces_;
};

}  // namespace lazuli::lm
