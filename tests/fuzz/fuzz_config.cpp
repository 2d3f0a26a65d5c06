#include <lazuli/lm/model/config.h>

#include "input.h"

using namespace lazuli;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz::run([&] {
    const nlohmann::json config = nlohmann::json::parse(data, data + size, nullptr, false);
    if (config.is_discarded()) return;
    lm::DecoderConfig::from_json(config).quantization_of("model.layers.0.self_attn.q_proj");
  });
}
