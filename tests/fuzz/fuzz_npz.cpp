#include <lazuli/array/io/npz.h>

#include "input.h"

using namespace lazuli;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz::run([&] {
    for (const auto& item : load_npz(fuzz::reader_of(data, size))) fuzz::touch(item.second);
  });
}
