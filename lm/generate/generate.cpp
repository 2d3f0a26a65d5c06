#include <lazuli/lm/generate/generate.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include <fmt/format.h>

#include <lazuli/array/memory.h>
#include <lazuli/lm/text/stop_strings.h>
#include <lazuli/lm/tokenizer/streaming_decoder.h>

namespace lazuli::lm {
namespace {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

/// From tokens to text that is certain.
class TextStream {
 public:
  TextStream(const Tokenizer& tokenizer, const std::vector<std::string>& stop, const TextCallback& on_text)
      : decoder_(tokenizer, /*skip_special_tokens=*/true), matcher_(stop), on_text_(on_text) {}

  void push(std::int32_t token) { emit(matcher_.push(decoder_.push(token))); }
  void finish() {
    emit(matcher_.push(decoder_.finish()));
    emit(matcher_.finish());
  }
  bool stopped() const { return matcher_.stopped(); }
  std::string take_text() { return std::move(text_); }

 private:
  void emit(const std::string& piece) {
    if (piece.empty()) return;
    text_ += piece;
    if (on_text_) on_text_(piece);
  }

  StreamingDecoder decoder_;
  StopStringMatcher matcher_;
  const TextCallback& on_text_;
  std::string text_;
};

std::vector<std::int32_t> stop_tokens(const CausalModel& model, const Tokenizer& tokenizer) {
  if (!model.config().eos_token_ids.empty()) return model.config().eos_token_ids;
  if (const auto id = tokenizer.eos_id()) return {*id};
  return {};
}

double rate(int tokens, double seconds) {
  return tokens > 0 && seconds > 0 ? tokens / seconds : 0;
}

}  // namespace

double GenerationStatistics::prompt_tokens_per_second() const {
  return rate(prompt_tokens, prompt_seconds);
}

double GenerationStatistics::generation_tokens_per_second() const {
  return rate(generation_tokens - 1, generation_seconds);
}

GenerationResult generate(const CausalModel& model, const Tokenizer& tokenizer,
                          std::span<const std::int32_t> prompt_ids, const GenerationOptions& options,
                          const TextCallback& on_text) {
  if (prompt_ids.empty()) throw std::invalid_argument("[generate] the prompt is empty");
  if (options.max_tokens < 0) {
    throw std::invalid_argument(
        fmt::format("[generate] max_tokens must be at least 0, but is {}", options.max_tokens));
  }
  const std::vector<std::int32_t> stops = stop_tokens(model, tokenizer);
  Sampler sampler(options.sampling);
  TextStream stream(tokenizer, options.stop, on_text);
  GenerationResult result;
  result.statistics.prompt_tokens = static_cast<int>(prompt_ids.size());

  KvCache cache = model.make_cache();
  std::span<const std::int32_t> next = prompt_ids;
  Stopwatch watch;
  while (static_cast<int>(result.token_ids.size()) < options.max_tokens) {
    const array logits = model.next_logits(next, cache);
    const std::int32_t token = sampler({logits.data<float>(), logits.size()});
    if (result.token_ids.empty()) {
      result.statistics.prompt_seconds = watch.seconds();
      watch = Stopwatch();
    }
    result.token_ids.push_back(token);
    next = std::span(result.token_ids).last(1);
    if (std::find(stops.begin(), stops.end(), token) != stops.end()) {
      result.finish_reason = FinishReason::stop;
      break;
    }
    stream.push(token);
    if (stream.stopped()) break;
  }
  stream.finish();
  if (stream.stopped()) result.finish_reason = FinishReason::stop;
  result.text = stream.take_text();
  result.statistics.generation_seconds = watch.seconds();
  result.statistics.generation_tokens = static_cast<int>(result.token_ids.size());
  result.statistics.peak_memory_bytes = get_peak_memory();
  return result;
}

}  // namespace lazuli::lm
