#include <lazuli/lm/tokenizer/bpe.h>

#include <lazuli/lm/text/utf8.h>
#include <lazuli/lm/tokenizer/byte_alphabet.h>
#include <lazuli/lm/tokenizer/json_node.h>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <limits>
#include <queue>
#include <stdexcept>
#include <utility>

namespace lazuli::lm {
namespace {

constexpr std::uint32_t kNoRank = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t kFewSymbols = 48;

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

std::uint64_t joint_key(char32_t left, char32_t right) {
  return std::uint64_t{left} << 32 | right;
}

/// Remembers the tokens of short pieces: of those with the same hash, the last one. There is one in each
/// thread, shared by all models, of fixed size.
class PieceCache {
 public:
  static constexpr std::size_t kMaximumLength = 24;
  static constexpr std::size_t kMaximumTokens = 8;

  struct Entry {
    std::uint32_t model = 0;
    std::uint16_t length = 0;
    std::uint16_t count = 0;
    std::array<char, kMaximumLength> piece;
    std::array<std::int32_t, kMaximumTokens> ids;
  };

  static PieceCache& of_this_thread() {
    thread_local PieceCache cache;
    return cache;
  }

  /// The place of a piece, whether it is taken by that piece or another.
  Entry& place(std::string_view piece, std::uint32_t model) {
    return entries_[(hash_bytes(piece) + model * 0x9E3779B97F4A7C15u) >> (64 - kBits)];
  }

  static bool holds(const Entry& entry, std::string_view piece, std::uint32_t model) {
    return entry.model == model && entry.length == piece.size() &&
           std::memcmp(entry.piece.data(), piece.data(), piece.size()) == 0;
  }

 private:
  static constexpr int kBits = 12;
  PieceCache() : entries_(std::size_t{1} << kBits) {}

  std::vector<Entry> entries_;
};

}  // namespace

/// Appends symbols; characters that are not known it turns into the unknown token, one for a run of them if
/// `fuse`.
class BpeModel::SymbolWriter {
 public:
  SymbolWriter(const BpeModel& model, std::vector<std::int32_t>& symbols)
      : model_(model), symbols_(symbols) {}

  void add(std::int32_t id) {
    flush();
    symbols_.push_back(id);
  }

  void add_unknown(std::string_view character) {
    if (model_.byte_fallback_) {
      const bool complete = std::all_of(character.begin(), character.end(), [&](char c) {
        return model_.byte_tokens_[static_cast<unsigned char>(c)] != Vocabulary::kNone;
      });
      if (complete) {
        for (char c : character) symbols_.push_back(model_.byte_tokens_[static_cast<unsigned char>(c)]);
        return;
      }
    }
    if (model_.unknown_ == Vocabulary::kNone) return;
    if (!model_.fuse_unknown_) flush();
    pending_unknown_ = true;
  }

  void flush() {
    if (pending_unknown_) symbols_.push_back(model_.unknown_);
    pending_unknown_ = false;
  }

