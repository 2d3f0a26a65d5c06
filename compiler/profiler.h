#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <lazuli/compiler/work_estimate.h>

/// Where time goes: every kernel and every host operation that programs run, with what it moved and computed.
/// Off until started, and then costs a load per kernel; LAZULI_PROFILE=table prints a table to stderr when
/// the process ends, LAZULI_PROFILE=FILE.json writes a trace that chrome://tracing and Perfetto show.
namespace lazuli {
class CompiledKernel;
}

namespace lazuli::profiler {

/// All runs of one kernel or operation.
struct Record {
  std::string name;
  std::shared_ptr<CompiledKernel> kernel;  ///< null for host operations
  size_t order = 0;                        ///< among all records, by their first run
  bool is_interpreted = false;             ///< whether any run was
  uint64_t calls = 0;
  double seconds = 0;
  double bytes = 0;       ///< at least moved, over all calls
  double operations = 0;  ///< over all calls
  /// Of the time, how much the machine would need at its limit: of memory or of arithmetic, whichever is
  /// more. Above 1 where data stays in caches.
  double share_of_limit = 0;

  /// Fused; otherwise a host operation, so a template or a library call.
  bool is_kernel() const { return kernel != nullptr; }
};

/// What the machine does at most on `num_threads()` threads, measured once, when it is first asked for.
struct Limits {
  double bytes_per_second = 0;       ///< of c = a + b on arrays that exceed the caches
  double operations_per_second = 0;  ///< of float32 multiply-adds in registers, two each
};
Limits limits();

/// Forgets what was recorded and records from now on.
void start();
void stop();

namespace detail {
extern std::atomic<bool> running;
}
inline bool is_running() {
  return detail::running.load(std::memory_order_relaxed);
}

/// What was recorded since `start`, the longest first.
std::vector<Record> report();
/// The report as a table.
std::string table();
/// Writes every run as an event in Chrome's trace format (the first million of them). Throws
/// std::runtime_error if the file cannot be written.
void write_trace(const std::filesystem::path& file);

/// One run that is being timed, from its construction to its destruction.
class Span {
 public:
  Span(std::shared_ptr<CompiledKernel> kernel, std::span<const int64_t> extents);
  Span(const HostOperation& operation, std::span<const TensorView> inputs,
       std::span<const TensorView> outputs);
  ~Span();
  /// Counts a kernel's work with the operation's: it makes an operand, or takes the result, block by block.
  void add_fused(const CompiledKernel& kernel, std::span<const int64_t> extents, size_t block,
                 const TensorView& tensor);
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;

 private:
  std::shared_ptr<CompiledKernel> kernel_;
  std::string name_;
  WorkEstimate work_;
  uint64_t interpreted_before_ = 0;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace lazuli::profiler
