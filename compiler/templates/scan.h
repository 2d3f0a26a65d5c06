#pragma once

#include <cstddef>
#include <cstdint>

#include <lazuli/array/dtype.h>

/// Cumulative operations over tensors [outer, length, inner], along the middle.
namespace lazuli::templates {

enum class ScanKind : uint8_t { sum, prod, max, min, log_sum_exp };

/// out[i] is the combination of in[0], ..., in[i] (`inclusive`), or of those before i, beginning with the
/// operation's identity; in `reverse`, of those from the end. Halves accumulate in float32 and are rounded
/// when stored; integers wrap around; for max and min, NaN stays once it was met, and complex numbers are
/// ordered by their real parts, then by their imaginary ones. log_sum_exp combines a and b to log(e^a + e^b),
/// without overflow.
struct ScanProblem {
  ScanKind kind = ScanKind::sum;
  Dtype dtype = float32;  ///< log_sum_exp is for floating point
  bool reverse = false;
  bool inclusive = true;
  int64_t outer = 1;
  int64_t length = 0;
  int64_t inner = 1;
  const std::byte* in = nullptr;
  std::byte* out = nullptr;
};

void scan(const ScanProblem& problem);

/// out[i] = a[i] * out[i - 1] + b[i], or, in `reverse`, a[i] * out[i + 1] + b[i]; what lies outside is 0.
/// Halves are computed in float32 and rounded when stored.
void linear_recurrence(Dtype dtype, bool reverse, int64_t outer, int64_t length, int64_t inner,
                       const std::byte* a, const std::byte* b, std::byte* out);

}  // namespace lazuli::templates
