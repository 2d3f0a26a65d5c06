#pragma once

#include <memory>
#include <string>

namespace lazuli::lm {

class JsonNode;

/// Rewrites text before it is cut into pieces. Immutable, so one object serves many threads.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// Rewrites `text`, which is valid UTF-8 and stays so.
  virtual void apply(std::string& text) const = 0;
};

/// The normalizer described by the `normalizer` object of a tokenizer.json: BertNormalizer, ByteLevel,
/// Lowercase, NFC, NFD, NFKC, NFKD, Prepend, Replace, Sequence, Strip, StripAccents. Throws
/// std::runtime_error for anything else.
std::unique_ptr<Normalizer> parse_normalizer(const JsonNode& node);

}  // namespace lazuli::lm
