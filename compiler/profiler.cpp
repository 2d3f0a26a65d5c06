#include <lazuli/compiler/profiler.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <lazuli/compiler/kernel_cache.h>
#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli::profiler {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t most_events = 1'000'000;

struct Event {
  uint32_t record;
  uint64_t thread;
  double begin, seconds;  // since the start of the profile
  WorkEstimate work;
};

class Profile {
 public:
  static Profile& instance() {
    static Profile* const profile = new Profile;  // never destroyed: it is printed while the process exits
    return *profile;
  }

  void clear() {
    const std::lock_guard lock(mutex_);
    records_.clear();
    numbers_.clear();
    events_.clear();
    begin_ = Clock::now();
  }

  void add(std::string name, std::shared_ptr<CompiledKernel> kernel, bool interpreted,
           const WorkEstimate& work, Clock::time_point start, Clock::time_point end) {
    const std::lock_guard lock(mutex_);
    const auto [found, added] = numbers_.try_emplace({std::move(name), kernel.get()}, records_.size());
    if (added) {
      records_.emplace_back();
      records_.back().name = found->first.first;
      records_.back().kernel = std::move(kernel);
      records_.back().order = found->second;
    }
    Record& record = records_[found->second];
    const double seconds = std::chrono::duration<double>(end - start).count();
    ++record.calls;
    record.is_interpreted = record.is_interpreted || interpreted;
    record.seconds += seconds;
    record.bytes += work.bytes;
    record.operations += work.operations;
    if (events_.size() == most_events) return;
    events_.push_back({static_cast<uint32_t>(found->second), static_cast<uint64_t>(gettid()),
                       std::chrono::duration<double>(start - begin_).count(), seconds, work});
  }

  std::vector<Record> records() {
    const std::lock_guard lock(mutex_);
    return records_;
  }

  std::vector<Event> events() {
    const std::lock_guard lock(mutex_);
    return events_;
  }

 private:
  std::mutex mutex_;
  std::vector<Record> records_;
  std::map<std::pair<std::string, const CompiledKernel*>, size_t> numbers_;
  std::vector<Event> events_;
  Clock::time_point begin_ = Clock::now();
};

/// LAZULI_PROFILE's wish, carried out when the process ends.
std::string& wanted_at_exit() {
  static std::string* const wanted = new std::string;
  return *wanted;
}

void write_at_exit() {
  stop();
  const std::string& wanted = wanted_at_exit();
  if (wanted == "table") {
    std::fputs(table().c_str(), stderr);
    return;
  }
  try {
    write_trace(wanted);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lazuli: LAZULI_PROFILE: %s\n", error.what());
  }
}

bool start_as_environment_says() {
  const char* value = std::getenv("LAZULI_PROFILE");
  if (value == nullptr || *value == '\0') return false;
  const std::string wanted = value;
  if (wanted != "table" && !wanted.ends_with(".json")) {
    std::fprintf(stderr, "lazuli: LAZULI_PROFILE is '%s', which is neither table nor a FILE.json\n", value);
    return false;
  }
  wanted_at_exit() = wanted;
  return true;
}

/// Before the first span that the environment asked for: measures limits while the process is in full health,
/// and sees to it that the result is written.
void prepare_exit() {
  static const bool done = [] {
    if (wanted_at_exit().empty()) return false;
    if (wanted_at_exit() == "table") limits();
    std::atexit(write_at_exit);
    return true;
  }();
  static_cast<void>(done);
}

std::string short_number(double value) {
  static constexpr const char* units[] = {"", "K", "M", "G", "T", "P"};
  size_t unit = 0;
  while (value >= 999.5 && unit < 5) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.3g}{}", value, units[unit]);
}

}  // namespace

std::atomic<bool> detail::running{start_as_environment_says()};

void start() {
  Profile::instance().clear();
  detail::running.store(true);
}

void stop() {
  detail::running.store(false);
}

