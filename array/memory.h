#pragma once

#include <cstddef>

namespace lazuli {

/// Bytes in buffers that arrays hold, not counting the cache, mapped files and the caller's memory.
size_t get_active_memory();
/// The most that get_active_memory has been since the start or the last reset.
size_t get_peak_memory();
void reset_peak_memory();
/// Bytes kept for reuse. Blocks of up to 4 KiB count once all of the slab that they belong to is free.
size_t get_cache_memory();
/// Sets the limit on active memory, past which allocation throws std::runtime_error; returns the old one.
/// At the start it is 95 % of the memory that the process may use. Whatever the limit, a block of 32 MiB or
/// more throws, too, where the machine does not have so much left.
size_t set_memory_limit(size_t limit);
size_t get_memory_limit();
/// Sets how many bytes may be kept for reuse; returns the old limit. At the start it is a quarter of the
/// memory that the process may use.
size_t set_cache_limit(size_t limit);
/// Sets how many bytes of arrays (of more than 4 KiB, made from now on) are kept from being swapped out, as
/// far as the system lets this process do so (`ulimit -l`); returns the old limit. At the start it is 0.
/// Throws std::invalid_argument for more than the memory that the process may use.
size_t set_wired_limit(size_t limit);
/// Gives what is kept for reuse back to the system.
void clear_cache();

}  // namespace lazuli
