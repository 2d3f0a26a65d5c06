#include <lazuli/lm/chat/chat_template.h>
#include <lazuli/lm/chat/evaluator.h>
#include <lazuli/lm/chat/parser.h>

#include <fstream>
#include <iterator>

#include <fmt/format.h>

namespace lazuli::lm {
namespace {

using Json = nlohmann::ordered_json;

std::optional<std::string> read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return {};
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The template in a tokenizer's configuration.
std::optional<std::string> find_template(const Json& config) {
  const auto entry = config.find("chat_template");
  if (entry == config.end()) return {};
  if (entry->is_string()) return entry->get<std::string>();
  if (!entry->is_array()) return {};
  for (const Json& named : *entry) {
    const bool complete = named.is_object() && named.contains("name") && named.contains("template");
    if (complete && named["name"] == "default" && named["template"].is_string())
      return named["template"].get<std::string>();
  }
  return {};
}

// A special token: its text, or an object with its text and properties.
std::optional<std::string> token_text(const Json& token) {
  if (token.is_string()) return token.get<std::string>();
  if (token.is_object() && token.contains("content") && token["content"].is_string()) {
    return token["content"].get<std::string>();
  }
  return {};
}

}  // namespace

struct ChatTemplate::Program {
  chat::Block block;
};

ChatTemplate::ChatTemplate(std::string source)
    : source_(std::move(source)), program_(std::make_shared<const Program>(Program{chat::parse(source_)})) {}

ChatTemplate::~ChatTemplate() = default;

ChatTemplate ChatTemplate::from_directory(const std::filesystem::path& directory) {
  std::optional<std::string> source = read_file(directory / "chat_template.jinja");
  Json config = Json::object();
  const std::filesystem::path config_path = directory / "tokenizer_config.json";
  if (const std::optional<std::string> text = read_file(config_path)) {
    config = Json::parse(*text, nullptr, false);
    if (!config.is_object())
      throw std::runtime_error(fmt::format("[chat] {} is not a JSON object", config_path.string()));
  }
  if (!source) source = find_template(config);
  if (!source) throw std::runtime_error(fmt::format("[chat] {} has no chat template", directory.string()));
  ChatTemplate result(std::move(*source));
  for (const char* name :
       {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}) {
    const auto entry = config.find(name);
    if (entry == config.end()) continue;
    if (const std::optional<std::string> text = token_text(*entry)) result.special_tokens_[name] = *text;
  }
  return result;
}

std::string ChatTemplate::render(const ChatInput& input) const {
  using chat::Value;
  chat::Evaluator evaluator(input.now.value_or(std::chrono::system_clock::now()));
  for (const auto& [name, text] : special_tokens_) evaluator.set_variable(name, Value::text(text));
  if (input.bos_token) evaluator.set_variable("bos_token", Value::text(*input.bos_token));
  if (input.eos_token) evaluator.set_variable("eos_token", Value::text(*input.eos_token));
  try {
    evaluator.set_variable("messages", Value::from_json(input.messages));
    evaluator.set_variable("tools", Value::from_json(input.tools));
    evaluator.set_variable("documents", Value::none());
    evaluator.set_variable("add_generation_prompt", Value::boolean(input.add_generation_prompt));
    for (const auto& [name, value] : input.variables.items())
      evaluator.set_variable(name, Value::from_json(value));
  } catch (const chat::EvalError& error) {
    throw std::runtime_error(fmt::format("[chat] {}", error.what()));
  }
  return evaluator.run(program_->block);
}

}  // namespace lazuli::lm
