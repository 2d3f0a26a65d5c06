#include <lazuli/lm/model/family.h>

namespace lazuli::lm {

DecoderConfig describe_qwen3(const JsonNode& config) {
  DecoderConfig description = read_common(config);
  description.attention_bias = config.bool_or("attention_bias", false);
  description.output_bias = description.attention_bias;
  description.qk_norm = true;
  if (config.bool_or("use_sliding_window", false)) {
    config.fail("has use_sliding_window, which is not supported for qwen3 yet");
  }
  return description;
}

}  // namespace lazuli::lm
