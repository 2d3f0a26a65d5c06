#pragma once

#include <string_view>

#include "timing.h"

/// The machine's limits, measured where and when a benchmark runs by loops written by hand for it.
namespace lazuli::bench {

enum class Limit {
  read,  ///< bytes: summing an array
  add,   ///< bytes: c = a + b, reads and writes counted; plain or non-temporal stores, whichever is faster
  copy,  ///< bytes: b = a, likewise
  fma_float32,   ///< operations: multiply-adds (two each) on registers
  dot_bfloat16,  ///< operations: bfloat16 dot products on registers; the float32 rate where that is higher or
                 ///< there is no such instruction
  dot_int8,      ///< operations: int8 dot products on registers, by the best instructions there are
};

std::string_view name_of(Limit limit);
/// "GB/s" or "GFLOP/s" or "GOP/s"
std::string_view unit_of(Limit limit);
bool is_bandwidth(Limit limit);

/// A loop that runs at the limit on all threads, and how much it does in one call: bytes or operations.
/// Arrays are of 64 MB each, lie in memory from Lazuli's allocator, and are shared by all loops; for work
/// that reads more bytes than that, the loop that reads goes over as many, up to 1 GB, so that no more of its
/// array stays in the processor's caches than of the work's.
struct LimitLoop {
  Runnable run;
  double amount;
};
const LimitLoop& limit_loop(Limit limit, double bytes = 0);

}  // namespace lazuli::bench
