#include <lazuli/lm/model/family.h>

namespace lazuli::lm {

DecoderConfig describe_llama(const JsonNode& config) {
  DecoderConfig description = read_common(config);
  description.attention_bias = config.bool_or("attention_bias", false);
  description.output_bias = description.attention_bias;
  description.mlp_bias = config.bool_or("mlp_bias", false);
  return description;
}

}  // namespace lazuli::lm
