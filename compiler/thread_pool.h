#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace lazuli {

/// A reference to something callable; does not own it.
template <typename Signature>
class FunctionRef;

template <typename R, typename... Args>
class FunctionRef<R(Args...)> {
 public:
  template <typename F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>)
      FunctionRef(F&& f)  // NOLINT: implicit, so that lambdas can be passed
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(static_cast<Args>(args)...);
        }) {}

  R operator()(Args... args) const { return call_(object_, static_cast<Args>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

/// Calls `f(part)` for every part in [0, parts), spread statically over `num_threads()` threads of which the
/// caller is one; returns when all are done. Called from within a part, it runs everything in the calling
/// thread. The first exception thrown by a part is thrown to the caller.
void parallel_for(int64_t parts, FunctionRef<void(int64_t)> f);

/// Whether the calling thread is within a part.
bool is_inside_part();

/// While one exists, the calling thread is one of at most `num_threads()` that work on streams at a time; the
/// constructor waits for its turn.
class WorkingThread {
 public:
  WorkingThread();
  ~WorkingThread();
  WorkingThread(const WorkingThread&) = delete;
  WorkingThread& operator=(const WorkingThread&) = delete;
};

/// Memory private to the calling thread, of at least `bytes`, aligned to 64: valid until the thread asks for
/// more. Kernels use it for their rows, templates for packing.
std::byte* thread_scratch(int64_t bytes);

}  // namespace lazuli
