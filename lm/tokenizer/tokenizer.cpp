#include <lazuli/lm/tokenizer/tokenizer.h>

#include <lazuli/lm/text/utf8.h>
#include <lazuli/lm/tokenizer/json_node.h>
#include <lazuli/lm/tokenizer/streaming_decoder.h>
#include <lazuli/lm/tokenizer/tokenizer_state.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>

namespace lazuli::lm {
namespace {

std::string read_file(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw std::runtime_error("the file cannot be opened");
  std::string content{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (stream.bad() || std::filesystem::is_directory(file))
    throw std::runtime_error("the file cannot be read");
  return content;
}

nlohmann::json parse_json(const std::string& content) {
  try {
    return nlohmann::json::parse(content);
  } catch (const nlohmann::json::exception& error) {
    throw std::runtime_error(fmt::format("malformed JSON: {}", error.what()));
  }
}

/// Calls `read`, giving whatever it throws the name of the file.
template <typename Read>
void with_file_name(const std::filesystem::path& file, Read read) {
  try {
    read();
  } catch (const std::exception& error) {
    throw std::runtime_error(fmt::format("[tokenizer] {}: {}", file.string(), error.what()));
  }
}

/// Makes the tables from ids to tokens and from added tokens to ids.
void index_tokens(TokenizerState& state) {
  const Vocabulary& vocabulary = state.model->vocabulary();
  std::int32_t size = vocabulary.size();
  for (const AddedToken& token : state.added.tokens()) size = std::max(size, token.id + 1);
  state.tokens.resize(static_cast<std::size_t>(size));
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    auto& entry = state.tokens[static_cast<std::size_t>(id)];
    entry.text = vocabulary.token(id);
    entry.present = vocabulary.contains(id);
  }
  for (const AddedToken& token : state.added.tokens()) {
    auto& entry = state.tokens[static_cast<std::size_t>(token.id)];
    entry.text = token.content;
    entry.present = true;
    entry.special = entry.special || token.special;
    state.added_ids[token.content] = token.id;
    const std::int32_t of_model = vocabulary.find(token.content);
    if (token.special && of_model != Vocabulary::kNone)
      state.tokens[static_cast<std::size_t>(of_model)].special = true;
  }
}

void read_tokenizer(const nlohmann::json& document, TokenizerState& state) {
  const JsonNode root(document, "");
  if (const auto node = root.find("normalizer")) state.normalizer = parse_normalizer(*node);
  if (const auto node = root.find("pre_tokenizer")) state.pre_tokenizer = PreTokenizer(*node);
  if (const auto node = root.find("post_processor")) state.post_processor = PostProcessor(*node);
  if (const auto node = root.find("decoder")) state.decoder = Decoder(*node);
  if (const auto node = root.find("added_tokens")) state.added = AddedTokens(*node, state.normalizer.get());
  state.model = parse_model(root.member("model"));
  if (state.pre_tokenizer.ends_in_bytes() && state.model->take_bytes()) state.pre_tokenizer.leave_bytes();
  index_tokens(state);
  for (const std::int32_t id : state.post_processor.added_ids()) {
    if (static_cast<std::size_t>(id) >= state.tokens.size()) {
      root.fail(fmt::format("adds the token id {}, which is out of range (vocabulary size {})", id,
                            state.tokens.size()));
    }
  }
}

/// A token of tokenizer_config.json: its text, or an object that holds it.
std::optional<std::string> read_token(const JsonNode& root, const char* key) {
  const auto node = root.find(key);
  if (!node) return std::nullopt;
  return node->value().is_object() ? node->member("content").as_string() : node->as_string();
}

void read_config(const nlohmann::json& document, TokenizerConfig& config) {
  const JsonNode root(document, "");
  config.bos_token = read_token(root, "bos_token");
  config.eos_token = read_token(root, "eos_token");
  config.pad_token = read_token(root, "pad_token");
  config.unk_token = read_token(root, "unk_token");
  const auto chat = root.find("chat_template");
  if (!chat) return;
  if (chat->value().is_string()) {
    config.chat_template = chat->as_string();
    return;
  }
  for (std::size_t i = 0; i < chat->size(); ++i) {
    const JsonNode entry = chat->element(i);
    const std::string& name = entry.member("name").as_string();
    const std::string& text = entry.member("template").as_string();
    config.named_chat_templates[name] = text;
    if (name == "default") config.chat_template = text;
  }
}

}  // namespace

const TokenizerState::Token& TokenizerState::token(std::int32_t id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= tokens.size()) {
    throw std::invalid_argument(
        fmt::format("[tokenizer] token id {} is out of range (vocabulary size {})", id, tokens.size()));
  }
  return tokens[static_cast<std::size_t>(id)];
}

