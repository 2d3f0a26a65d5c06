#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>

namespace lazuli::lm {

/// A template's own refusal to render a conversation, by calling `raise_exception`. `what()` is the
/// template's message.
class ChatRefusal : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What a chat template renders.
struct ChatInput {
  /// A list of messages: {"role": "user", "content": "Hello"}.
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  /// A list of tool descriptions (JSON schemas), or null for none.
  nlohmann::ordered_json tools = nullptr;
  /// Whether the prompt ends where the assistant's answer begins.
  bool add_generation_prompt = false;
  /// These replace the template's own; without either the variables are undefined.
  std::optional<std::string> bos_token, eos_token;
  /// An object with further variables, such as {"enable_thinking": false}. They win over all others.
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();
  /// The time that templates read; without it, that of rendering.
  std::optional<std::chrono::system_clock::time_point> now;
};

/// A chat template: a Jinja template that turns a conversation into the text that a language model continues.
///
/// Templates mean what they mean to Hugging Face's transformers, which renders them with Jinja's immutable
/// sandbox
/// (`trim_blocks`, `lstrip_blocks`, loop controls, `generation` blocks, `raise_exception`, `strftime_now` and
/// its own `tojson`; see https://huggingface.co/docs/transformers/chat_templating). Lists and dicts cannot be
/// changed
/// (`append` and others), integers have 64 bits, and templates cannot include others.
///
/// A ChatTemplate never changes: several threads may render it at the same time.
class ChatTemplate {
 public:
  /// Parses a template. Throws std::runtime_error `[chat template] line 12: ...` if it is malformed.
  explicit ChatTemplate(std::string source);
  ~ChatTemplate();
  ChatTemplate(const ChatTemplate&) = default;
  ChatTemplate(ChatTemplate&&) noexcept = default;
  ChatTemplate& operator=(const ChatTemplate&) = default;
  ChatTemplate& operator=(ChatTemplate&&) noexcept = default;

  /// Reads the template of a model: `chat_template.jinja`, or `chat_template` in `tokenizer_config.json` (a
  /// text, or a list of which the one named "default" is taken). The special tokens come from
  /// `tokenizer_config.json` too. Throws std::runtime_error `[chat] DIR has no chat template`, or if the
  /// template or JSON is malformed.
  static ChatTemplate from_directory(const std::filesystem::path& directory);

  /// Renders a conversation. Throws ChatRefusal if the template refuses it, and std::runtime_error
  /// `[chat template] line 12: ...` if the template does not fit it, or runs out of bounds.
  std::string render(const ChatInput& input) const;

  const std::string& source() const { return source_; }
  /// The special tokens that templates may read, by variable name: `bos_token`, `eos_token`, `pad_token`, ...
  const std::map<std::string, std::string>& special_tokens() const { return special_tokens_; }

 private:
  struct Program;

  std::string source_;
  std::shared_ptr<const Program> program_;
  std::map<std::string, std::string> special_tokens_;
};

}  // namespace lazuli::lm
