#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include <lazuli/array/dtype.h>
#include <lazuli/compiler/templates/scan.h>
#include <lazuli/compiler/templates/scan_kernels.h>

/// Loops of cumulative operations one element at a time, for types that have no vectors of their own.
namespace lazuli::templates {

/// Combines what came before with the next element.
template <ScanKind kind, typename A>
A combined(A before, A next) {
  if constexpr (kind == ScanKind::max) {
    return before >= next || before != before ? before : next;
  } else if constexpr (kind == ScanKind::min) {
    return before <= next || before != before ? before : next;
  } else if constexpr (std::is_integral_v<A>) {
    // As unsigned numbers of at least 32 bits, which wrap around.
    using U = std::common_type_t<std::make_unsigned_t<A>, uint32_t>;
    const U x = static_cast<U>(before);
    const U y = static_cast<U>(next);
    return static_cast<A>(kind == ScanKind::sum ? x + y : x * y);
  } else {
    return kind == ScanKind::sum ? before + next : before * next;
  }
}

/// What combined with anything gives it back.
template <ScanKind kind, typename A>
A identity_of() {
  using Limits = std::numeric_limits<A>;
  if constexpr (kind == ScanKind::sum || kind == ScanKind::prod) {
    return static_cast<A>(kind == ScanKind::sum ? 0 : 1);
  } else if constexpr (kind == ScanKind::min) {
    return Limits::has_infinity ? Limits::infinity() : Limits::max();
  } else {
    return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  }
}

template <ScanKind kind, typename A>
ScanLoops<A> generic_loops() {
  return {[](const A* in, A* out, int64_t count, A* carry, bool) {
            A last = *carry;
            for (int64_t i = 0; i < count; ++i) out[i] = last = combined<kind, A>(last, in[i]);
            *carry = last;
          },
          [](const A* in, int64_t count) {
            A total = identity_of<kind, A>();
            for (int64_t i = 0; i < count; ++i) total = combined<kind, A>(total, in[i]);
            return total;
          },
          [](const A* in, A* out, A* carry, int64_t count, bool exclusive, bool) {
            for (int64_t j = 0; j < count; ++j) {
              const A before = carry[j];
              carry[j] = combined<kind, A>(before, in[j]);
              out[j] = exclusive ? before : carry[j];
            }
          }};
}

/// The loops for a kind and a type: vectors where there are some.
template <ScanKind kind, typename A>
ScanLoops<A> loops_for() {
  constexpr auto index = static_cast<size_t>(kind);
  if constexpr (std::is_same_v<A, float>) {
    return scan_kernels().float32.loops[index];
  } else if constexpr (std::is_same_v<A, double>) {
    return scan_kernels().float64.loops[index];
  } else if constexpr (std::is_same_v<A, int32_t>) {
    return scan_kernels().int32.loops[index];
  } else if constexpr (std::is_same_v<A, int64_t>) {
    return scan_kernels().int64.loops[index];
  } else {
    return generic_loops<kind, A>();
  }
}

}  // namespace lazuli::templates