 private:
  const BpeModel& model_;
  std::vector<std::int32_t>& symbols_;
  bool pending_unknown_ = false;
};

BpeModel::BpeModel(const JsonNode& node)
    : fuse_unknown_(node.bool_or("fuse_unk", false)),
      byte_fallback_(node.bool_or("byte_fallback", false)),
      ignore_merges_(node.bool_or("ignore_merges", false)),
      word_prefix_(node.string_or("continuing_subword_prefix", "")),
      word_suffix_(node.string_or("end_of_word_suffix", "")) {
  static std::atomic<std::uint32_t> models{0};
  cache_tag_ = ++models;
  vocabulary_ = parse_vocabulary(node.member("vocab"));
  if (const auto unknown = node.find("unk_token")) {
    unknown_ = vocabulary_.find(unknown->as_string());
    if (unknown_ == Vocabulary::kNone) {
      unknown->fail(
          fmt::format("names the token \"{}\", which is not in the vocabulary", unknown->as_string()));
    }
  }
  byte_tokens_ = find_byte_tokens(vocabulary_);
  characters_.assign(0x10000, Vocabulary::kNone);
  for (std::int32_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string_view token = vocabulary_.token(id);
    if (token.empty() || utf8_length(token.front()) != token.size()) continue;
    std::size_t position = 0;
    const char32_t code = next_code_point(token, position);
    if (code < characters_.size()) characters_[code] = id;
  }
  parse_merges(node.member("merges"));
}

void BpeModel::parse_merges(const JsonNode& node) {
  const std::size_t count = node.size();
  if (count >= kNoRank) node.fail("is too long");
  merges_ = FlatMap(count);
  std::vector<std::array<std::int32_t, 3>> merges;
  merges.reserve(count);
  std::string joined;
  for (std::size_t i = 0; i < count; ++i) {
    const auto& entry = node.value()[i];
    std::string_view left;
    std::string_view right;
    if (entry.is_string()) {
      const std::string_view text = entry.get_ref<const std::string&>();
      const std::size_t space = text.find(' ');
      if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
        node.element(i).fail("must be two tokens with a space between them");
      }
      left = text.substr(0, space);
      right = text.substr(space + 1);
    } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
      left = entry[0].get_ref<const std::string&>();
      right = entry[1].get_ref<const std::string&>();
    } else {
      node.element(i).fail("must be a pair of tokens");
    }
    if (left.empty() || right.empty()) node.element(i).fail("holds an empty token");
    auto find = [&](std::string_view token) {
      const std::int32_t id = vocabulary_.find(token);
      if (id == Vocabulary::kNone) {
        node.element(i).fail(fmt::format("names the token \"{}\", which is not in the vocabulary", token));
      }
      return id;
    };
    const std::int32_t left_id = find(left);
    const std::int32_t right_id = find(right);
    if (right.size() < word_prefix_.size()) {
      node.element(i).fail(fmt::format("continues a word without the prefix \"{}\"", word_prefix_));
    }
    joined = left;
    joined += right.substr(word_prefix_.size());
    const std::int32_t result = find(joined);
    merges_.set(pair_key(left_id, right_id), std::uint64_t{i} << 32 | static_cast<std::uint32_t>(result));
    merges.push_back({left_id, right_id, result});
  }
  find_joints(merges);
}

void BpeModel::find_joints(const std::vector<std::array<std::int32_t, 3>>& merges) {
  // Not where a piece is looked up as a whole or its ends are marked; nor where a character may become
  // something else than its own token and then be merged or fused with its neighbours.
  if (ignore_merges_ || !word_prefix_.empty() || !word_suffix_.empty()) return;
  std::vector<std::int32_t> substitutes = byte_tokens_;
  substitutes.push_back(unknown_);
  std::sort(substitutes.begin(), substitutes.end());
  for (const auto& merge : merges) {
    for (const std::int32_t part : {merge[0], merge[1]}) {
      if (std::binary_search(substitutes.begin(), substitutes.end(), part)) return;
    }
    const std::string_view token = vocabulary_.token(merge[2]);
    std::size_t position = 0;
    char32_t left = next_code_point(token, position);
    while (position < token.size()) {
      const char32_t right = next_code_point(token, position);
      if (left < 128 && right < 128) {
        ascii_joints_.set(left * 128 + right);
      } else {
        joints_.set(joint_key(left, right), 1);
      }
      left = right;
    }
  }
  can_cut_ = true;
}

bool BpeModel::take_bytes() {
  if (!word_prefix_.empty() || !word_suffix_.empty()) return false;
  bytes_ = true;
  const ByteAlphabet& alphabet = ByteAlphabet::get();
  for (unsigned byte = 0; byte < 256; ++byte) {
    byte_symbols_[byte] = vocabulary_.find(alphabet.character(static_cast<unsigned char>(byte)));
  }
  if (ignore_merges_) {
    whole_pieces_ = Vocabulary(static_cast<std::size_t>(vocabulary_.size()));
    std::string bytes;
    for (std::int32_t id = 0; id < vocabulary_.size(); ++id) {
      bytes.clear();
      if (!vocabulary_.contains(id) || !alphabet.append_decoded(bytes, vocabulary_.token(id))) continue;
      whole_pieces_.set(bytes, id);
    }
  }
  return true;
}

