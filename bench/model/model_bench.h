#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <lazuli/lm/model/causal_model.h>

namespace lazuli::bench {

struct ModelBenchOptions {
  int prompt = 512;    ///< tokens of the prompt
  int generate = 128;  ///< tokens decoded
  int depth = 0;       ///< tokens in the cache before either
};

/// What one kind of kernel takes of a decode step.
struct DecodePart {
  std::string name;
  int calls = 0;       ///< in a step
  double seconds = 0;  ///< all of them
};

/// What one run of a model measured; shares are of limits measured in turns with it.
struct ModelBenchResult {
  double prefill_tokens_per_second = 0;
  double time_to_first_token = 0;  ///< seconds
  double decode_tokens_per_second = 0;
  double read_bandwidth = 0;   ///< bytes a second
  double decode_share = 0;     ///< weight and cache bytes a second of it
  double arithmetic_peak = 0;  ///< operations a second: int8, or the dtype of the activations
  double prefill_share = 0;
  double weight_bytes = 0, cache_bytes = 0;
  double peak_bytes = 0;                 ///< of all memory while it ran
  double extra_bytes = 0;                ///< peak beyond `weight_bytes` and cache
  int kernels = 0;                       ///< of a decode step
  std::vector<DecodePart> decode_parts;  ///< the longest first
  double decode_seconds = 0;             ///< of the steps in which they were measured
  int traces = 0, traces_while_decoding = 0;
  uint64_t compiled_while_decoding = 0;
};

/// Feeds made-up tokens. `weight_bytes` are those that a decode step reads.
ModelBenchResult bench_model(const lm::CausalModel& model, double weight_bytes,
                             const ModelBenchOptions& options);

}  // namespace lazuli::bench
