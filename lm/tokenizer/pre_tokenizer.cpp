#include <lazuli/lm/tokenizer/pre_tokenizer.h>

#include <lazuli/lm/text/unicode.h>
#include <lazuli/lm/text/utf8.h>
#include <lazuli/lm/tokenizer/byte_alphabet.h>
#include <lazuli/lm/tokenizer/json_node.h>
#include <lazuli/lm/tokenizer/pattern.h>

#include <fmt/format.h>

#include <string>
#include <utility>

namespace lazuli::lm {
namespace {

/// What becomes of the separators that text is split at.
enum class Behavior { kRemoved, kIsolated, kContiguous, kMergedWithPrevious, kMergedWithNext };

Behavior parse_behavior(const JsonNode& node) {
  const std::string& name = node.as_string();
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "Contiguous") return Behavior::kContiguous;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  node.fail(fmt::format("is \"{}\", which is no way to split text", name));
}

/// Takes a text part by part, each a separator or not, and passes on the pieces that `behavior` makes of
/// them.
class PieceBuilder {
 public:
  PieceBuilder(std::string_view text, bool at_start, Behavior behavior, const PieceSink& sink)
      : text_(text), at_start_(at_start), behavior_(behavior), sink_(sink) {}

  void add(std::size_t begin, std::size_t end, bool is_separator) {
    if (begin == end) return;
    switch (behavior_) {
      case Behavior::kRemoved:
        if (!is_separator) emit(begin, end);
        return;
      case Behavior::kIsolated:
        emit(begin, end);
        return;
      case Behavior::kContiguous:
        merge_if(is_separator == last_is_separator_, begin, end, is_separator);
        return;
      case Behavior::kMergedWithPrevious:
        merge_if(is_separator && !last_is_separator_, begin, end, is_separator);
        return;
      case Behavior::kMergedWithNext:
        merge_if(!is_separator && last_is_separator_, begin, end, is_separator);
        return;
    }
  }

  void finish() {
    if (pending_) emit(pending_begin_, pending_end_);
  }

 private:
  void merge_if(bool merge, std::size_t begin, std::size_t end, bool is_separator) {
    if (pending_ && merge) {
      pending_end_ = end;
    } else {
      finish();
      pending_ = true;
      pending_begin_ = begin;
      pending_end_ = end;
    }
    last_is_separator_ = is_separator;
  }

  void emit(std::size_t begin, std::size_t end) const {
    sink_(text_.substr(begin, end - begin), at_start_ && begin == 0);
  }

  std::string_view text_;
  bool at_start_;
  Behavior behavior_;
  const PieceSink& sink_;
  bool pending_ = false;
  bool last_is_separator_ = false;
  std::size_t pending_begin_ = 0;
  std::size_t pending_end_ = 0;
};

/// Splits at the matches of a pattern, or at what lies between them if `invert`.
void split_at_pattern(const Pattern& pattern, bool invert, std::string_view text, PieceBuilder& builder) {
  std::size_t behind_last = 0;
  std::size_t from = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
  while (from < text.size() && pattern.search(text, from, begin, end)) {
    builder.add(behind_last, begin, invert);
    builder.add(begin, end, !invert);
    behind_last = end;
    from = end;
    if (begin == end && end < text.size()) from += utf8_length(text[end]);
  }
  builder.add(behind_last, text.size(), invert);
  builder.finish();
}

/// Splits at each character for which `is_separator`.
template <typename Predicate>
void split_at_characters(Predicate is_separator, std::string_view text, PieceBuilder& builder) {
  std::size_t behind_last = 0;
  for (std::size_t position = 0; position < text.size();) {
    const std::size_t begin = position;
    if (!is_separator(next_code_point(text, position))) continue;
    builder.add(behind_last, begin, false);
    builder.add(begin, position, true);
    behind_last = position;
  }
  builder.add(behind_last, text.size(), false);
  builder.finish();
}

class SplitStage final : public PreTokenizerStage {
 public:
  SplitStage(Pattern pattern, Behavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void split(std::string_view text, bool at_start, const PieceSink& sink) const override {
    PieceBuilder builder(text, at_start, behavior_, sink);
    split_at_pattern(pattern_, invert_, text, builder);
  }

 private:
  Pattern pattern_;
  Behavior behavior_;
  bool invert_;
};

template <typename Predicate>
class CharacterStage final : public PreTokenizerStage {
 public:
  CharacterStage(Predicate is_separator, Behavior behavior)
      : is_separator_(is_separator), behavior_(behavior) {}

  void split(std::string_view text, bool at_start, const PieceSink& sink) const override {
    PieceBuilder builder(text, at_start, behavior_, sink);
    split_at_characters(is_separator_, text, builder);
  }

 private:
  Predicate is_separator_;
  Behavior behavior_;
};

/// Cuts with the pattern of GPT-2 (openai/gpt-2, encoder.py) and writes bytes in the byte-level alphabet.
class ByteLevelStage final : public PreTokenizerStage {
 public:
  ByteLevelStage(bool add_prefix_space, bool use_regex)
      : words_(Regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)")),
        add_prefix_space_(add_prefix_space),
        use_regex_(use_regex) {}

  bool writes_bytes() const override { return true; }
  void leave_bytes() override { leave_bytes_ = true; }

  void split(std::string_view text, bool at_start, const PieceSink& sink) const override {
    std::string prefixed;
    if (add_prefix_space_ && text.front() != ' ') {
      prefixed.reserve(text.size() + 1);
      prefixed.push_back(' ');
      prefixed += text;
      text = prefixed;
    }
    if (leave_bytes_) return cut(text, at_start, sink);
    std::string encoded;
    auto encode = [&](std::string_view piece, bool first) {
      encoded.clear();
      ByteAlphabet::get().append_encoded(encoded, piece);
      sink(encoded, first);
    };
    cut(text, at_start, PieceSink(encode));
  }

