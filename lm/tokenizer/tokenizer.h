#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lazuli::lm {

class StreamingDecoder;
struct TokenizerState;

/// What tokenizer_config.json says beside the tokenizer itself. A token is given by its text.
struct TokenizerConfig {
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<std::string> pad_token;
  std::optional<std::string> unk_token;
  /// The chat template, a Jinja template, or the one named "default" if there are several.
  std::optional<std::string> chat_template;
  /// All chat templates that have a name.
  std::map<std::string, std::string> named_chat_templates;
};

/// Turns text into token ids and back, as a Hugging Face `tokenizer.json` describes (the format of the
/// `tokenizers` library, https://github.com/huggingface/tokenizers). Models: BPE, WordPiece, Unigram.
/// Truncation and padding that the file asks for are left to the caller.
///
/// Immutable, and cheap to copy and move: copies share what was read. All members may be called from several
/// threads.
class Tokenizer {
 public:
  /// Reads a tokenizer.json. Throws std::runtime_error, beginning with `[tokenizer]` and the file's name, if
  /// it cannot be read, is malformed, or asks for a component that is not supported.
  static Tokenizer from_file(const std::filesystem::path& file);

  /// Reads `tokenizer.json` in a folder and, where they are present, `tokenizer_config.json` and
  /// `chat_template.jinja`, whose template comes first. Throws as `from_file` does.
  static Tokenizer from_directory(const std::filesystem::path& directory);

  /// The tokens of `text`. Bytes that are not valid UTF-8 count as U+FFFD. `add_special_tokens` adds those
  /// that the file's post-processor puts around a text; special tokens written out in the text are recognised
  /// either way. Throws std::invalid_argument where neither a token nor an unknown one covers the text.
  std::vector<std::int32_t> encode(std::string_view text, bool add_special_tokens = true) const;

  /// The text of `ids`, valid UTF-8. `skip_special_tokens` leaves special tokens out. An id below
  /// `vocabulary_size` for which there is no token is left out; one outside throws std::invalid_argument.
  std::string decode(std::span<const std::int32_t> ids, bool skip_special_tokens = false) const;

  /// Decodes ids one by one as they come. The decoder keeps what it needs of the tokenizer alive.
  StreamingDecoder streaming_decoder(bool skip_special_tokens = false) const;

  /// The id of a token as it stands in the vocabulary (a byte-level token in that alphabet), if there is one.
  std::optional<std::int32_t> token_to_id(std::string_view token) const;

  /// The token as it stands in the vocabulary; empty if the id is not in use. Throws std::invalid_argument if
  /// the id is out of range.
  std::string id_to_token(std::int32_t id) const;

  /// One more than the largest id, added tokens included.
  std::int32_t vocabulary_size() const;

  /// Whether the id is that of a special token; false if it is out of range.
  bool is_special(std::int32_t id) const;

  /// What tokenizer_config.json says; empty after `from_file`.
  const TokenizerConfig& config() const;

  /// The ids of the tokens that `config` names, where they are in the vocabulary.
  std::optional<std::int32_t> bos_id() const;
  std::optional<std::int32_t> eos_id() const;
  std::optional<std::int32_t> pad_id() const;

 private:
  explicit Tokenizer(std::shared_ptr<const TokenizerState> state) : state_(std::move(state)) {}

  std::shared_ptr<const TokenizerState> state_;
};

}  // namespace lazuli::lm
