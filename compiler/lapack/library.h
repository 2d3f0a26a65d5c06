#pragma once

#include <atomic>
#include <cstddef>
#include <type_traits>

#include <lazuli/array/dtype.h>

/// LAPACK, loaded when it is first needed: loading OpenBLAS takes milliseconds and starts threads, which a
/// program without factorizations need not pay for.
namespace lazuli::lapack {

/// The address of a function of liblapacke, or of the BLAS behind it; null where they have none of that name.
/// Throws std::runtime_error where liblapacke cannot be loaded.
void* find_function(const char* name);

/// The same, for a function that must be there: throws std::runtime_error where it isn't.
void* require_function(const char* name);

/// An element type that LAPACK has routines for.
template <typename T>
concept Element = std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, complex64_t>;

/// One routine for float32, float64 and complex64, by its three types and names.
template <typename Single, typename Double, typename Complex>
class Routine {
 public:
  constexpr Routine(const char* single_name, const char* double_name, const char* complex_name)
      : names_{single_name, double_name, complex_name} {}

  template <Element T>
  auto* of() {
    using Function = std::conditional_t<std::is_same_v<T, float>, Single,
                                        std::conditional_t<std::is_same_v<T, double>, Double, Complex>>;
    constexpr size_t place = std::is_same_v<T, float> ? 0 : std::is_same_v<T, double> ? 1 : 2;
    // Threads that come here at the same time find the same address.
    void* address = found_[place].load(std::memory_order_relaxed);
    if (address == nullptr) {
      address = require_function(names_[place]);
      found_[place].store(address, std::memory_order_relaxed);
    }
    return reinterpret_cast<Function*>(address);
  }

 private:
  const char* names_[3];
  std::atomic<void*> found_[3] = {};
};

}  // namespace lazuli::lapack
