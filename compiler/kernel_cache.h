#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <string>

#include <lazuli/compiler/kernel_ir/kernel.h>

namespace lazuli {

class InterpretedKernel;
class JitCode;

/// How a compiled kernel writes: through the caches, or past them (for outputs that exceed the caches), where
/// rows of the output do not begin at lines in lines that it puts together.
enum class StoreMode : uint8_t { cached, streaming, joined };

/// A kernel and the ways to run it: interpreted at any time, as machine code once that is there.
class CompiledKernel : public std::enable_shared_from_this<CompiledKernel> {
 public:
  explicit CompiledKernel(const kir::Kernel& kernel);
  ~CompiledKernel();
  CompiledKernel(const CompiledKernel&) = delete;
  CompiledKernel& operator=(const CompiledKernel&) = delete;

  /// As it was given.
  const kir::Kernel& kernel() const { return kernel_; }
  /// With math expanded: what both tiers run.
  const kir::Kernel& expanded() const { return expanded_; }

  /// The machine code; null while there is none.
  kir::KernelFunction function(StoreMode mode = StoreMode::cached) const {
    return variants_[static_cast<size_t>(mode)].function.load(std::memory_order_acquire);
  }

  /// Finds or makes the machine code for a run of `work` element-instructions, as `jit_mode()` says. Null
  /// if this run is to be interpreted. Only where `function(mode)` is null need this be called.
  kir::KernelFunction prepare(StoreMode mode, double work);

  /// Compiles now, whatever the mode; false where LLVM failed.
  bool compile(StoreMode mode = StoreMode::cached);

  const InterpretedKernel& interpreted();

  /// Facts about the kernel that launching needs.
  struct Traits {
    int vector_dim = -1;  ///< V; -1 where there is none
    bool has_scratch = false;
    bool can_stream = false;      ///< a variant with streaming stores makes sense
    bool can_join = false;        ///< and one that puts lines together
    double work_per_element = 1;  ///< instructions run at each point of the iteration space
    /// Points that machine code can reduce to one: positions among them have 32 bits.
    int64_t most_reduced = std::numeric_limits<int64_t>::max();
    int64_t bytes_per_element = 0;  ///< stored at each point by contiguous stores
  };
  const Traits& traits() const { return traits_; }

 private:
  struct Variant {
    std::atomic<kir::KernelFunction> function{nullptr};
    std::atomic<bool> queued{false};
    std::atomic<bool> failed{false};
    std::atomic<bool> missing_on_disk{false};
    std::mutex mutex;  ///< held while it is being made
    std::shared_ptr<const JitCode> code;
  };
  bool load_from_disk(StoreMode mode);
  std::string code_key(StoreMode mode) const;
  bool publish(Variant& variant, std::shared_ptr<const JitCode> code);

  kir::Kernel kernel_;
  kir::Kernel expanded_;
  Traits traits_;
  std::array<Variant, 3> variants_;
  std::once_flag interpreted_once_;
  std::unique_ptr<InterpretedKernel> interpreted_;
};

/// The kernel from the cache in memory, which holds the `kernel_cache_limit()` kernels used last.
std::shared_ptr<CompiledKernel> kernel_for(const kir::Kernel& kernel);

struct KernelCacheStatistics {
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t evicted = 0;
  uint64_t size = 0;
  uint64_t interpreted_runs = 0;
  uint64_t failed_compilations = 0;
};
KernelCacheStatistics kernel_cache_statistics();

size_t kernel_cache_limit();
void set_kernel_cache_limit(size_t kernels);
/// Forgets all kernels in memory (those in use live on).
void clear_kernel_cache();

/// Notes that a kernel ran in the interpreter.
void count_interpreted_run();

/// Waits until everything queued for background compilation is compiled.
void wait_for_compilations();

}  // namespace lazuli
