#include <lazuli/lm/tokenizer/json_node.h>

#include <lazuli/lm/text/utf8.h>

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

namespace lazuli::lm {
namespace {

constexpr int kMaximumDepth = 64;
/// Far above any vocabulary; a table of this many ids still fits into memory.
constexpr std::int64_t kMaximumTokenId = (1 << 24) - 1;

}  // namespace

JsonNode::JsonNode(const nlohmann::json& value, std::string path, int depth)
    : value_(&value), path_(std::move(path)), depth_(depth) {
  if (depth_ > kMaximumDepth) fail("is nested too deeply");
}

void JsonNode::fail(std::string_view message) const {
  throw std::runtime_error(fmt::format("{} {}", path_.empty() ? "the document" : path_, message));
}

void JsonNode::fail_unknown_type(std::string_view kind) const {
  fail(fmt::format("is a {} of type \"{}\", which is not supported", kind, type()));
}

std::optional<JsonNode> JsonNode::find(const char* key) const {
  if (!value_->is_object()) fail(fmt::format("must be an object, but is {}", value_->type_name()));
  const auto found = value_->find(key);
  if (found == value_->end() || found->is_null()) return std::nullopt;
  return JsonNode(*found, path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key), depth_ + 1);
}

JsonNode JsonNode::member(const char* key) const {
  std::optional<JsonNode> found = find(key);
  if (!found) fail(fmt::format("lacks \"{}\"", key));
  return *std::move(found);
}

std::size_t JsonNode::size() const {
  if (!value_->is_array()) fail(fmt::format("must be an array, but is {}", value_->type_name()));
  return value_->size();
}

JsonNode JsonNode::element(std::size_t index) const {
  return JsonNode((*value_)[index], fmt::format("{}[{}]", path_, index), depth_ + 1);
}

const std::string& JsonNode::as_string() const {
  if (!value_->is_string()) fail(fmt::format("must be a string, but is {}", value_->type_name()));
  return value_->get_ref<const std::string&>();
}

bool JsonNode::as_bool() const {
  if (!value_->is_boolean()) fail(fmt::format("must be true or false, but is {}", value_->type_name()));
  return value_->get<bool>();
}

double JsonNode::as_number() const {
  if (!value_->is_number()) fail(fmt::format("must be a number, but is {}", value_->type_name()));
  return value_->get<double>();
}

std::int32_t JsonNode::as_token_id() const {
  if (!value_->is_number_integer()) fail(fmt::format("must be a token id, but is {}", value_->type_name()));
  const auto id = value_->get<std::int64_t>();
  if (id < 0 || id > kMaximumTokenId) fail(fmt::format("must be a token id, but is {}", value_->dump()));
  return static_cast<std::int32_t>(id);
}

std::size_t JsonNode::as_size() const {
  const bool whole =
      value_->is_number_unsigned() || (value_->is_number_integer() && value_->get<int64_t>() >= 0);
  if (!whole) fail("must be a whole number that is not negative");
  return value_->get<std::size_t>();
}

char32_t JsonNode::as_character() const {
  const std::string& text = as_string();
  if (text.empty() || utf8_length(text.front()) != text.size()) fail("must be one character");
  std::size_t position = 0;
  return next_code_point(text, position);
}

bool JsonNode::bool_or(const char* key, bool otherwise) const {
  const auto found = find(key);
  return found ? found->as_bool() : otherwise;
}

std::string JsonNode::string_or(const char* key, std::string_view otherwise) const {
  const auto found = find(key);
  return found ? found->as_string() : std::string(otherwise);
}

const std::string& JsonNode::type() const {
  const JsonNode found = member("type");
  if (!found.value_->is_string()) found.fail("must be a string");
  return found.value_->get_ref<const std::string&>();
}

}  // namespace lazuli::lm
