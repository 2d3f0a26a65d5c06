#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define LAZULI_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LAZULI_ADDRESS_SANITIZER 1
#endif
#endif
#ifdef LAZULI_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace lazuli {

#ifdef LAZULI_ADDRESS_SANITIZER
inline constexpr bool address_sanitizer = true;
/// Tells AddressSanitizer that nobody may touch these bytes.
inline void poison(const void* at, size_t size) {
  __asan_poison_memory_region(at, size);
}
inline void unpoison(const void* at, size_t size) {
  __asan_unpoison_memory_region(at, size);
}
#else
inline constexpr bool address_sanitizer = false;
inline void poison(const void*, size_t) {}
inline void unpoison(const void*, size_t) {}
#endif

}  // namespace lazuli