 private:
  void cut(std::string_view text, bool at_start, const PieceSink& sink) const {
    if (!use_regex_) return sink(text, at_start);
    PieceBuilder builder(text, at_start, Behavior::kIsolated, sink);
    split_at_pattern(words_, false, text, builder);
  }

  Pattern words_;
  bool add_prefix_space_;
  bool use_regex_;
  bool leave_bytes_ = false;
};

/// Writes spaces as a visible character, as SentencePiece does, and cuts before each.
class MetaspaceStage final : public PreTokenizerStage {
 public:
  enum class Prepend { kAlways, kFirst, kNever };

  MetaspaceStage(char32_t replacement, Prepend prepend, bool split)
      : replacement_(replacement), prepend_(prepend), split_(split) {
    append_utf8(replacement_text_, replacement);
  }

  void split(std::string_view text, bool at_start, const PieceSink& sink) const override {
    std::string replaced;
    replaced.reserve(text.size() + replacement_text_.size());
    const bool has_prefix =
        text.front() == ' ' || text.substr(0, replacement_text_.size()) == replacement_text_;
    const bool wants_prefix = prepend_ == Prepend::kAlways || (prepend_ == Prepend::kFirst && at_start);
    if (wants_prefix && !has_prefix) replaced += replacement_text_;
    for (char c : text) {
      if (c == ' ') {
        replaced += replacement_text_;
      } else {
        replaced.push_back(c);
      }
    }
    if (!split_) return sink(replaced, at_start);
    PieceBuilder builder(replaced, at_start, Behavior::kMergedWithNext, sink);
    split_at_characters([this](char32_t code) { return code == replacement_; }, replaced, builder);
  }

 private:
  char32_t replacement_;
  std::string replacement_text_;
  Prepend prepend_;
  bool split_;
};

std::unique_ptr<PreTokenizerStage> parse_metaspace(const JsonNode& node) {
  auto prepend = MetaspaceStage::Prepend::kAlways;
  if (const auto scheme = node.find("prepend_scheme")) {
    const std::string& name = scheme->as_string();
    if (name == "first") {
      prepend = MetaspaceStage::Prepend::kFirst;
    } else if (name == "never") {
      prepend = MetaspaceStage::Prepend::kNever;
    } else if (name != "always") {
      scheme->fail("must be \"always\", \"first\" or \"never\"");
    }
  } else if (!node.bool_or("add_prefix_space", true)) {
    prepend = MetaspaceStage::Prepend::kNever;
  }
  const auto replacement = node.find("replacement");
  return std::make_unique<MetaspaceStage>(replacement ? replacement->as_character() : U'\u2581', prepend,
                                          node.bool_or("split", true));
}

template <typename Predicate>
std::unique_ptr<PreTokenizerStage> make_character_stage(Predicate is_separator, Behavior behavior) {
  return std::make_unique<CharacterStage<Predicate>>(is_separator, behavior);
}

}  // namespace

PreTokenizer::PreTokenizer(const JsonNode& node) {
  add(node);
}

void PreTokenizer::add(const JsonNode& node) {
  const std::string& type = node.type();
  if (type == "Sequence") {
    const JsonNode list = node.member("pretokenizers");
    for (std::size_t i = 0; i < list.size(); ++i) add(list.element(i));
  } else if (type == "Split") {
    stages_.push_back(std::make_unique<SplitStage>(Pattern(node.member("pattern")),
                                                   parse_behavior(node.member("behavior")),
                                                   node.bool_or("invert", false)));
  } else if (type == "ByteLevel") {
    stages_.push_back(std::make_unique<ByteLevelStage>(node.bool_or("add_prefix_space", true),
                                                       node.bool_or("use_regex", true)));
  } else if (type == "Metaspace") {
    stages_.push_back(parse_metaspace(node));
  } else if (type == "Digits") {
    const bool individual = node.bool_or("individual_digits", false);
    stages_.push_back(
        make_character_stage(is_numeric, individual ? Behavior::kIsolated : Behavior::kContiguous));
  } else if (type == "Punctuation") {
    const auto behavior = node.find("behavior");
    stages_.push_back(
        make_character_stage(is_punctuation, behavior ? parse_behavior(*behavior) : Behavior::kIsolated));
  } else if (type == "WhitespaceSplit") {
    stages_.push_back(make_character_stage(is_white_space, Behavior::kRemoved));
  } else if (type == "Whitespace") {
    stages_.push_back(
        std::make_unique<SplitStage>(Pattern(Regex(R"(\w+|[^\w\s]+)")), Behavior::kRemoved, true));
  } else if (type == "CharDelimiterSplit") {
    const char32_t delimiter = node.member("delimiter").as_character();
    stages_.push_back(
        make_character_stage([delimiter](char32_t code) { return code == delimiter; }, Behavior::kRemoved));
  } else if (type == "BertPreTokenizer") {
    stages_.push_back(make_character_stage(is_white_space, Behavior::kRemoved));
    stages_.push_back(make_character_stage(is_punctuation, Behavior::kIsolated));
  } else {
    node.fail_unknown_type("pre-tokenizer");
  }
}

void PreTokenizer::split_from(std::size_t stage, std::string_view text, bool at_start,
                              const PieceSink& sink) const {
  if (text.empty()) return;
  if (stage == stages_.size()) return sink(text, at_start);
  if (stage + 1 == stages_.size()) return stages_[stage]->split(text, at_start, sink);
  auto next = [&](std::string_view piece, bool first) { split_from(stage + 1, piece, first, sink); };
  stages_[stage]->split(text, at_start, PieceSink(next));
}

}  // namespace lazuli::lm
