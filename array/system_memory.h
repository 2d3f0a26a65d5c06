#pragma once

#include <cstddef>

namespace lazuli {

/// Bytes of memory that this process may use at the most: those of the machine, or of its control group.
size_t physical_memory();

/// Bytes that the system could give to this process now without taking them from others: what is free, and
/// file pages that it can drop.
size_t available_memory();

/// Bytes of this process that lie in memory and are no file's.
size_t resident_memory();

}  // namespace lazuli
