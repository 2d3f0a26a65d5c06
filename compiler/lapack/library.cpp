#include <lazuli/compiler/lapack/library.h>

#include <dlfcn.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace lazuli::lapack {

namespace {

/// Tells OpenBLAS which of its kernels to take while it is loaded. It goes by the processor's model, and one
/// that is younger than itself gets those of a Pentium 4, a fifth of the speed (0.3.21 on Emerald Rapids).
/// Only for Intel's processors, for which these names are what it would take where it knows them; a user's
/// OPENBLAS_CORETYPE stays.
class OpenBlasKernels {
 public:
  OpenBlasKernels() {
    const char* const name = of_host();
    if (name == nullptr || std::getenv(variable) != nullptr) return;
    setenv(variable, name, 0);
    is_set_ = true;
  }
  ~OpenBlasKernels() {
    if (is_set_) unsetenv(variable);
  }
  OpenBlasKernels(const OpenBlasKernels&) = delete;
  OpenBlasKernels& operator=(const OpenBlasKernels&) = delete;

 private:
  static constexpr const char* variable = "OPENBLAS_CORETYPE";

  static const char* of_host() {
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

  bool is_set_ = false;
};

void* library() {
  // Never closed: its threads end with the process.
  static void* const handle = [] {
    const OpenBlasKernels kernels;
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
