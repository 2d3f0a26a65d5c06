#include <lazuli/compiler/lapack/library.h>

#include <dlfcn.h>

#include <stdexcept>
#include <string>

namespace lazuli::lapack {

namespace {

void* library() {
  // Never closed: its threads end with the process.
  static void* const handle = [] {
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
