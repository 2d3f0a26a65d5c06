#include <lazuli/lm/tokenizer/streaming_decoder.h>

#include <lazuli/lm/tokenizer/tokenizer_state.h>

#include <utility>

namespace lazuli::lm {

StreamingDecoder::StreamingDecoder(const Tokenizer& tokenizer, bool skip_special_tokens)
    : StreamingDecoder(tokenizer.streaming_decoder(skip_special_tokens)) {}

StreamingDecoder::StreamingDecoder(std::shared_ptr<const TokenizerState> state, bool skip_special_tokens)
    : state_(std::move(state)), run_(state_->decoder.start()), skip_special_tokens_(skip_special_tokens) {}

std::string StreamingDecoder::push(std::int32_t id) {
  const TokenizerState::Token& token = state_->token(id);
  if (token.present && !(skip_special_tokens_ && token.special)) run_.push(token.text);
  return run_.take();
}

std::string StreamingDecoder::finish() {
  run_.finish();
  std::string text = run_.take();
  run_ = state_->decoder.start();
  return text;
}

}  // namespace lazuli::lm
