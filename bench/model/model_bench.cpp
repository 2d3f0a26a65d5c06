#include "model_bench.h"

#include <algorithm>
#include <chrono>

#include <lazuli/compiler/background.h>
#include <lazuli/compiler/llvm/jit.h>
#include <lazuli/compiler/profiler.h>
#include <lazuli/lazuli.h>

#include "../limits.h"
#include "random_model.h"

namespace lazuli::bench {
namespace {

double seconds_of(const Runnable& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<int32_t> made_up_tokens(int count, int vocabulary) {
  std::vector<int32_t> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>((i * 7919LL + 13) % vocabulary));
  return tokens;
}

int32_t most_probable(const array& logits) {
  const float* begin = logits.data<float>();
  return static_cast<int32_t>(std::max_element(begin, begin + logits.size()) - begin);
}

Limit arithmetic_limit(lm::Activations activations) {
  if (activations == lm::Activations::int8) return Limit::dot_int8;
  return activations == lm::Activations::bfloat16 ? Limit::dot_bfloat16 : Limit::fma_float32;
}

/// Where the time of a decode step goes.
void profile_decode(const lm::CausalModel& model, lm::KvCache& cache, ModelBenchResult& result) {
  constexpr int steps = 8;
  int32_t token = 0;
  profiler::start();
  const double seconds = seconds_of([&] {
    for (int i = 0; i < steps; ++i) token = most_probable(model.next_logits({&token, 1}, cache));
  });
  profiler::stop();
  result.decode_seconds = seconds / steps;
  for (const profiler::Record& record : profiler::report()) {
    result.decode_parts.push_back(
        {record.name, static_cast<int>(record.calls) / steps, record.seconds / steps});
  }
}

}  // namespace

ModelBenchResult bench_model(const lm::CausalModel& model, double weight_bytes,
                             const ModelBenchOptions& options) {
  const lm::DecoderConfig& config = model.config();
  ModelBenchResult result;
  result.weight_bytes = weight_bytes;
  const std::vector<int32_t> prompt = made_up_tokens(std::max(options.prompt, 1), config.vocabulary_size);
  const std::vector<int32_t> before = made_up_tokens(options.depth, config.vocabulary_size);
  // Long contexts take most of the time, so they are computed once.
  const auto start_cache = [&](lm::KvCache& cache) {
    cache.cut(options.depth);
    if (cache.length() == options.depth) return;
    if (!before.empty()) model.next_logits(before, cache);
  };

  const Limit arithmetic = arithmetic_limit(model.activations());
  reset_peak_memory();
  lm::KvCache cache = model.make_cache();

  // What is measured first compiles and warms up.
  int32_t token = 0;
  for (int round = 0; round < 2; ++round) {
    start_cache(cache);
    token = most_probable(model.next_logits(prompt, cache));
    wait_for_background();
    for (int i = 0; i < 4; ++i) token = most_probable(model.next_logits({&token, 1}, cache));
    wait_for_background();
  }

  const int traces_before = model.trace_count();
  const uint64_t compiled_before = JitEngine::instance().statistics().compiled;
  start_cache(cache);
  if (options.prompt > 0) model.next_logits(prompt, cache);
  std::vector<double> decode_times;
  const int64_t first_length = cache.length();
  for (int i = 0; i < options.generate; ++i) {
    decode_times.push_back(seconds_of([&] { token = most_probable(model.next_logits({&token, 1}, cache)); }));
  }
  const double mean_length = 0.5 * static_cast<double>(first_length + cache.length());
  result.traces = model.trace_count();
  result.traces_while_decoding = model.trace_count() - traces_before;
  result.compiled_while_decoding = JitEngine::instance().statistics().compiled - compiled_before;
  result.kernels = model.decode_kernel_count();
  const double row_bytes = static_cast<double>(cache.bytes_a_token());
  result.cache_bytes = row_bytes * cache.capacity();
  result.peak_bytes = static_cast<double>(get_peak_memory());
  result.extra_bytes = result.peak_bytes - weight_bytes - result.cache_bytes;

  // Against the limits, in turns.
  std::vector<double> decode_turns, read_turns, prefill_turns, peak_turns;
  const LimitLoop read = limit_loop(Limit::read, weight_bytes);
  const LimitLoop peak = limit_loop(arithmetic);
  seconds_of(read.run), seconds_of(peak.run);
  for (int i = 0; i < 12; ++i) {
    double decode = 0, reading = 0;
    for (int k = 0; k < 2; ++k) {
      decode += seconds_of([&] { token = most_probable(model.next_logits({&token, 1}, cache)); });
      reading += seconds_of(read.run);
    }
    decode_turns.push_back(decode / 2);
    read_turns.push_back(reading / 2);
  }
  for (int i = 0; i < 3 && options.prompt > 0; ++i) {
    start_cache(cache);
    prefill_turns.push_back(seconds_of([&] { model.next_logits(prompt, cache); }));
    double loop = 0;
    for (int r = 0; r < 20; ++r) loop += seconds_of(peak.run);
    peak_turns.push_back(loop / 20);
  }
  profile_decode(model, cache, result);
  double total = 0;
  for (double seconds : decode_times) total += seconds;
  result.decode_tokens_per_second = total > 0 ? static_cast<double>(decode_times.size()) / total : 0;
  result.read_bandwidth = read.amount / median(read_turns);
  const double bytes_a_token = weight_bytes + row_bytes * mean_length;
  result.decode_share = bytes_a_token / read.amount * median_ratio(read_turns, decode_turns);
  if (options.prompt > 0) {
    result.time_to_first_token = median(prefill_turns);
    result.prefill_tokens_per_second = options.prompt / result.time_to_first_token;
    result.arithmetic_peak = peak.amount / median(peak_turns);
    result.prefill_share =
        operations_a_token(config) * options.prompt / peak.amount * median_ratio(peak_turns, prefill_turns);
  }
  return result;
}

}  // namespace lazuli::bench
