#pragma once

#include "limits.h"

/// The loops that read, add and copy arrays, for `limit_loop`.
namespace lazuli::bench {

/// Whether the loops of 512-bit vectors run here.
bool has_avx512();

/// The fastest form of the loop (plain or non-temporal stores, operands asked for ahead or not), over arrays
/// of about so many bytes in all: from 1 MB to 1 GB, 64 MB an array where 0 is asked for. The arrays come
/// from Lazuli's allocator and are shared by all loops.
LimitLoop bandwidth_loop(Limit limit, double bytes);

}  // namespace lazuli::bench
