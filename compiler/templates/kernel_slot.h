#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include <lazuli/compiler/background.h>
#include <lazuli/compiler/llvm/jit.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/generators.h>

namespace lazuli::templates {

/// One kernel and how far it is on its way. Slots live as long as the process.
template <typename Arguments>
class Slot {
 public:
  using Code = void (*)(const Arguments&);

  /// The code, or null if the portable kernel is to be used this time. `make_key` and `build` tell what to
  /// generate; they are only used once.
  template <typename MakeKey, typename Build>
  Code find(const MakeKey& make_key, const Build& build) {
    if (const Code code = code_.load(std::memory_order_acquire)) return code;
    if (failed_.load(std::memory_order_relaxed)) return nullptr;
    return prepare(make_key(), build);
  }

  /// The same, but waits for the code. Null if it cannot be made.
  template <typename MakeKey, typename Build>
  Code wait_for(const MakeKey& make_key, const Build& build) {
    if (const Code code = code_.load(std::memory_order_acquire)) return code;
    if (failed_.load(std::memory_order_relaxed)) return nullptr;
    const std::lock_guard lock(mutex_);
    if (code_.load(std::memory_order_acquire) == nullptr) generate(make_key(), build);
    return code_.load(std::memory_order_acquire);
  }

 private:
  Code prepare(std::string key, std::function<void(llvm::Module&)> build) {
    const std::lock_guard lock(mutex_);
    if (const Code code = code_.load(std::memory_order_acquire)) return code;
    if (failed_.load(std::memory_order_relaxed)) return nullptr;
    if (jit_mode() == JitMode::sync) {
      generate(key, build);
    } else if (!queued_) {
      queued_ = true;
      // What lies on disk is there at once; the rest is left to another thread.
      if (std::shared_ptr<const JitCode> code = JitEngine::instance().load(key)) {
        publish(std::move(code));
      } else {
        run_in_background([this, key = std::move(key), build = std::move(build)] { generate(key, build); });
      }
    }
    return code_.load(std::memory_order_acquire);
  }

  void generate(const std::string& key, const std::function<void(llvm::Module&)>& build) {
    try {
      publish(JitEngine::instance().load_or_build(key, build));
    } catch (const std::exception&) {
      failed_.store(true, std::memory_order_relaxed);
    }
  }

  void publish(std::shared_ptr<const JitCode> code) {
    const std::lock_guard lock(publish_mutex_);
    if (code_.load(std::memory_order_relaxed) != nullptr) return;
    const Code address = reinterpret_cast<Code>(code->symbol(generated_symbol));
    kept_ = std::move(code);
    code_.store(address, std::memory_order_release);
    if (address == nullptr) failed_.store(true, std::memory_order_relaxed);
  }

  std::atomic<Code> code_{nullptr};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;  ///< held while it is decided what to do
  std::mutex publish_mutex_;
  bool queued_ = false;
  std::shared_ptr<const JitCode> kept_;
};

}  // namespace lazuli::templates
