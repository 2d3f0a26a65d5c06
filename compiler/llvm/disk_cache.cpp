#include <lazuli/compiler/llvm/disk_cache.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <lazuli/compiler/settings.h>

namespace lazuli {
namespace {

constexpr char magic[8] = {'L', 'a', 'z', 'u', 'l', 'i', 'K', '1'};
constexpr const char* suffix = ".kernel";
constexpr const char* temporary_suffix = ".tmp";

struct Header {
  char magic[8];
  uint64_t key_size;
  uint64_t value_size;
  uint64_t checksum[2];  ///< of key and value
};

/// A file that is closed in the end.
class File {
 public:
  File(const std::filesystem::path& path, int flags)
      : descriptor_(open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int descriptor() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }

  bool read_all(std::string& bytes) const {
    for (size_t at = 0; at < bytes.size();) {
      const ssize_t got = read(descriptor_, bytes.data() + at, bytes.size() - at);
      if (got <= 0) return false;
      at += static_cast<size_t>(got);
    }
    return true;
  }

  bool write_all(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t put = ::write(descriptor_, bytes.data(), bytes.size());
      if (put <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(put));
    }
    return true;
  }

 private:
  int descriptor_;
};

std::filesystem::path path_of(const std::filesystem::path& directory, const std::string& key) {
  const auto [high, low] = hash_bytes(key);
  return directory / fmt::format("{:016x}{:016x}{}", high, low, suffix);
}

std::string header_for(std::string_view key, std::string_view value) {
  std::string both(key);
  both += value;
  Header header{};
  std::memcpy(header.magic, magic, sizeof(magic));
  header.key_size = key.size();
  header.value_size = value.size();
  std::tie(header.checksum[0], header.checksum[1]) = hash_bytes(both);
  return std::string(reinterpret_cast<const char*>(&header), sizeof(header));
}

/// A file of the cache.
struct Entry {
  std::filesystem::path path;
  uint64_t size = 0;
  std::filesystem::file_time_type time;
  bool is_temporary = false;  ///< being written, or left behind by a process that died

  bool is_left_behind() const {
    return is_temporary && std::filesystem::file_time_type::clock::now() - time > std::chrono::hours(1);
  }
};

/// What lies there now: other processes add and remove files all the while.
std::vector<Entry> entries_of(const std::filesystem::path& directory) {
  std::vector<Entry> entries;
  if (directory.empty()) return entries;
  std::error_code error;
  std::filesystem::directory_iterator at(directory, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    Entry entry;
    entry.path = at->path();
    entry.is_temporary = entry.path.extension() == temporary_suffix;
    if (!entry.is_temporary && entry.path.extension() != suffix) continue;
    std::error_code gone;
    entry.time = at->last_write_time(gone);
    if (!gone) entry.size = at->file_size(gone);
    if (!gone) entries.push_back(std::move(entry));
  }
  return entries;
}

uint64_t multiply_fold(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

}  // namespace

std::pair<uint64_t, uint64_t> hash_bytes(std::string_view bytes) {
  constexpr uint64_t odd[4] = {0x9e3779b97f4a7c15u, 0xc2b2ae3d27d4eb4fu, 0xd6e8feb86659fd93u,
                               0xa0761d6478bd642fu};
  // The length goes in multiplied, lest it make up for a difference in the first word.
  uint64_t a = (bytes.size() + 1) * odd[0];
  uint64_t b = (bytes.size() + 1) * odd[1];
  for (size_t at = 0; at < bytes.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, std::min<size_t>(8, bytes.size() - at));
    // A word enters both halves, each half a bijection of itself for a fixed word.
    a = (a ^ word) * odd[2];
    a ^= a >> 29;
    b = (b + word) * odd[3];
    b ^= (b >> 32) ^ (a << 7);
  }
  const uint64_t high = multiply_fold(a ^ odd[3], b ^ odd[2]) ^ a;
  const uint64_t low = multiply_fold(b ^ odd[0], a ^ odd[1]) ^ b;
  return {high, low};
}

