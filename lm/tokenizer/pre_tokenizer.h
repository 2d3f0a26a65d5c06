#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

namespace lazuli::lm {

class JsonNode;

/// A reference to a function that takes pieces one after the other. `at_start` says whether a piece begins
/// where the whole text begins. A piece may be overwritten once the call is over.
class PieceSink {
 public:
  template <typename Function>
  explicit PieceSink(Function& function)
      : object_(&function), call_([](void* object, std::string_view piece, bool at_start) {
          (*static_cast<Function*>(object))(piece, at_start);
        }) {}

  void operator()(std::string_view piece, bool at_start) const { call_(object_, piece, at_start); }

 private:
  void* object_;
  void (*call_)(void*, std::string_view, bool);
};

/// One way of cutting text into pieces.
class PreTokenizerStage {
 public:
  virtual ~PreTokenizerStage() = default;
  virtual void split(std::string_view text, bool at_start, const PieceSink& sink) const = 0;
  /// Whether this stage writes bytes in the byte-level alphabet.
  virtual bool writes_bytes() const { return false; }
  /// Makes such a stage leave bytes as they are.
  virtual void leave_bytes() {}
};

/// Cuts text into the pieces that a model turns into tokens, through a row of stages. Immutable once parsed.
class PreTokenizer {
 public:
  /// Leaves text in one piece.
  PreTokenizer() = default;

  /// The `pre_tokenizer` object of a tokenizer.json: BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits,
  /// Metaspace, Punctuation, Sequence, Split, Whitespace, WhitespaceSplit. Throws std::runtime_error for
  /// anything else.
  explicit PreTokenizer(const JsonNode& node);

  /// Whether the last thing that happens to pieces is to be written in the byte-level alphabet.
  bool ends_in_bytes() const { return !stages_.empty() && stages_.back()->writes_bytes(); }
  /// Makes pieces come as plain bytes instead.
  void leave_bytes() { stages_.back()->leave_bytes(); }

  /// Cuts `text`, which must be valid UTF-8. Empty pieces are left out.
  void split(std::string_view text, bool at_start, const PieceSink& sink) const {
    split_from(0, text, at_start, sink);
  }

 private:
  void add(const JsonNode& node);
  void split_from(std::size_t stage, std::string_view text, bool at_start, const PieceSink& sink) const;

  std::vector<std::unique_ptr<PreTokenizerStage>> stages_;
};

}  // namespace lazuli::lm