void BpeModel::encode(std::string_view piece, std::vector<std::int32_t>& ids) const {
  if (bytes_ || !can_cut_ || piece.size() <= PieceCache::kMaximumLength) return encode_short(piece, ids);
  // A character that has no token of its own may be fused with the next, or disappear between two that then
  // meet.
  std::size_t begin = 0;
  std::size_t position = 0;
  char32_t left = next_code_point(piece, position);
  bool left_known = find_character(left, piece.substr(0, position)) != Vocabulary::kNone;
  while (position < piece.size()) {
    const std::size_t before = position;
    const char32_t right = next_code_point(piece, position);
    const bool right_known =
        find_character(right, piece.substr(before, position - before)) != Vocabulary::kNone;
    if (left_known && right_known && !may_join(left, right)) {
      encode_short(piece.substr(begin, before - begin), ids);
      begin = before;
    }
    left = right;
    left_known = right_known;
  }
  encode_short(piece.substr(begin), ids);
}

void BpeModel::encode_short(std::string_view piece, std::vector<std::int32_t>& ids) const {
  if (piece.size() > PieceCache::kMaximumLength) return encode_uncached(piece, ids);
  PieceCache::Entry& entry = PieceCache::of_this_thread().place(piece, cache_tag_);
  if (PieceCache::holds(entry, piece, cache_tag_)) {
    ids.insert(ids.end(), entry.ids.begin(), entry.ids.begin() + entry.count);
    return;
  }
  const std::size_t before = ids.size();
  encode_uncached(piece, ids);
  const std::size_t count = ids.size() - before;
  if (count > PieceCache::kMaximumTokens) return;
  entry.model = cache_tag_;
  entry.length = static_cast<std::uint16_t>(piece.size());
  entry.count = static_cast<std::uint16_t>(count);
  std::copy(piece.begin(), piece.end(), entry.piece.begin());
  std::copy(ids.begin() + static_cast<std::ptrdiff_t>(before), ids.end(), entry.ids.begin());
}

