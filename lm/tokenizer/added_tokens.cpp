#include <lazuli/lm/tokenizer/added_tokens.h>

#include <lazuli/lm/text/unicode.h>
#include <lazuli/lm/text/utf8.h>
#include <lazuli/lm/tokenizer/json_node.h>
#include <lazuli/lm/tokenizer/normalizer.h>

#include <algorithm>
#include <utility>

namespace lazuli::lm {
namespace {

std::uint64_t edge_key(std::size_t node, char byte) {
  return std::uint64_t{node} << 8 | static_cast<unsigned char>(byte);
}

bool ends_with_word_character(std::string_view text) {
  std::size_t position = text.size();
  return position > 0 && is_word_character(previous_code_point(text, position));
}

bool begins_with_word_character(std::string_view text) {
  std::size_t position = 0;
  return !text.empty() && is_word_character(next_code_point(text, position));
}

}  // namespace

void AddedTokens::Trie::add(std::string_view content, std::size_t index) {
  if (content.empty()) return;
  first_bytes_.set(static_cast<unsigned char>(content.front()));
  std::size_t node = 0;
  for (char byte : content) {
    const std::uint64_t key = edge_key(node, byte);
    if (const std::uint64_t* next = edges_.find(key)) {
      node = static_cast<std::size_t>(*next);
    } else {
      node = entries_.size();
      edges_.set(key, node);
      entries_.push_back(kNoEntry);
    }
  }
  if (entries_[node] == kNoEntry) entries_[node] = index;
}

std::size_t AddedTokens::Trie::longest(std::string_view text, std::size_t begin, std::size_t& index) const {
  std::size_t longest_end = 0;
  std::size_t node = 0;
  for (std::size_t i = begin; i < text.size(); ++i) {
    const std::uint64_t* next = edges_.find(edge_key(node, text[i]));
    if (next == nullptr) break;
    node = static_cast<std::size_t>(*next);
    if (entries_[node] == kNoEntry) continue;
    longest_end = i + 1;
    index = entries_[node];
  }
  return longest_end;
}

std::size_t AddedTokens::Trie::candidate(std::string_view text, std::size_t from) const {
  if (entries_.size() == 1) return text.size();
  while (from < text.size() && !first_bytes_.test(static_cast<unsigned char>(text[from]))) ++from;
  return from;
}

AddedTokens::AddedTokens(const JsonNode& node, const Normalizer* normalizer) {
  for (std::size_t i = 0; i < node.size(); ++i) {
    const JsonNode entry = node.element(i);
    AddedToken token;
    token.id = entry.member("id").as_token_id();
    token.content = entry.member("content").as_string();
    token.single_word = entry.bool_or("single_word", false);
    token.lstrip = entry.bool_or("lstrip", false);
    token.rstrip = entry.bool_or("rstrip", false);
    token.special = entry.bool_or("special", false);
    token.normalized = entry.bool_or("normalized", !token.special);
    std::string sought = token.content;
    if (token.normalized && normalizer != nullptr) normalizer->apply(sought);
    (token.normalized ? normalized_ : as_given_).add(sought, tokens_.size());
    tokens_.push_back(std::move(token));
  }
}

bool AddedTokens::find(const Trie& trie, std::string_view text, std::size_t from, std::size_t behind_last,
                       Match& match) const {
  while ((from = trie.candidate(text, from)) < text.size()) {
    std::size_t index = 0;
    std::size_t end = trie.longest(text, from, index);
    if (end == 0) {
      ++from;
      continue;
    }
    const AddedToken& token = tokens_[index];
    std::size_t begin = from;
    if (token.single_word &&
        (ends_with_word_character(text.substr(0, begin)) || begins_with_word_character(text.substr(end)))) {
      from = end;
      continue;
    }
    while (token.lstrip && begin > behind_last) {
      std::size_t before = begin;
      if (!is_white_space(previous_code_point(text, before))) break;
      begin = before;
    }
    while (token.rstrip && end < text.size()) {
      std::size_t behind = end;
      if (!is_white_space(next_code_point(text, behind))) break;
      end = behind;
    }
    match = {std::max(begin, behind_last), end, index};
    return true;
  }
  return false;
}

}  // namespace lazuli::lm
