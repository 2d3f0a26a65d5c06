#include <lazuli/lm/tokenizer/model.h>

#include <lazuli/lm/tokenizer/bpe.h>
#include <lazuli/lm/tokenizer/json_node.h>
#include <lazuli/lm/tokenizer/unigram.h>
#include <lazuli/lm/tokenizer/word_piece.h>

#include <fmt/format.h>

#include <string>

namespace lazuli::lm {

std::unique_ptr<TokenModel> parse_model(const JsonNode& node) {
  // Old files leave the type out; what they hold tells it.
  const auto named = node.find("type");
  const std::string type = named                                   ? node.type()
                           : node.find("merges")                   ? "BPE"
                           : node.find("unk_id")                   ? "Unigram"
                           : node.find("max_input_chars_per_word") ? "WordPiece"
                                                                   : node.type();
  if (type == "BPE") return std::make_unique<BpeModel>(node);
  if (type == "Unigram") return std::make_unique<UnigramModel>(node);
  if (type == "WordPiece") return std::make_unique<WordPieceModel>(node);
  node.fail_unknown_type("model");
}

Vocabulary parse_vocabulary(const JsonNode& node) {
  const auto& object = node.value();
  if (!object.is_object()) node.fail(fmt::format("must be an object, but is {}", object.type_name()));
  Vocabulary vocabulary(object.size());
  for (const auto& [token, value] : object.items()) {
    // The path is made up only for what is not a plain id, as there are many tokens.
    const std::int32_t id = JsonNode(value, node.path()).as_token_id();
    if (vocabulary.contains(id)) {
      node.fail(fmt::format("gives the id {} to both \"{}\" and \"{}\"", id, vocabulary.token(id), token));
    }
    vocabulary.set(token, id);
  }
  return vocabulary;
}

std::vector<std::int32_t> find_byte_tokens(const Vocabulary& vocabulary) {
  std::vector<std::int32_t> ids(256);
  for (unsigned byte = 0; byte < 256; ++byte) ids[byte] = vocabulary.find(fmt::format("<0x{:02X}>", byte));
  return ids;
}

}  // namespace lazuli::lm