std::vector<Record> report() {
  std::vector<Record> records = Profile::instance().records();
  const Limits most = limits();
  for (Record& record : records) {
    const double needed =
        std::max(record.bytes / most.bytes_per_second, record.operations / most.operations_per_second);
    record.share_of_limit = record.seconds > 0 ? needed / record.seconds : 0;
  }
  std::stable_sort(records.begin(), records.end(),
                   [](const Record& a, const Record& b) { return a.seconds > b.seconds; });
  return records;
}

std::string table() {
  const std::vector<Record> records = report();
  double total = 0;
  for (const Record& record : records) total += record.seconds;
  std::string text = fmt::format("{:>9} {:>6} {:>9} {:>9} {:>9} {:>9} {:>6}  {}\n", "ms", "time", "calls",
                                 "us/call", "B/s", "op/s", "limit", "kernel or operation");
  for (const Record& record : records) {
    const double seconds = std::max(record.seconds, 1e-12);
    text += fmt::format("{:9.3f} {:5.1f}% {:>9} {:9.2f} {:>9} {:>9} {:5.1f}%  {}{}\n", record.seconds * 1e3,
                        100 * record.seconds / std::max(total, 1e-12), record.calls,
                        record.seconds * 1e6 / static_cast<double>(record.calls),
                        short_number(record.bytes / seconds), short_number(record.operations / seconds),
                        100 * record.share_of_limit, record.is_kernel() ? "" : "[host] ",
                        record.name + (record.is_interpreted ? " (interpreted at times)" : ""));
  }
  const Limits most = limits();
  return text + fmt::format("{:9.3f} ms in all; limits: {}B/s of memory, {}op/s of float32 multiply-adds\n",
                            total * 1e3, short_number(most.bytes_per_second),
                            short_number(most.operations_per_second));
}

void write_trace(const std::filesystem::path& file) {
  const std::vector<Record> records = Profile::instance().records();
  std::ofstream out(file);
  out << "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [";
  const char* separator = "\n";
  for (const Event& event : Profile::instance().events()) {
    const Record& record = records[event.record];
    const nlohmann::json json = {
        {"name", record.name},
        {"cat", record.is_kernel() ? "kernel" : "host"},
        {"ph", "X"},
        {"ts", event.begin * 1e6},
        {"dur", event.seconds * 1e6},
        {"pid", getpid()},
        {"tid", event.thread},
        {"args", {{"bytes", event.work.bytes}, {"operations", event.work.operations}}}};
    out << separator << json.dump();
    separator = ",\n";
  }
  out << "\n]}\n";
  out.close();
  if (!out) throw std::runtime_error("the trace cannot be written to " + file.string());
}

Span::Span(std::shared_ptr<CompiledKernel> kernel, std::span<const int64_t> extents)
    : kernel_(std::move(kernel)), work_(estimate_work(kernel_->expanded(), extents)) {
  prepare_exit();
  interpreted_before_ = kernel_cache_statistics().interpreted_runs;
  start_ = Clock::now();
}

Span::Span(const HostOperation& operation, std::span<const TensorView> inputs,
           std::span<const TensorView> outputs)
    : name_(operation.name()), work_(estimate_work(operation, inputs, outputs)) {
  prepare_exit();
  start_ = Clock::now();
}

void Span::add_fused(const CompiledKernel& kernel, std::span<const int64_t> extents, size_t block,
                     const TensorView& tensor) {
  const WorkEstimate fused = estimate_fused_work(kernel.expanded(), extents, block, tensor);
  work_.bytes += fused.bytes;
  work_.operations += fused.operations;
}

Span::~Span() {
  const Clock::time_point end = Clock::now();
  if (kernel_ == nullptr) {
    Profile::instance().add(std::move(name_), nullptr, false, work_, start_, end);
    return;
  }
  const bool interpreted = kernel_cache_statistics().interpreted_runs != interpreted_before_;
  std::string name = kir::kernel_name(kernel_->kernel());
  Profile::instance().add(std::move(name), std::move(kernel_), interpreted, work_, start_, end);
}

}  // namespace lazuli::profiler
