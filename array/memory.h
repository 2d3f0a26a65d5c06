#pragma once

#include <cstddef>

namespace lazuli {

/// Bytes in buffers that arrays hold, not counting the cache, mapped files and the caller's memory.
size_t get_active_memory();
/// The most that get_active_memory has been since the start or the last reset.
size_t get_peak_memory();
void reset_peak_memory();
/// Bytes kept for reuse.
size_t get_cache_memory();
/// Sets the limit on active memory, past which allocation throws; returns the old one.
size_t set_memory_limit(size_t limit);
size_t get_memory_limit();
/// Sets how many bytes may be kept for reuse; returns the old limit.
size_t set_cache_limit(size_t limit);
/// Gives what is kept for reuse back to the system.
void clear_cache();

}  // namespace lazuli
