#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lazuli::lm {

class JsonNode;

/// A step on the way from tokens to text. Takes tokens in order, each as whole characters in one or more
/// calls of `text` and then `end_token`, and passes tokens on to the next step as soon as they are certain.
class DecoderStage {
 public:
  virtual ~DecoderStage() = default;
  virtual void text(std::string_view characters) = 0;
  virtual void end_token() = 0;
  /// After the last token.
  virtual void finish() = 0;

  void set_next(DecoderStage* next) { next_ = next; }

 protected:
  DecoderStage& next() const { return *next_; }

 private:
  DecoderStage* next_ = nullptr;
};

/// The decoding of one sequence of tokens.
class DecoderRun {
 public:
  explicit DecoderRun(std::vector<std::unique_ptr<DecoderStage>> stages);
  DecoderRun(DecoderRun&&) noexcept;
  DecoderRun& operator=(DecoderRun&&) noexcept;
  ~DecoderRun();

  /// Appends to what `take` returns the text that is certain once this token has come.
  void push(std::string_view token);
  void finish();
  /// The text since the last call.
  std::string take();

 private:
  class Output;
  std::vector<std::unique_ptr<DecoderStage>> stages_;
  std::unique_ptr<Output> output_;
};

/// Turns tokens into text. Immutable; each sequence is decoded by a run of its own.
class Decoder {
 public:
  /// Joins tokens with spaces, as is done where a tokenizer.json has no decoder.
  Decoder();

  /// The `decoder` object of a tokenizer.json: BPEDecoder, ByteFallback, ByteLevel, Fuse, Metaspace, Replace,
  /// Sequence, Strip, WordPiece. Throws std::runtime_error for anything else.
  explicit Decoder(const JsonNode& node);

  DecoderRun start() const;

 private:
  using Factory = std::function<std::unique_ptr<DecoderStage>()>;
  void add(const JsonNode& node);

  std::vector<Factory> factories_;
};

}  // namespace lazuli::lm
