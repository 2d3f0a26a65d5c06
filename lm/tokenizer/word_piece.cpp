#include <lazuli/lm/tokenizer/word_piece.h>

#include <lazuli/lm/text/utf8.h>
#include <lazuli/lm/tokenizer/json_node.h>

#include <fmt/format.h>

#include <algorithm>

namespace lazuli::lm {

WordPieceModel::WordPieceModel(const JsonNode& node) {
  vocabulary_ = parse_vocabulary(node.member("vocab"));
  const std::string unknown = node.string_or("unk_token", "[UNK]");
  unknown_ = vocabulary_.find(unknown);
  if (unknown_ == Vocabulary::kNone) {
    node.fail(fmt::format("names \"{}\" as the unknown token, which is not in the vocabulary", unknown));
  }
  if (const auto maximum = node.find("max_input_chars_per_word")) maximum_characters_ = maximum->as_size();
  const std::string prefix = node.string_or("continuing_subword_prefix", "##");
  continuations_ = Vocabulary(static_cast<std::size_t>(vocabulary_.size()));
  for (std::int32_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string_view token = vocabulary_.token(id);
    longest_token_ = std::max(longest_token_, token.size());
    if (vocabulary_.contains(id) && token.substr(0, prefix.size()) == prefix) {
      continuations_.set(token.substr(prefix.size()), id);
    }
  }
}

void WordPieceModel::encode(std::string_view piece, std::vector<std::int32_t>& ids) const {
  const std::size_t before = ids.size();
  std::size_t characters = 0;
  for (std::size_t i = 0; i < piece.size(); i += utf8_length(piece[i])) ++characters;
  auto give_up = [&] {
    ids.resize(before);
    ids.push_back(unknown_);
  };
  if (characters > maximum_characters_) return give_up();
  std::size_t begin = 0;
  while (begin < piece.size()) {
    std::size_t end = std::min(piece.size(), begin + longest_token_);
    while (end < piece.size() && (static_cast<unsigned char>(piece[end]) & 0xC0u) == 0x80u) --end;
    std::int32_t id = Vocabulary::kNone;
    while (end > begin) {
      id = (begin == 0 ? vocabulary_ : continuations_).find(piece.substr(begin, end - begin));
      if (id != Vocabulary::kNone) break;
      previous_code_point(piece, end);
    }
    if (id == Vocabulary::kNone) return give_up();
    ids.push_back(id);
    begin = end;
  }
}

}  // namespace lazuli::lm
