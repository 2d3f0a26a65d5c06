#include <lazuli/compiler/lapack/library.h>

#include <dlfcn.h>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

namespace lazuli::lapack {

namespace {

/// What OpenBLAS reads from the environment while it is loaded; what a user has set stays.
class OpenBlasSettings {
 public:
  OpenBlasSettings() {
    // It goes by the processor's model, and one that is younger than itself gets the kernels of a Pentium 4,
    // a fifth of the speed (0.3.21 on Emerald Rapids). Only for Intel's processors, for which these names are
    // what it would take where it knows them.
    if (const char* const name = kernels_of_host(); name != nullptr) set("OPENBLAS_CORETYPE", name);
    // For how long its threads spin after a call, as a power of two of cycles: they take a core from whatever
    // runs next, by default for 50 ms and more.
    set("OPENBLAS_THREAD_TIMEOUT", "18");
  }
  ~OpenBlasSettings() {
    for (const char* name : names_) unsetenv(name);
  }
  OpenBlasSettings(const OpenBlasSettings&) = delete;
  OpenBlasSettings& operator=(const OpenBlasSettings&) = delete;

 private:
  void set(const char* name, const char* value) {
    if (std::getenv(name) != nullptr) return;
    setenv(name, value, 0);
    names_.push_back(name);
  }

  static const char* kernels_of_host() {
#if defined(__x86_64__)
    if (!__builtin_cpu_is("intel")) return nullptr;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      return "SkylakeX";
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
#endif
    return nullptr;
  }

  std::vector<const char*> names_;
};

void* library() {
  // Never closed: its threads end with the process.
  static void* const handle = [] {
    const OpenBlasSettings settings;
    void* opened = dlopen("liblapacke.so.3", RTLD_NOW | RTLD_LOCAL);
    if (opened == nullptr) {
      throw std::runtime_error("[linalg] LAPACK is not installed (liblapacke.so.3): " +
                               std::string(dlerror()));
    }
    return opened;
  }();
  return handle;
}

}  // namespace

void* find_function(const char* name) {
  return dlsym(library(), name);
}

void* require_function(const char* name) {
  void* address = find_function(name);
  if (address == nullptr) throw std::runtime_error("[linalg] LAPACK has no function " + std::string(name));
  return address;
}

}  // namespace lazuli::lapack
