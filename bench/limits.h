#pragma once

#include <string_view>

#include "timing.h"

/// The machine's limits, measured where and when a benchmark runs by loops written by hand for it.
namespace lazuli::bench {

enum class Limit {
  read,  ///< bytes: summing an array
  add,   ///< bytes: c = a + b, reads and writes counted; plain or non-temporal stores, operands asked for
         ///< ahead or not, whichever is fastest
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

/// A loop that runs at the limit on all threads, and how much it does in one call: bytes or operations. Those
/// of a bandwidth go over about as many bytes as the work, so that what it takes to begin counts alike.
struct LimitLoop {
  Runnable run;
  double amount;
};
LimitLoop limit_loop(Limit limit, double bytes = 0);

}  // namespace lazuli::bench
