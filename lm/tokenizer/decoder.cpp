#include <lazuli/lm/tokenizer/decoder.h>

#include <lazuli/lm/text/utf8.h>
#include <lazuli/lm/tokenizer/byte_alphabet.h>
#include <lazuli/lm/tokenizer/json_node.h>
#include <lazuli/lm/tokenizer/pattern.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace lazuli::lm {
namespace {

/// `text` with each `from`, which is not empty, replaced by `to`.
std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  std::size_t copied = 0;
  for (std::size_t at; (at = text.find(from, copied)) != std::string_view::npos; copied = at + from.size()) {
    out += text.substr(copied, at - copied);
    out += to;
  }
  out += text.substr(copied);
  return out;
}

/// A step that looks at whole tokens.
class WholeTokenStage : public DecoderStage {
 public:
  void text(std::string_view characters) final { token_ += characters; }
  void end_token() final {
    take_token(token_);
    token_.clear();
  }

 protected:
  virtual void take_token(std::string& token) = 0;
  void pass(std::string_view token) const {
    next().text(token);
    next().end_token();
  }

 private:
  std::string token_;
};

/// Joins tokens with spaces.
class JoinStage final : public DecoderStage {
 public:
  void text(std::string_view characters) override {
    if (needs_space_) next().text(" ");
    needs_space_ = false;
    next().text(characters);
  }
  void end_token() override {
    next().end_token();
    needs_space_ = true;
  }
  void finish() override { next().finish(); }

 private:
  bool needs_space_ = false;
};

/// Reads the byte-level alphabet. All tokens become one, as their bytes together make up the characters.
class ByteLevelStage final : public WholeTokenStage {
 public:
  void finish() override {
    std::string text;
    repairer_.finish(text);
    pass(text);
    next().finish();
  }

 protected:
  void take_token(std::string& token) override {
    bytes_.clear();
    if (!ByteAlphabet::get().append_decoded(bytes_, token)) bytes_ = token;
    text_.clear();
    repairer_.push(bytes_, text_);
    next().text(text_);
  }

 private:
  Utf8Repairer repairer_;
  std::string bytes_;
  std::string text_;
};

/// Joins runs of byte tokens such as `<0xE4>` into characters. A run that is not valid UTF-8 as a whole
/// becomes one U+FFFD for each byte, so nothing of a run is certain before its end.
class ByteFallbackStage final : public WholeTokenStage {
 public:
  void finish() override {
    end_run();
    next().finish();
  }

 protected:
  void take_token(std::string& token) override {
    const int byte = byte_of(token);
    if (byte >= 0) {
      run_.push_back(static_cast<char>(byte));
      return;
    }
    end_run();
    pass(token);
  }

 private:
  static int byte_of(std::string_view token) {
    if (token.size() != 6 || token.substr(0, 3) != "<0x" || token.back() != '>') return -1;
    int byte = 0;
    for (char c : token.substr(3, 2)) {
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                               : -1;
      if (digit < 0) return -1;
      byte = byte * 16 + digit;
    }
    return byte;
  }

  void end_run() {
    if (run_.empty()) return;
    if (is_valid_utf8(run_)) {
      pass(run_);
    } else {
      for (std::size_t i = 0; i < run_.size(); ++i) pass(kReplacementCharacter);
    }
    run_.clear();
  }

  std::string run_;
};

/// Joins all tokens into one.
class FuseStage final : public DecoderStage {
 public:
  void text(std::string_view characters) override { next().text(characters); }
  void end_token() override {}
  void finish() override {
    next().end_token();
    next().finish();
  }
};

/// Replaces a string in each token. Of a token that comes in parts, only what may begin the string waits.
class ReplaceStringStage final : public DecoderStage {
 public:
  ReplaceStringStage(std::string sought, std::string content)
      : sought_(std::move(sought)), content_(std::move(content)) {}

