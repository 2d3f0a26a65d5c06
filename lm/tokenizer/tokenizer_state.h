#pragma once

#include <lazuli/lm/tokenizer/added_tokens.h>
#include <lazuli/lm/tokenizer/decoder.h>
#include <lazuli/lm/tokenizer/model.h>
#include <lazuli/lm/tokenizer/normalizer.h>
#include <lazuli/lm/tokenizer/post_processor.h>
#include <lazuli/lm/tokenizer/pre_tokenizer.h>
#include <lazuli/lm/tokenizer/tokenizer.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lazuli::lm {

/// What a tokenizer was read into. The parts refer to each other, so it stays where it is.
struct TokenizerState {
  TokenizerState() = default;
  TokenizerState(const TokenizerState&) = delete;
  TokenizerState& operator=(const TokenizerState&) = delete;

  std::unique_ptr<Normalizer> normalizer;  ///< Null if text stays as it is.
  AddedTokens added;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<TokenModel> model;
  PostProcessor post_processor;
  Decoder decoder;
  TokenizerConfig config;

  struct Token {
    std::string_view text;
    bool present = false;
    bool special = false;
  };
  std::vector<Token> tokens;  ///< By id, of the model and added.
  std::unordered_map<std::string_view, std::int32_t> added_ids;

  /// The token with this id; throws std::invalid_argument if the id is out of range.
  const Token& token(std::int32_t id) const;
};

}  // namespace lazuli::lm
