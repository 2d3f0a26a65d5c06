#include <lazuli/array/io/safetensors.h>

#include "input.h"

using namespace lazuli;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz::run([&] {
    for (const auto& item : load_safetensors(fuzz::reader_of(data, size)).first) fuzz::touch(item.second);
  });
}
