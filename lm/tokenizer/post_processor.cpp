#include <lazuli/lm/tokenizer/post_processor.h>

#include <lazuli/lm/tokenizer/json_node.h>

#include <fmt/format.h>

#include <string>
#include <utility>

namespace lazuli::lm {
namespace {

/// The id in a pair such as `["[CLS]", 101]`.
std::vector<std::int32_t> parse_pair(const JsonNode& node) {
  if (node.size() != 2) node.fail("must be a token and its id");
  return {node.element(1).as_token_id()};
}

std::vector<std::int32_t> parse_ids(const JsonNode& node) {
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < node.size(); ++i) ids.push_back(node.element(i).as_token_id());
  return ids;
}

}  // namespace

PostProcessor::PostProcessor(const JsonNode& node) {
  add(node);
}

void PostProcessor::add(const JsonNode& node) {
  const std::string& type = node.type();
  if (type == "Sequence") {
    const JsonNode list = node.member("processors");
    for (std::size_t i = 0; i < list.size(); ++i) add(list.element(i));
  } else if (type == "ByteLevel") {
    return;
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    templates_.push_back(
        {{false, parse_pair(node.member("cls"))}, {true, {}}, {false, parse_pair(node.member("sep"))}});
  } else if (type == "TemplateProcessing") {
    const JsonNode items = node.member("single");
    Template parsed;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const JsonNode item = items.element(i);
      if (item.find("Sequence")) {
        parsed.push_back({true, {}});
      } else if (const auto special = item.find("SpecialToken")) {
        const std::string& name = special->member("id").as_string();
        const auto described = node.member("special_tokens").find(name.c_str());
        if (!described) special->fail(fmt::format("names \"{}\", which special_tokens lacks", name));
        parsed.push_back({false, parse_ids(described->member("ids"))});
      } else {
        item.fail("must hold \"Sequence\" or \"SpecialToken\"");
      }
    }
    templates_.push_back(std::move(parsed));
  } else {
    node.fail_unknown_type("post-processor");
  }
}

void PostProcessor::apply(std::vector<std::int32_t>& ids) const {
  for (const Template& items : templates_) {
    std::vector<std::int32_t> filled;
    filled.reserve(ids.size() + 4);
    for (const Item& item : items) {
      const auto& part = item.is_text ? ids : item.ids;
      filled.insert(filled.end(), part.begin(), part.end());
    }
    ids = std::move(filled);
  }
}

std::vector<std::int32_t> PostProcessor::added_ids() const {
  std::vector<std::int32_t> all;
  for (const Template& items : templates_) {
    for (const Item& item : items) all.insert(all.end(), item.ids.begin(), item.ids.end());
  }
  return all;
}

}  // namespace lazuli::lm
