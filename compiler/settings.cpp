#include <lazuli/compiler/settings.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

namespace lazuli {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

void warn(const std::string& message) {
  std::fputs(("lazuli: " + message + "\n").c_str(), stderr);
}

JitMode mode_from_environment() {
  const std::string value = environment("LAZULI_JIT");
  if (value == "off") return JitMode::off;
  if (value == "sync") return JitMode::sync;
  if (!value.empty() && value != "async") {
    warn("LAZULI_JIT is '" + value + "', which is none of off, sync, async; async is used");
  }
  return JitMode::async;
}

uint32_t stage_from_name(std::string_view name) {
  if (name == "graph") return static_cast<uint32_t>(Stage::graph);
  if (name == "groups") return static_cast<uint32_t>(Stage::groups);
  if (name == "kernel") return static_cast<uint32_t>(Stage::kernel_ir);
  if (name == "llvm") return static_cast<uint32_t>(Stage::llvm_ir);
  if (name == "asm") return static_cast<uint32_t>(Stage::assembly);
  if (name == "all") return ~uint32_t{0};
  return 0;
}

uint32_t stages_from_environment() {
  const std::string value = environment("LAZULI_PRINT");
  uint32_t stages = 0;
  for (size_t begin = 0; begin < value.size();) {
    const size_t end = std::min(value.find(',', begin), value.size());
    const std::string name = value.substr(begin, end - begin);
    const uint32_t stage = stage_from_name(name);
    if (stage == 0 && !name.empty()) {
      warn("LAZULI_PRINT names '" + name + "', which is none of graph, groups, kernel, llvm, asm, all");
    }
    stages |= stage;
    begin = end + 1;
  }
  return stages;
}

int default_threads() {
  const unsigned cores = std::thread::hardware_concurrency();  // those that this process may use
  return cores == 0 ? 1 : static_cast<int>(cores);
}

int threads_from_environment() {
  const std::string value = environment("LAZULI_NUM_THREADS");
  if (!value.empty()) {
    char* end = nullptr;
    const long threads = std::strtol(value.c_str(), &end, 10);
    if (*end == '\0' && threads > 0 && threads <= 4096) return static_cast<int>(threads);
    warn("LAZULI_NUM_THREADS is '" + value + "', which is no number of threads; all cores are used");
  }
  return default_threads();
}

std::filesystem::path directory_from_environment() {
  if (const char* value = std::getenv("LAZULI_CACHE_DIR"); value != nullptr) return value;
  if (const std::string cache = environment("XDG_CACHE_HOME"); !cache.empty()) {
    return std::filesystem::path(cache) / "lazuli" / "kernels";
  }
  if (const std::string home = environment("HOME"); !home.empty()) {
    return std::filesystem::path(home) / ".cache" / "lazuli" / "kernels";
  }
  return {};
}

bool tuning_from_environment() {
  const std::string value = environment("LAZULI_TUNE");
  if (!value.empty() && value != "on" && value != "off") {
    warn("LAZULI_TUNE is '" + value + "', which is none of on, off; on is used");
  }
  return value != "off";
}

struct Settings {
  std::atomic<JitMode> mode{mode_from_environment()};
  std::atomic<uint32_t> stages{stages_from_environment()};
  std::atomic<int> threads{threads_from_environment()};
  std::atomic<bool> tuning{tuning_from_environment()};
  std::mutex mutex;
  std::filesystem::path directory = directory_from_environment();
};

Settings& settings() {
  // Never destroyed: background compilation may ask while the process exits.
  static Settings* const instance = new Settings;
  return *instance;
}

}  // namespace

JitMode jit_mode() {
  return settings().mode.load(std::memory_order_relaxed);
}
void set_jit_mode(JitMode mode) {
  settings().mode.store(mode, std::memory_order_relaxed);
}

bool prints(Stage stage) {
  return (settings().stages.load(std::memory_order_relaxed) & static_cast<uint32_t>(stage)) != 0;
}

void set_print(Stage stage, bool on) {
  if (on) {
    settings().stages.fetch_or(static_cast<uint32_t>(stage), std::memory_order_relaxed);
  } else {
    settings().stages.fetch_and(~static_cast<uint32_t>(stage), std::memory_order_relaxed);
  }
}

void print_stage(Stage stage, const std::string& title, const std::string& text) {
  const char* name = "";
  switch (stage) {
    case Stage::graph:
      name = "graph";
      break;
    case Stage::groups:
      name = "groups";
      break;
    case Stage::kernel_ir:
      name = "kernel";
      break;
    case Stage::llvm_ir:
      name = "llvm";
      break;
    case Stage::assembly:
      name = "asm";
      break;
  }
  std::string out = std::string("==== ") + name + ": " + title + " ====\n" + text;
  if (out.back() != '\n') out += '\n';
  std::fwrite(out.data(), 1, out.size(), stderr);
}

int num_threads() {
  return settings().threads.load(std::memory_order_relaxed);
}

void set_num_threads(int threads) {
  settings().threads.store(threads > 0 ? threads : default_threads(), std::memory_order_relaxed);
}

bool tile_tuning() {
  return settings().tuning.load(std::memory_order_relaxed);
}

void set_tile_tuning(bool on) {
  settings().tuning.store(on, std::memory_order_relaxed);
}

std::filesystem::path kernel_cache_directory() {
  Settings& s = settings();
  const std::lock_guard lock(s.mutex);
  return s.directory;
}

void set_kernel_cache_directory(std::filesystem::path directory) {
  Settings& s = settings();
  const std::lock_guard lock(s.mutex);
  s.directory = std::move(directory);
}

}  // namespace lazuli
