#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <lazuli/lm/tokenizer/streaming_decoder.h>
#include <lazuli/lm/tokenizer/tokenizer.h>

#include "input.h"

using namespace lazuli;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz::run([&] {
    // A file that is only in memory.
    static const int file = memfd_create("tokenizer.json", MFD_CLOEXEC);
    if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) return;
    const lm::Tokenizer tokenizer = lm::Tokenizer::from_file("/proc/self/fd/" + std::to_string(file));
    const std::vector<int32_t> ids = tokenizer.encode(" Hello, w\xc3\xb6rld!\n 123 \xf0\x9f\x98\x80 \xff<s>");
    tokenizer.decode(ids);
    tokenizer.decode(ids, true);
  });
}