void BpeModel::encode_uncached(std::string_view piece, std::vector<std::int32_t>& ids) const {
  if (ignore_merges_) {
    const std::int32_t whole = (bytes_ ? whole_pieces_ : vocabulary_).find(piece);
    if (whole != Vocabulary::kNone) {
      ids.push_back(whole);
      return;
    }
  }
  thread_local std::vector<std::int32_t> symbols;
  symbols.clear();
  if (bytes_) {
    start_with_bytes(piece, symbols);
  } else if (word_prefix_.empty() && word_suffix_.empty()) {
    start_with_characters(piece, symbols);
  } else {
    start_with_affixes(piece, symbols);
  }
  if (symbols.size() <= kFewSymbols) {
    merge_few(symbols);
  } else {
    merge_many(symbols);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

std::int32_t BpeModel::find_character(char32_t code, std::string_view character) const {
  return code < characters_.size() ? characters_[code] : vocabulary_.find(character);
}

bool BpeModel::may_join(char32_t left, char32_t right) const {
  if (left < 128 && right < 128) return ascii_joints_.test(left * 128 + right);
  return joints_.find(joint_key(left, right)) != nullptr;
}

void BpeModel::start_with_characters(std::string_view piece, std::vector<std::int32_t>& symbols) const {
  SymbolWriter writer(*this, symbols);
  for (std::size_t position = 0; position < piece.size();) {
    const std::size_t begin = position;
    const char32_t code = next_code_point(piece, position);
    const std::string_view character = piece.substr(begin, position - begin);
    const std::int32_t id = find_character(code, character);
    if (id != Vocabulary::kNone) {
      writer.add(id);
    } else {
      writer.add_unknown(character);
    }
  }
  writer.flush();
}

void BpeModel::start_with_affixes(std::string_view piece, std::vector<std::int32_t>& symbols) const {
  SymbolWriter writer(*this, symbols);
  std::string symbol;
  for (std::size_t position = 0; position < piece.size();) {
    const std::size_t begin = position;
    position += utf8_length(piece[position]);
    symbol = begin > 0 ? word_prefix_ : "";
    symbol += piece.substr(begin, position - begin);
    if (position == piece.size()) symbol += word_suffix_;
    const std::int32_t id = vocabulary_.find(symbol);
    if (id != Vocabulary::kNone) {
      writer.add(id);
    } else {
      writer.add_unknown(symbol);
    }
  }
  writer.flush();
}

void BpeModel::start_with_bytes(std::string_view piece, std::vector<std::int32_t>& symbols) const {
  SymbolWriter writer(*this, symbols);
  for (char byte : piece) {
    const std::int32_t id = byte_symbols_[static_cast<unsigned char>(byte)];
    if (id != Vocabulary::kNone) {
      writer.add(id);
    } else {
      writer.add_unknown(ByteAlphabet::get().character(static_cast<unsigned char>(byte)));
    }
  }
  writer.flush();
}

std::optional<BpeModel::Merge> BpeModel::find_merge(std::int32_t left, std::int32_t right) const {
  const std::uint64_t* found = merges_.find(pair_key(left, right));
  if (found == nullptr) return std::nullopt;
  return Merge{static_cast<std::uint32_t>(*found >> 32), static_cast<std::int32_t>(*found & 0xFFFFFFFFu)};
}

void BpeModel::merge_few(std::vector<std::int32_t>& symbols) const {
  std::array<Merge, kFewSymbols> merges;
  std::size_t count = symbols.size();
  auto look_up = [&](std::size_t i) {
    merges[i] = find_merge(symbols[i], symbols[i + 1]).value_or(Merge{kNoRank, Vocabulary::kNone});
  };
  for (std::size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i) {
      if (merges[i].rank < merges[best].rank) best = i;
    }
    if (merges[best].rank == kNoRank) break;
    symbols[best] = merges[best].result;
    for (std::size_t i = best + 1; i + 1 < count; ++i) {
      symbols[i] = symbols[i + 1];
      if (i + 2 < count) merges[i] = merges[i + 1];
    }
    --count;
    if (best > 0) look_up(best - 1);
    if (best + 1 < count) look_up(best);
  }
  symbols.resize(count);
}

void BpeModel::merge_many(std::vector<std::int32_t>& symbols) const {
  struct Candidate {
    std::uint32_t rank;
    std::uint32_t position;
    std::int32_t result;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };
  constexpr std::uint32_t kEnd = std::numeric_limits<std::uint32_t>::max();
  if (symbols.size() >= kEnd) throw std::length_error("[tokenizer] a piece of text is too long");
  const auto count = static_cast<std::uint32_t>(symbols.size());

  // Symbols form a list; one that was merged into its left neighbour is marked as gone.
  std::vector<std::uint32_t> next(count);
  std::vector<std::uint32_t> previous(count);
  std::vector<Candidate> initial;
  auto consider = [&](std::uint32_t left, std::uint32_t right, auto add) {
    if (const auto merge = find_merge(symbols[left], symbols[right]))
      add(Candidate{merge->rank, left, merge->result});
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    next[i] = i + 1 < count ? i + 1 : kEnd;
    previous[i] = i > 0 ? i - 1 : kEnd;
    if (i + 1 < count) consider(i, i + 1, [&](const Candidate& c) { initial.push_back(c); });
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue(std::greater<>(),
                                                                               std::move(initial));
  auto push = [&](const Candidate& c) { queue.push(c); };
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    const std::uint32_t left = top.position;
    if (symbols[left] == Vocabulary::kNone || next[left] == kEnd) continue;
    const std::uint32_t right = next[left];
    const auto merge = find_merge(symbols[left], symbols[right]);
    if (!merge || merge->result != top.result)
      continue;  // One of the two has been merged with another since.
    symbols[left] = top.result;
    symbols[right] = Vocabulary::kNone;
    next[left] = next[right];
    if (next[left] != kEnd) {
      previous[next[left]] = left;
      consider(left, next[left], push);
    }
    if (previous[left] != kEnd) consider(previous[left], left, push);
  }
  symbols.erase(std::remove(symbols.begin(), symbols.end(), Vocabulary::kNone), symbols.end());
}

}  // namespace lazuli::lm
