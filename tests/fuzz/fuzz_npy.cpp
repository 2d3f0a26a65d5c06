#include <lazuli/array/io/npy.h>

#include "input.h"

using namespace lazuli;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz::run([&] {
    const auto reader = fuzz::reader_of(data, size);
    // One behind another, as streams have them.
    while (reader->tell() < size) fuzz::touch(load(reader));
  });
}