Tokenizer Tokenizer::from_file(const std::filesystem::path& file) {
  auto state = std::make_shared<TokenizerState>();
  with_file_name(file, [&] { read_tokenizer(parse_json(read_file(file)), *state); });
  return Tokenizer(std::move(state));
}

Tokenizer Tokenizer::from_directory(const std::filesystem::path& directory) {
  auto state = std::make_shared<TokenizerState>();
  const auto file = directory / "tokenizer.json";
  with_file_name(file, [&] { read_tokenizer(parse_json(read_file(file)), *state); });
  std::error_code ignored;
  if (const auto config = directory / "tokenizer_config.json"; std::filesystem::exists(config, ignored)) {
    with_file_name(config, [&] { read_config(parse_json(read_file(config)), state->config); });
  }
  if (const auto chat = directory / "chat_template.jinja"; std::filesystem::exists(chat, ignored)) {
    with_file_name(chat, [&] { state->config.chat_template = read_file(chat); });
  }
  return Tokenizer(std::move(state));
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  const TokenizerState& state = *state_;
  std::string repaired;
  if (!is_valid_utf8(text)) {
    repaired = to_valid_utf8(text);
    text = repaired;
  }

  std::vector<std::int32_t> ids;
  ids.reserve(text.size() / 3 + 4);
  auto add_piece = [&](std::string_view piece, bool) { state.model->encode(piece, ids); };
  const PieceSink pieces(add_piece);
  auto add_token = [&](std::int32_t id) { ids.push_back(id); };
  auto add_text = [&](std::string_view part, std::size_t begin) {
    std::string normalized;
    if (state.normalizer) {
      normalized = part;
      state.normalizer->apply(normalized);
      part = normalized;
    }
    state.added.split(
        part, AddedTokens::Text::kNormalized,
        [&](std::string_view rest, std::size_t rest_begin) {
          state.pre_tokenizer.split(rest, begin == 0 && rest_begin == 0, pieces);
        },
        add_token);
  };
  state.added.split(text, AddedTokens::Text::kAsGiven, add_text, add_token);
  if (add_special_tokens) state.post_processor.apply(ids);
  return ids;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special_tokens) const {
  DecoderRun run = state_->decoder.start();
  for (const std::int32_t id : ids) {
    const TokenizerState::Token& token = state_->token(id);
    if (token.present && !(skip_special_tokens && token.special)) run.push(token.text);
  }
  run.finish();
  return run.take();
}

StreamingDecoder Tokenizer::streaming_decoder(bool skip_special_tokens) const {
  return StreamingDecoder(state_, skip_special_tokens);
}

std::optional<std::int32_t> Tokenizer::token_to_id(std::string_view token) const {
  if (const auto added = state_->added_ids.find(token); added != state_->added_ids.end())
    return added->second;
  const std::int32_t id = state_->model->vocabulary().find(token);
  if (id == Vocabulary::kNone) return std::nullopt;
  return id;
}

std::string Tokenizer::id_to_token(std::int32_t id) const {
  return std::string(state_->token(id).text);
}

std::int32_t Tokenizer::vocabulary_size() const {
  return static_cast<std::int32_t>(state_->tokens.size());
}

bool Tokenizer::is_special(std::int32_t id) const {
  return id >= 0 && static_cast<std::size_t>(id) < state_->tokens.size() &&
         state_->tokens[static_cast<std::size_t>(id)].special;
}

const TokenizerConfig& Tokenizer::config() const {
  return state_->config;
}

namespace {

std::optional<std::int32_t> id_of(const Tokenizer& tokenizer, const std::optional<std::string>& token) {
  return token ? tokenizer.token_to_id(*token) : std::nullopt;
}

}  // namespace

std::optional<std::int32_t> Tokenizer::bos_id() const {
  return id_of(*this, config().bos_token);
}
std::optional<std::int32_t> Tokenizer::eos_id() const {
  return id_of(*this, config().eos_token);
}
std::optional<std::int32_t> Tokenizer::pad_id() const {
  return id_of(*this, config().pad_token);
}

}  // namespace lazuli::lm
