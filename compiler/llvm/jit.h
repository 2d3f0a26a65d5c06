#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <lazuli/compiler/llvm/disk_cache.h>

namespace llvm {
class Module;
}

namespace lazuli {

/// What the engine has done since the process began or since `reset`.
struct JitStatistics {
  uint64_t compiled = 0;  ///< modules that LLVM compiled
  uint64_t failed = 0;    ///< modules that LLVM could not compile; their work is done by the interpreter
  uint64_t loaded_from_disk = 0;  ///< modules taken from the disk cache, without LLVM
  uint64_t written_to_disk = 0;
  uint64_t damaged_on_disk = 0;  ///< entries found broken, and removed
  uint64_t evicted_from_disk = 0;
  uint64_t compile_nanoseconds = 0;  ///< building, optimising and emitting, summed over threads
  uint64_t load_nanoseconds = 0;     ///< reading from disk and mapping
};

/// Machine code in executable memory, which lives as long as this object.
class JitCode {
 public:
  virtual ~JitCode() = default;
  JitCode(const JitCode&) = delete;
  JitCode& operator=(const JitCode&) = delete;

  /// The address of a function; null where the code has none of that name.
  virtual void* symbol(std::string_view name) const = 0;
  virtual size_t size() const = 0;

 protected:
  JitCode() = default;
};

/// Makes machine code from LLVM modules and keeps it on disk between processes. All functions may be called
/// from several threads at once; compilations run in parallel. What code may call outside its module is a
/// fixed list (see `resolve_import` in code_image.h), as it must mean the same in the next process.
class JitEngine {
 public:
  static JitEngine& instance();

  /// Fills a module whose data layout and triple are set; the functions to be found afterwards have external
  /// linkage. It should give each function the attributes of `target_attributes` (builder.h).
  using BuildModule = std::function<void(llvm::Module&)>;

  /// The code for `key`, from disk or built. The key says everything that decides the code but for the target
  /// and the version of Lazuli, which are added. Profilers and debuggers see its functions under `name`, by
  /// default the first line of the key. Throws std::runtime_error where LLVM fails, and says so once on
  /// stderr.
  std::shared_ptr<const JitCode> load_or_build(const std::string& key, const BuildModule& build,
                                               const std::string& name = {});

  /// As above; the code is kept until the process ends, and built once however often this is called.
  void* load_or_build(const std::string& key, const std::string& symbol, const BuildModule& build);

  /// The code for `key` if it lies on disk, else null.
  std::shared_ptr<const JitCode> load(const std::string& key, const std::string& name = {});

  JitStatistics statistics() const;
  void reset_statistics();

  /// The most bytes that the cache on disk keeps, see DiskCache::set_limit.
  void set_disk_limit(uint64_t bytes);
  DiskCacheInfo disk_info() const;
  /// Removes all entries from disk; how many there were. Code in memory stays.
  uint64_t clear_disk();

  /// For tests: what every compilation from now on meets with.
  enum class Fault : uint8_t {
    none,
    error,  ///< LLVM reports an error and goes on
    fatal,  ///< LLVM gives up in the middle of a pass
  };
  void inject_fault(Fault fault);

 private:
  JitEngine();
  ~JitEngine() = delete;
  struct State;
  State* state_;
};

}  // namespace lazuli
