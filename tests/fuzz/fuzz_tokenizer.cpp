#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

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
    std::vector<int32_t> ids;
    try {
      ids = tokenizer.encode(" Hello, w\xc3\xb6rld!\n 123 \xf0\x9f\x98\x80 \xff<s>");
    } catch (const std::invalid_argument&) {
      // A vocabulary without an unknown token need not cover the text.
      for (int32_t id = 0; id < std::min(tokenizer.vocabulary_size(), 64); ++id) ids.push_back(id);
    }
    tokenizer.decode(ids);
    tokenizer.decode(ids, true);
  });
}
