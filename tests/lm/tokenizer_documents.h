#pragma once

#include <lazuli/lm/tokenizer/tokenizer.h>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "folders.h"

/// Tokenizers for tests: those of the fixtures, and small ones written for a test.
namespace lazuli::lm::test {

using Ids = std::vector<std::int32_t>;

/// The folder of a tokenizer among the fixtures.
inline std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(LAZULI_FIXTURES) / "tokenizers" / name;
}

/// The tokenizer that a `tokenizer.json` of this content describes.
inline Tokenizer from_json(const nlohmann::json& document) {
  const TemporaryFolder folder;
  return Tokenizer::from_file(folder.write("tokenizer.json", document.dump()));
}

/// A small BPE model over characters.
inline nlohmann::json small_bpe() {
  return nlohmann::json::parse(R"({
    "added_tokens": [],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null,
    "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "unk_token": "?",
      "vocab": {"?": 0, "a": 1, "b": 2, "c": 3, "ab": 4, "abc": 5, " ": 6, "x": 7, "_": 8},
      "merges": ["a b", "ab c"]}})");
}

/// An entry of `added_tokens`.
inline nlohmann::json added_token(int id, const std::string& content) {
  return {{"id", id}, {"content", content}, {"special", true}};
}

}  // namespace lazuli::lm::test