std::optional<std::string> DiskCache::read(const std::string& key) {
  const std::filesystem::path directory = kernel_cache_directory();
  if (directory.empty()) return std::nullopt;
  const std::filesystem::path path = path_of(directory, key);
  const File file(path, O_RDONLY);
  if (!file.is_open()) return std::nullopt;
  struct stat status {};
  if (fstat(file.descriptor(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;

  const auto damaged = [&]() -> std::optional<std::string> {
    damaged_.fetch_add(1, std::memory_order_relaxed);
    unlink(path.c_str());
    return std::nullopt;
  };
  std::string bytes(static_cast<size_t>(status.st_size), '\0');
  if (bytes.size() < sizeof(Header) || !file.read_all(bytes)) return damaged();
  Header header{};
  std::memcpy(&header, bytes.data(), sizeof(header));
  const uint64_t rest = bytes.size() - sizeof(Header);
  if (std::memcmp(header.magic, magic, sizeof(magic)) != 0 || header.key_size > rest ||
      header.value_size != rest - header.key_size) {
    return damaged();
  }
  const std::string_view content = std::string_view(bytes).substr(sizeof(Header));
  if (hash_bytes(content) != std::pair(header.checksum[0], header.checksum[1])) return damaged();
  if (content.substr(0, header.key_size) != key) return std::nullopt;  // another key of the same hash

  if (std::time(nullptr) - status.st_mtime > 3600) futimens(file.descriptor(), nullptr);  // used, so not old
  return std::string(content.substr(header.key_size));
}

bool DiskCache::write(const std::string& key, std::string_view value) {
  const std::filesystem::path directory = kernel_cache_directory();
  if (directory.empty()) return false;
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  static std::atomic<uint64_t> serial{0};
  const std::filesystem::path temporary =
      directory /
      fmt::format("{}-{}{}", getpid(), serial.fetch_add(1, std::memory_order_relaxed), temporary_suffix);
  {
    const File file(temporary, O_WRONLY | O_CREAT | O_EXCL);
    if (!file.is_open()) return false;
    std::string content = header_for(key, value);
    content += key;
    content += value;
    if (!file.write_all(content)) {
      unlink(temporary.c_str());
      return false;
    }
  }
  if (rename(temporary.c_str(), path_of(directory, key).c_str()) != 0) {
    unlink(temporary.c_str());
    return false;
  }
  evict_if_needed(sizeof(Header) + key.size() + value.size());
  return true;
}

void DiskCache::remove(const std::string& key) {
  const std::filesystem::path directory = kernel_cache_directory();
  if (!directory.empty()) unlink(path_of(directory, key).c_str());
}

void DiskCache::set_limit(uint64_t bytes) {
  limit_.store(bytes, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  measured_ = false;
}

uint64_t DiskCache::limit_from_environment() {
  constexpr uint64_t otherwise = uint64_t{256} << 20;
  const char* value = std::getenv("LAZULI_CACHE_LIMIT");
  if (value == nullptr || *value == '\0') return otherwise;
  const std::string_view text = value;
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  const int shift = unit.empty() ? 0 : unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : -1;
  if (error == std::errc() && shift >= 0 && number <= std::numeric_limits<uint64_t>::max() >> shift) {
    return number << shift;
  }
  std::fprintf(stderr, "lazuli: LAZULI_CACHE_LIMIT is '%s', which is no size such as 512M; 256M is used\n",
               value);
  return otherwise;
}

DiskCacheInfo DiskCache::info() const {
  DiskCacheInfo info;
  info.directory = kernel_cache_directory();
  info.limit = limit_.load(std::memory_order_relaxed);
  for (const Entry& entry : entries_of(info.directory)) {
    info.entries += entry.is_temporary ? 0 : 1;
    info.bytes += entry.size;
  }
  return info;
}

uint64_t DiskCache::clear() {
  uint64_t removed = 0;
  for (const Entry& entry : entries_of(kernel_cache_directory())) {
    if (entry.is_temporary && !entry.is_left_behind()) continue;  // somebody is writing it
    std::error_code gone;
    removed += std::filesystem::remove(entry.path, gone) ? 1 : 0;
  }
  return removed;
}

void DiskCache::reset_counters() {
  damaged_.store(0, std::memory_order_relaxed);
  evicted_.store(0, std::memory_order_relaxed);
}

/// Measures the directory at the first write and whenever a sixteenth of the limit has been written since;
/// removes the oldest entries down to three quarters of the limit where it is exceeded.
void DiskCache::evict_if_needed(uint64_t written) {
  const std::lock_guard lock(mutex_);
  const uint64_t limit = limit_.load(std::memory_order_relaxed);
  unchecked_bytes_ += written;
  if (measured_ && unchecked_bytes_ < limit / 16) return;
  measured_ = true;
  unchecked_bytes_ = 0;

  uint64_t total = 0;
  std::vector<Entry> entries = entries_of(kernel_cache_directory());
  std::erase_if(entries, [&](const Entry& entry) {
    std::error_code gone;
    if (entry.is_left_behind()) std::filesystem::remove(entry.path, gone);
    if (!entry.is_temporary) total += entry.size;
    return entry.is_temporary;
  });
  if (total <= limit) return;
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.time < b.time; });
  for (const Entry& entry : entries) {
    if (total <= limit / 4 * 3) break;
    std::error_code gone;
    if (std::filesystem::remove(entry.path, gone)) evicted_.fetch_add(1, std::memory_order_relaxed);
    total -= entry.size;
  }
}

}  // namespace lazuli