  void text(std::string_view characters) override {
    waiting_ += characters;
    std::size_t done = 0;
    for (std::size_t at; (at = waiting_.find(sought_, done)) != std::string::npos;
         done = at + sought_.size()) {
      out_.append(waiting_, done, at - done);
      out_ += content_;
    }
    std::size_t kept = std::min(sought_.size() - 1, waiting_.size() - done);
    while (kept > 0 && waiting_.compare(waiting_.size() - kept, kept, sought_, 0, kept) != 0) --kept;
    out_.append(waiting_, done, waiting_.size() - kept - done);
    waiting_.erase(0, waiting_.size() - kept);
    next().text(out_);
    out_.clear();
  }
  void end_token() override {
    next().text(waiting_);
    waiting_.clear();
    next().end_token();
  }
  void finish() override { next().finish(); }

 private:
  std::string sought_;
  std::string content_;
  std::string waiting_;
  std::string out_;
};

class ReplacePatternStage final : public WholeTokenStage {
 public:
  ReplacePatternStage(std::shared_ptr<const Pattern> pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void finish() override { next().finish(); }

 protected:
  void take_token(std::string& token) override { pass(pattern_->replace_all(token, content_)); }

 private:
  std::shared_ptr<const Pattern> pattern_;
  std::string content_;
};

/// Takes up to `start` and `stop` copies of a character from the ends of each token.
class StripStage final : public DecoderStage {
 public:
  StripStage(std::string content, std::size_t start, std::size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop), left_(start) {}

  void text(std::string_view characters) override {
    while (left_ > 0 && !characters.empty()) {
      if (characters.substr(0, content_.size()) != content_) {
        left_ = 0;
        break;
      }
      characters.remove_prefix(content_.size());
      --left_;
    }
    if (stop_ == 0) return next().text(characters);
    ending_ += characters;
    std::size_t kept = 0;
    while (kept < stop_ && ending_.size() >= (kept + 1) * content_.size() &&
           ending_.compare(ending_.size() - (kept + 1) * content_.size(), content_.size(), content_) == 0) {
      ++kept;
    }
    const std::size_t certain = ending_.size() - kept * content_.size();
    next().text(std::string_view(ending_).substr(0, certain));
    ending_.erase(0, certain);
  }
  void end_token() override {
    ending_.clear();
    left_ = start_;
    next().end_token();
  }
  void finish() override { next().finish(); }

 private:
  std::string content_;
  std::size_t start_;
  std::size_t stop_;
  std::size_t left_;
  std::string ending_;
};

/// Turns SentencePiece's visible space back into spaces; in the first token it disappears if it was put
/// there.
class MetaspaceStage final : public WholeTokenStage {
 public:
  MetaspaceStage(std::string replacement, bool drops_first)
      : replacement_(std::move(replacement)), drops_(drops_first) {}
  void finish() override { next().finish(); }

 protected:
  void take_token(std::string& token) override {
    pass(replaced(token, replacement_, drops_ ? "" : " "));
    drops_ = false;
  }

 private:
  std::string replacement_;
  bool drops_;
};

/// Puts spaces before tokens that do not continue a word and, with `cleanup`, takes those before punctuation
/// and English contractions away again.
class WordPieceStage final : public WholeTokenStage {
 public:
  WordPieceStage(std::string prefix, bool cleanup) : prefix_(std::move(prefix)), cleanup_(cleanup) {}
  void finish() override { next().finish(); }

 protected:
  void take_token(std::string& token) override {
    if (!first_) {
      if (token.compare(0, prefix_.size(), prefix_) == 0) {
        token.erase(0, prefix_.size());
      } else {
        token.insert(token.begin(), ' ');
      }
    }
    first_ = false;
    if (cleanup_) {
      for (const auto& [from, to] : kContractions) token = replaced(token, from, to);
    }
    pass(token);
  }

 private:
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kContractions = {{
      {" .", "."},
      {" ?", "?"},
      {" !", "!"},
      {" ,", ","},
      {" ' ", "'"},
      {" n't", "n't"},
      {" 'm", "'m"},
      {" do not", " don't"},
      {" 's", "'s"},
      {" 've", "'ve"},
      {" 're", "'re"},
  }};

  std::string prefix_;
  bool cleanup_;
  bool first_ = true;
};

/// Turns the mark at the end of a word into a space, except at the very end.
class WordSuffixStage final : public WholeTokenStage {
 public:
  explicit WordSuffixStage(std::string suffix) : suffix_(std::move(suffix)) {}
  void finish() override {
    if (has_last_) pass(replaced(last_, suffix_, ""));
    next().finish();
  }

