#include <lazuli/array/io/gguf_header.h>

#include "input.h"

using namespace lazuli;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz::run([&] {
    const GGUFLoad loaded = read_gguf(fuzz::buffer_of(data, size), float16);
    for (const auto& item : loaded.first) fuzz::touch(item.second);
    for (const auto& item : loaded.second) {
      if (const array* value = std::get_if<array>(&item.second)) fuzz::touch(*value);
    }
  });
}
