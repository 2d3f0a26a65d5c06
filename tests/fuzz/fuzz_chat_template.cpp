#include <lazuli/lm/chat/chat_template.h>

#include "input.h"

using namespace lazuli;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz::run([&] {
    const lm::ChatTemplate chat_template(std::string(reinterpret_cast<const char*>(data), size));
    lm::ChatInput input;
    input.messages = nlohmann::ordered_json::parse(
        R"([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"},)"
        R"({"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}])");
    input.tools = nlohmann::ordered_json::parse(R"([{"type": "function", "function": {"name": "f"}}])");
    input.add_generation_prompt = true;
    input.bos_token = "<s>";
    input.now = std::chrono::system_clock::time_point();
    chat_template.render(input);
  });
}