 protected:
  void take_token(std::string& token) override {
    if (has_last_) pass(replaced(last_, suffix_, " "));
    last_ = token;
    has_last_ = true;
  }

 private:
  std::string suffix_;
  std::string last_;
  bool has_last_ = false;
};

}  // namespace

/// Where the last stage's text goes.
class DecoderRun::Output final : public DecoderStage {
 public:
  void text(std::string_view characters) override { collected += characters; }
  void end_token() override {}
  void finish() override {}

  std::string collected;
};

DecoderRun::DecoderRun(std::vector<std::unique_ptr<DecoderStage>> stages)
    : stages_(std::move(stages)), output_(std::make_unique<Output>()) {
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    stages_[i]->set_next(i + 1 < stages_.size() ? stages_[i + 1].get() : output_.get());
  }
}

DecoderRun::DecoderRun(DecoderRun&&) noexcept = default;
DecoderRun& DecoderRun::operator=(DecoderRun&&) noexcept = default;
DecoderRun::~DecoderRun() = default;

void DecoderRun::push(std::string_view token) {
  DecoderStage& first = stages_.empty() ? *output_ : *stages_.front();
  first.text(token);
  first.end_token();
}

void DecoderRun::finish() {
  if (!stages_.empty()) stages_.front()->finish();
}

std::string DecoderRun::take() {
  return std::exchange(output_->collected, std::string());
}

Decoder::Decoder() {
  factories_.push_back([] { return std::make_unique<JoinStage>(); });
}

Decoder::Decoder(const JsonNode& node) {
  add(node);
}

DecoderRun Decoder::start() const {
  std::vector<std::unique_ptr<DecoderStage>> stages;
  stages.reserve(factories_.size());
  for (const Factory& factory : factories_) stages.push_back(factory());
  return DecoderRun(std::move(stages));
}

void Decoder::add(const JsonNode& node) {
  const std::string& type = node.type();
  if (type == "Sequence") {
    const JsonNode list = node.member("decoders");
    for (std::size_t i = 0; i < list.size(); ++i) add(list.element(i));
  } else if (type == "ByteLevel") {
    factories_.push_back([] { return std::make_unique<ByteLevelStage>(); });
  } else if (type == "ByteFallback") {
    factories_.push_back([] { return std::make_unique<ByteFallbackStage>(); });
  } else if (type == "Fuse") {
    factories_.push_back([] { return std::make_unique<FuseStage>(); });
  } else if (type == "Replace") {
    auto pattern = std::make_shared<const Pattern>(node.member("pattern"));
    const std::string content = node.member("content").as_string();
    if (pattern->literal() != nullptr) {
      factories_.push_back(
          [pattern, content] { return std::make_unique<ReplaceStringStage>(*pattern->literal(), content); });
    } else {
      factories_.push_back(
          [pattern, content] { return std::make_unique<ReplacePatternStage>(pattern, content); });
    }
  } else if (type == "Strip") {
    std::string content;
    append_utf8(content, node.member("content").as_character());
    const std::size_t start = node.member("start").as_size();
    const std::size_t stop = node.member("stop").as_size();
    factories_.push_back(
        [content, start, stop] { return std::make_unique<StripStage>(content, start, stop); });
  } else if (type == "Metaspace") {
    const auto replacement = node.find("replacement");
    std::string text;
    append_utf8(text, replacement ? replacement->as_character() : U'\u2581');
    const bool never =
        node.string_or("prepend_scheme", "always") == "never" || !node.bool_or("add_prefix_space", true);
    factories_.push_back([text, never] { return std::make_unique<MetaspaceStage>(text, !never); });
  } else if (type == "WordPiece") {
    const std::string prefix = node.string_or("prefix", "##");
    const bool cleanup = node.bool_or("cleanup", true);
    factories_.push_back([prefix, cleanup] { return std::make_unique<WordPieceStage>(prefix, cleanup); });
  } else if (type == "BPEDecoder") {
    const std::string suffix = node.string_or("suffix", "</w>");
    if (suffix.empty()) node.fail("has an empty suffix");
    factories_.push_back([suffix] { return std::make_unique<WordSuffixStage>(suffix); });
  } else {
    node.fail_unknown_type("decoder");
  }
}

}  // namespace lazuli::lm
