// Runs kernels of another machine's code on cases from a file: argv[1] is read, argv[2] written. The
// generated file beside this one lists the kernels. See tests/compiler/neon_test.cpp for the format.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

struct Arguments {
  const int64_t* extents;
  char* const* pointers;
  const int64_t* strides;
};
using Kernel = void (*)(const Arguments*, char*, int64_t, int64_t, int64_t, int64_t);
extern const Kernel kernels[];  // NOLINT

namespace {

std::FILE* in = nullptr;

int64_t number() {
  int64_t value = 0;
  if (std::fread(&value, sizeof(value), 1, in) != 1) std::exit(3);
  return value;
}

std::vector<int64_t> numbers() {
  std::vector<int64_t> values(static_cast<size_t>(number()));
  for (int64_t& value : values) value = number();
  return values;
}

}  // namespace

int main(int /*argc*/, char** argv) {
  in = std::fopen(argv[1], "rb");
  std::FILE* out = std::fopen(argv[2], "wb");
  if (in == nullptr || out == nullptr) return 2;
  const int64_t cases = number();
  for (int64_t c = 0; c < cases; ++c) {
    const std::vector<int64_t> extents = numbers();
    const std::vector<int64_t> strides = numbers();
    const int64_t scratch_size = number();
    const int64_t accesses = number();
    std::vector<std::vector<char>> buffers;
    std::vector<char*> pointers;
    for (int64_t a = 0; a < accesses; ++a) {
      const bool is_scratch = number() != 0;
      const int64_t first = number();
      buffers.emplace_back(static_cast<size_t>(number()));
      if (!buffers.back().empty() && std::fread(buffers.back().data(), buffers.back().size(), 1, in) != 1)
        return 3;
      pointers.push_back(is_scratch ? reinterpret_cast<char*>(first) : buffers.back().data() + first);
    }
    char* scratch =
        static_cast<char*>(std::aligned_alloc(64, static_cast<size_t>(scratch_size + 127) / 64 * 64));
    const Arguments arguments{extents.data(), pointers.data(), strides.data()};
    const int64_t calls = number();
    for (int64_t i = 0; i < calls; ++i) {
      int64_t range[4];
      for (int64_t& bound : range) bound = number();
      kernels[c](&arguments, scratch, range[0], range[1], range[2], range[3]);
    }
    std::free(scratch);
    for (const std::vector<char>& buffer : buffers) std::fwrite(buffer.data(), 1, buffer.size(), out);
  }
  return std::fclose(out) == 0 ? 0 : 4;
}
