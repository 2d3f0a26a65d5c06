#include <lazuli/lm/tokenizer/unigram.h>

#include <lazuli/lm/text/utf8.h>
#include <lazuli/lm/tokenizer/json_node.h>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <stdexcept>

namespace lazuli::lm {
namespace {

constexpr double kUnknownPenalty = 10;
constexpr std::size_t kUnreached = std::numeric_limits<std::size_t>::max();

std::uint64_t edge_key(std::size_t node, char byte) {
  return std::uint64_t{node} << 8 | static_cast<unsigned char>(byte);
}

}  // namespace

UnigramModel::UnigramModel(const JsonNode& node) : byte_fallback_(node.bool_or("byte_fallback", false)) {
  const JsonNode list = node.member("vocab");
  const std::size_t count = list.size();
  if (count == 0) list.fail("must not be empty");
  vocabulary_ = Vocabulary(count);
  token_at_.push_back(Vocabulary::kNone);
  double lowest = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < count; ++i) {
    const auto& entry = list.value()[i];
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      list.element(i).fail("must be a token and its score");
    }
    const std::string& token = entry[0].get_ref<const std::string&>();
    const auto id = static_cast<std::int32_t>(i);
    vocabulary_.set(token, id);
    scores_.push_back(entry[1].get<double>());
    lowest = std::min(lowest, scores_.back());
    add_to_trie(token, id);
  }
  unknown_score_ = lowest - kUnknownPenalty;
  if (const auto unknown = node.find("unk_id")) {
    unknown_ = unknown->as_token_id();
    if (!vocabulary_.contains(unknown_))
      unknown->fail(fmt::format("is {}, which is not in the vocabulary", unknown_));
  }
  byte_tokens_ = find_byte_tokens(vocabulary_);
}

void UnigramModel::add_to_trie(std::string_view token, std::int32_t id) {
  if (token.empty()) return;
  std::size_t node = 0;
  for (char byte : token) {
    const std::uint64_t key = edge_key(node, byte);
    if (const std::uint64_t* next = edges_.find(key)) {
      node = static_cast<std::size_t>(*next);
    } else {
      node = token_at_.size();
      edges_.set(key, node);
      token_at_.push_back(Vocabulary::kNone);
    }
  }
  token_at_[node] = id;
}

void UnigramModel::encode(std::string_view piece, std::vector<std::int32_t>& ids) const {
  thread_local std::vector<Node> best;
  best.assign(piece.size() + 1, Node{0, kUnreached, Vocabulary::kNone});
  auto offer = [&](std::size_t begin, std::size_t end, double score, std::int32_t id) {
    Node& node = best[end];
    const double sum = best[begin].score + score;
    if (node.begin == kUnreached || sum > node.score) node = {sum, begin, id};
  };
  for (std::size_t begin = 0; begin < piece.size();) {
    const std::size_t behind = begin + utf8_length(piece[begin]);
    bool covered = false;
    std::size_t node = 0;
    for (std::size_t end = begin; end < piece.size();) {
      const std::uint64_t* next = edges_.find(edge_key(node, piece[end]));
      if (next == nullptr) break;
      node = static_cast<std::size_t>(*next);
      ++end;
      const std::int32_t id = token_at_[node];
      if (id == Vocabulary::kNone) continue;
      offer(begin, end, scores_[static_cast<std::size_t>(id)], id);
      covered = covered || end == behind;
    }
    if (!covered) offer(begin, behind, unknown_score_, unknown_);
    begin = behind;
  }

  // The way back from the end, turned round.
  thread_local std::vector<std::size_t> ends;
  ends.clear();
  for (std::size_t end = piece.size(); end > 0; end = best[end].begin) ends.push_back(end);
  for (auto end = ends.rbegin(); end != ends.rend(); ++end) {
    const Node& node = best[*end];
    if (node.id != unknown_) {
      ids.push_back(node.id);
      continue;
    }
    auto last = end;
    while (std::next(last) != ends.rend() && best[*std::next(last)].id == unknown_) ++last;
    append_unknown(piece.substr(node.begin, *last - node.begin), ids);
    end = last;
  }
}

void UnigramModel::append_unknown(std::string_view text, std::vector<std::int32_t>& ids) const {
  // Characters that are unknown one by one may together be a token that a better way went around.
  const std::int32_t known = vocabulary_.find(text);
  if (known != Vocabulary::kNone) {
    ids.push_back(known);
    return;
  }
  if (byte_fallback_) {
    const bool complete = std::all_of(text.begin(), text.end(), [&](char c) {
      return byte_tokens_[static_cast<unsigned char>(c)] != Vocabulary::kNone;
    });
    if (complete) {
      for (char c : text) ids.push_back(byte_tokens_[static_cast<unsigned char>(c)]);
      return;
    }
  }
  if (unknown_ == Vocabulary::kNone) {
    throw std::invalid_argument(
        fmt::format("[tokenizer] no token covers \"{}\", and the model has no unknown token", text));
  }
  ids.push_back(unknown_);
}

}  // namespace lazuli::lm
