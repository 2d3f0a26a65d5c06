#include <lazuli/compiler/last_level_cache.h>

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>

namespace lazuli {
namespace {

/// What a processor can count on of a cache that may be a whole socket's. Few have more for each.
constexpr int64_t most_for_each_cpu = 8 << 20;

int64_t find_size() {
  // The kernel's figure is that of the cores here; the C library's may be that of all there are.
  const std::string directory = "/sys/devices/system/cpu/cpu0/cache/index3/";
  std::ifstream size(directory + "size");  // such as "32768K"
  int64_t bytes = 0;
  if (size >> bytes && bytes > 0) {
    bytes <<= 10;
  } else {
    bytes = std::max<int64_t>(sysconf(_SC_LEVEL3_CACHE_SIZE), 0);
  }
  if (bytes == 0) return int64_t{32} << 20;
  std::ifstream sharing(directory + "shared_cpu_list");
  std::string list;
  sharing >> list;
  const int64_t cpus = cpus_in_list(list);
  return cpus > 0 ? std::min(bytes, cpus * most_for_each_cpu) : bytes;
}

}  // namespace

int64_t cpus_in_list(std::string_view list) {
  const char* at = list.data();
  const char* const end = at + list.size();
  int64_t cpus = 0;
  while (at != end) {
    int64_t first = 0;
    const auto [after, error] = std::from_chars(at, end, first);
    if (error != std::errc() || first < 0) return 0;
    at = after;
    int64_t last = first;
    if (at != end && *at == '-') {
      const auto [after_last, last_error] = std::from_chars(at + 1, end, last);
      if (last_error != std::errc() || last < first) return 0;
      at = after_last;
    }
    cpus += last - first + 1;
    if (at == end) break;
    if (*at != ',' || at + 1 == end) return 0;
    ++at;
  }
  return cpus;
}

int64_t last_level_cache() {
  static const int64_t bytes = find_size();
  return bytes;
}

}  // namespace lazuli
