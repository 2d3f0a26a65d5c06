#include <lazuli/array/system_memory.h>

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace lazuli {

namespace {

constexpr size_t unknown = std::numeric_limits<size_t>::max();

size_t page_size() {
  static const auto size = static_cast<size_t>(std::max(sysconf(_SC_PAGESIZE), 4096L));
  return size;
}

/// A file that holds one number, or a word where there is none.
size_t number_in(const char* path) {
  std::ifstream file(path);
  size_t number = 0;
  return file >> number ? number : unknown;
}

/// The number behind a name in a file of such lines.
size_t number_of(const char* path, const std::string& name) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    size_t number = 0;
    if (word == name && file >> number) return number;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return unknown;
}

constexpr const char* group_limit = "/sys/fs/cgroup/memory.max";

}  // namespace

size_t physical_memory() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const size_t machine = pages > 0 ? static_cast<size_t>(pages) * page_size() : size_t{1} << 40;
  const size_t group = number_in(group_limit);
  return group > 0 ? std::min(machine, group) : machine;
}

size_t available_memory() {
  const size_t kilobytes = number_of("/proc/meminfo", "MemAvailable:");
  size_t available = kilobytes == unknown ? physical_memory() : kilobytes << 10;
  const size_t limit = number_in(group_limit), used = number_in("/sys/fs/cgroup/memory.current");
  if (limit != unknown && used != unknown) {
    const size_t files = number_of("/sys/fs/cgroup/memory.stat", "inactive_file");
    const size_t needed = used - std::min(used, files == unknown ? 0 : files);
    available = std::min(available, limit - std::min(limit, needed));
  }
  return available;
}

size_t resident_memory() {
  std::ifstream file("/proc/self/statm");
  size_t total = 0, resident = 0, of_files = 0;
  if (!(file >> total >> resident >> of_files)) return 0;
  return (resident - std::min(resident, of_files)) * page_size();
}

}  // namespace lazuli
