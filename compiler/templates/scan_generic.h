#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include <lazuli/array/dtype.h>
#include <lazuli/compiler/templates/complex_order.h>
#include <lazuli/compiler/templates/scan.h>
#include <lazuli/compiler/templates/scan_kernels.h>

/// Loops of cumulative operations one element at a time, for types that have no vectors of their own.
namespace lazuli::templates {

/// Combines what came before with the next element.
template <ScanKind kind, typename A>
A combined(A before, A next) {
  if constexpr (std::is_same_v<A, complex64_t> && kind == ScanKind::log_sum_exp) {
    return log_add_exp(before, next);
  } else if constexpr (std::is_same_v<A, complex64_t> && (kind == ScanKind::max || kind == ScanKind::min)) {
    return extreme_of<kind == ScanKind::max>(before, next);
  } else if constexpr (kind == ScanKind::max) {
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

/// What combined with anything gives it back: for max and log_sum_exp, the lowest.
template <ScanKind kind, typename A>
A identity_of() {
  using Limits = std::numeric_limits<A>;
  if constexpr (std::is_same_v<A, complex64_t> && kind == ScanKind::log_sum_exp) {
    return complex64_t(-std::numeric_limits<float>::infinity(), 0);
  } else if constexpr (std::is_same_v<A, complex64_t> && (kind == ScanKind::max || kind == ScanKind::min)) {
    return no_extreme<kind == ScanKind::max>();
  } else if constexpr (kind == ScanKind::sum || kind == ScanKind::prod) {
    return static_cast<A>(kind == ScanKind::sum ? 0 : 1);
  } else if constexpr (kind == ScanKind::min) {
    return Limits::has_infinity ? Limits::infinity() : Limits::max();
  } else {
    return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  }
}

template <ScanKind kind, typename A>
ScanLoops<A> generic_loops() {
  constexpr auto walk_row = [](const A* in, A* out, int64_t count, A* carry, ScanWalk walk, A* sums) {
    A last = *carry;
    for (int64_t n = 0; n < count; ++n) {
      const int64_t i = walk.reverse ? count - 1 - n : n;
      const A before = last;
      last = combined<kind, A>(before, in[i]);
      if (walk.next != 0) *sums = combined<kind, A>(*sums, in[i + walk.next]);
      out[i] = walk.exclusive ? before : last;
    }
    *carry = last;
  };
  constexpr auto total_of = [](const A* in, int64_t count) {
    A total = identity_of<kind, A>();
    for (int64_t i = 0; i < count; ++i) total = combined<kind, A>(total, in[i]);
    return total;
  };
  constexpr auto walk_columns = [](const A* in, A* out, int64_t rows, int64_t columns, int64_t step, A* carry,
                                   ScanWalk walk, A* sums) {
    for (int64_t row = 0; row < rows; ++row, in += step, out += step) {
      for (int64_t j = 0; j < columns; ++j) {
        const A before = carry[j];
        carry[j] = combined<kind, A>(before, in[j]);
        if (walk.next != 0) sums[j] = combined<kind, A>(sums[j], in[j + walk.next]);
        out[j] = walk.exclusive ? before : carry[j];
      }
    }
  };
  constexpr auto column_totals = [](const A* in, int64_t rows, int64_t columns, int64_t step, A* carry) {
    for (int64_t row = 0; row < rows; ++row, in += step) {
      for (int64_t j = 0; j < columns; ++j) carry[j] = combined<kind, A>(carry[j], in[j]);
    }
  };
  constexpr auto pass_on = [](A* carry, const A* own, A* before, int64_t columns) {
    for (int64_t j = 0; j < columns; ++j) {
      before[j] = carry[j];
      carry[j] = combined<kind, A>(carry[j], own[j]);
    }
  };
  return {walk_row, total_of, walk_columns, column_totals, pass_on};
}

/// The loops for a kind and a type of elements: vectors where there are some.
template <ScanKind kind, typename T>
ScanLoops<T> loops_for() {
  constexpr auto index = static_cast<size_t>(kind);
  if constexpr (std::is_same_v<T, float>) {
    return scan_kernels().float32.loops[index];
  } else if constexpr (std::is_same_v<T, double>) {
    return scan_kernels().float64.loops[index];
  } else if constexpr (std::is_same_v<T, int32_t>) {
    return scan_kernels().int32.loops[index];
  } else if constexpr (std::is_same_v<T, int64_t>) {
    return scan_kernels().int64.loops[index];
  } else if constexpr (std::is_same_v<T, float16_t>) {
    return scan_kernels().float16.loops[index];
  } else if constexpr (std::is_same_v<T, bfloat16_t>) {
    return scan_kernels().bfloat16.loops[index];
  } else {
    return generic_loops<kind, T>();
  }
}

}  // namespace lazuli::templates
