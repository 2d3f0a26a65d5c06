#pragma once

#include <lazuli/lm/tokenizer/decoder.h>
#include <lazuli/lm/tokenizer/tokenizer.h>

#include <cstdint>
#include <memory>
#include <string>

namespace lazuli::lm {

/// Decodes token ids one by one. What all calls return, joined, is what `Tokenizer::decode` gives for all
/// ids; each returned string is valid UTF-8. The work for an id does not grow with the number of ids before
/// it.
class StreamingDecoder {
 public:
  /// As `tokenizer.streaming_decoder(skip_special_tokens)`.
  explicit StreamingDecoder(const Tokenizer& tokenizer, bool skip_special_tokens = false);

  /// The text that has become certain with `id`, often that of the token, sometimes none: bytes of an
  /// unfinished character wait for the rest. Throws std::invalid_argument if the id is out of range, and is
  /// then as before.
  std::string push(std::int32_t id);

  /// The text that was still waiting; an unfinished character becomes U+FFFD. The decoder can then begin
  /// anew.
  std::string finish();

 private:
  friend class Tokenizer;
  StreamingDecoder(std::shared_ptr<const TokenizerState> state, bool skip_special_tokens);

  std::shared_ptr<const TokenizerState> state_;
  DecoderRun run_;
  bool skip_special_tokens_;
};

}  // namespace lazuli::lm
