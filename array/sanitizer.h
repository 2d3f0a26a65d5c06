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

#if defined(__SANITIZE_THREAD__)
#define LAZULI_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LAZULI_THREAD_SANITIZER 1
#endif
#endif
#ifdef LAZULI_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
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

#ifdef LAZULI_THREAD_SANITIZER
/// Tells ThreadSanitizer what a library does that it cannot see into: what comes before `gives_order` of an
/// address comes before what follows `takes_order` of it in other threads.
inline void gives_order(void* at) {
  __tsan_release(at);
}
inline void takes_order(void* at) {
  __tsan_acquire(at);
}
#else
inline void gives_order(void*) {}
inline void takes_order(void*) {}
#endif

}  // namespace lazuli
