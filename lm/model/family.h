#pragma once

#include <span>
#include <string_view>

#include <lazuli/lm/model/config.h>
#include <lazuli/lm/tokenizer/json_node.h>

namespace lazuli::lm {

/// A model family: what it calls itself in config.json, and how it maps the rest to a description. `describe`
/// starts from what all families share (see `read_common`).
struct ModelFamily {
  std::string_view model_type;
  DecoderConfig (*describe)(const JsonNode& config);
};

/// All families, by name.
std::span<const ModelFamily> model_families();

// One file each under families/.
DecoderConfig describe_llama(const JsonNode& config);
DecoderConfig describe_qwen3(const JsonNode& config);

/// The fields that nearly every decoder's config.json spells alike: sizes, norm epsilon, tied embeddings,
/// rotary parameters in both spellings.
DecoderConfig read_common(const JsonNode& config);

/// A whole number of at least 1 that is not absurdly large.
int read_extent(const JsonNode& config, const char* key);
int read_extent_or(const JsonNode& config, const char* key, int otherwise);

}  // namespace lazuli::lm
