#pragma once

#include <cstdint>
#include <vector>

namespace lazuli::lm {

class JsonNode;

/// Adds special tokens around the tokens of a text.
class PostProcessor {
 public:
  /// Adds nothing.
  PostProcessor() = default;

  /// The `post_processor` object of a tokenizer.json: BertProcessing, ByteLevel (which changes offsets only),
  /// RobertaProcessing, Sequence, TemplateProcessing (its form for one text). Throws std::runtime_error for
  /// anything else.
  explicit PostProcessor(const JsonNode& node);

  void apply(std::vector<std::int32_t>& ids) const;

  /// All tokens that may be added.
  std::vector<std::int32_t> added_ids() const;

 private:
  struct Item {
    bool is_text;
    std::vector<std::int32_t> ids;
  };
  using Template = std::vector<Item>;

  void add(const JsonNode& node);

  std::vector<Template> templates_;
};

}  // namespace lazuli::lm
