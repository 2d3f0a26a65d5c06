#include <lazuli/compiler/llvm/perf_map.h>

#include <unistd.h>

#include <cctype>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string_view>

#include <fmt/format.h>

namespace lazuli {

std::string code_name(const std::string& text) {
  constexpr size_t longest = 120;
  std::string name = "lazuli_";
  for (const char c : text.substr(0, text.find('\n'))) {
    if (name.size() >= longest) break;
    const bool fits = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (fits || name.back() != '_') name += fits ? c : '_';
  }
  return name;
}

void add_to_perf_map(const void* address, size_t size, const std::string& name) {
  static const bool wanted = [] {
    const char* value = std::getenv("LAZULI_PERF_MAP");
    return value != nullptr && std::string_view(value) == "1";
  }();
  if (!wanted) return;
  static std::mutex mutex;
  static std::FILE* file = nullptr;
  static pid_t owner = 0;
  const std::lock_guard lock(mutex);
  if (owner != getpid()) {  // first, or a child of the process that opened the file
    owner = getpid();
    file = std::fopen(fmt::format("/tmp/perf-{}.map", owner).c_str(), "a");
  }
  if (file == nullptr) return;
  fmt::print(file, "{:x} {:x} {}\n", reinterpret_cast<uintptr_t>(address), size, name);
  std::fflush(file);
}

}  // namespace lazuli
