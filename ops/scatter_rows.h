#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <lazuli/array/dtype.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/complex_order.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>
#include <lazuli/ops/scatter_operation.h>

/// Rows that are combined with rows of a result at places of their own, each row of the result as a whole.
namespace lazuli {

/// What a scatter makes of what is there and an update.
template <ScatterMode mode, typename T>
T combine(T a, T b) {
  if constexpr (std::is_same_v<T, complex64_t> && (mode == ScatterMode::max || mode == ScatterMode::min)) {
    return templates::extreme_of<mode == ScatterMode::max>(a, b);
  } else if constexpr (mode == ScatterMode::max) {
    return a > b || a != a ? a : b;
  } else if constexpr (mode == ScatterMode::min) {
    return a < b || a != a ? a : b;
  } else if constexpr (std::is_same_v<T, bool>) {
    return mode == ScatterMode::add ? a || b : a && b;
  } else if constexpr (std::is_integral_v<T>) {
    // As unsigned numbers of at least 32 bits, which wrap around.
    using U = std::common_type_t<std::make_unsigned_t<T>, uint32_t>;
    const U x = static_cast<U>(a);
    const U y = static_cast<U>(b);
    return static_cast<T>(mode == ScatterMode::add ? x + y : x * y);
  } else {
    return mode == ScatterMode::add ? a + b : a * b;
  }
}

/// Updates by the row of the result they go to, in the order in which they came.
struct RowsByPlace {
  std::vector<int64_t> begin;    ///< of each row's updates in `updates`, and their end
  std::vector<int64_t> updates;  ///< where each one lies

  int64_t rows() const { return static_cast<int64_t>(begin.size()) - 1; }
  std::span<const int64_t> of(int64_t row) const {
    const auto r = static_cast<size_t>(row);
    return std::span(updates).subspan(static_cast<size_t>(begin[r]),
                                      static_cast<size_t>(begin[r + 1] - begin[r]));
  }
  /// Work before a row: its updates, and one for the row itself.
  int64_t work_before(int64_t row) const { return begin[static_cast<size_t>(row)] + row; }
};

/// `for_each(f)` calls f(row, update) for all of `count` updates.
template <typename ForEach>
RowsByPlace rows_by_place(int64_t rows, int64_t count, const ForEach& for_each) {
  RowsByPlace result;
  result.begin.assign(static_cast<size_t>(rows) + 1, 0);
  std::vector<std::pair<int64_t, int64_t>> given;
  given.reserve(static_cast<size_t>(count));
  for_each([&](int64_t row, int64_t update) {
    ++result.begin[static_cast<size_t>(row)];
    given.emplace_back(row, update);
  });
  // Where each row's updates end, and, when they are put in from the last on, begin.
  int64_t end = 0;
  for (int64_t& at : result.begin) at = end += at;
  result.updates.resize(given.size());
  for (size_t i = given.size(); i-- > 0;) {
    const auto [row, update] = given[i];
    result.updates[static_cast<size_t>(--result.begin[static_cast<size_t>(row)])] = update;
  }
  return result;
}

/// A part of a row of the result: combined in the first-level cache, in Acc, then written.
template <ScatterMode mode, typename T, typename Acc>
class RowPart {
 public:
  static constexpr int64_t capacity = 4096 / static_cast<int64_t>(sizeof(Acc));

  /// `base` and `out` point to the part; updates[i] + first is where it is in an update. What comes
  /// afterwards, from `next_first` on, is fetched.
  void combine_part(const T* base, bool is_uniform, const T* values, std::span<const int64_t> updates,
                    std::span<const int64_t> afterwards, int64_t first, int64_t next_first, int64_t count,
                    T* out, bool stream) {
    for (int64_t i = 0; i < count; ++i) sums_[i] = static_cast<Acc>(base[is_uniform ? 0 : i]);
    while (!updates.empty()) {
      const size_t n = std::min(abreast, updates.size());
      const std::span<const int64_t> rest = updates.subspan(n);
      const T* next = values + (rest.empty() ? next_first : first);
      const std::span<const int64_t> fetched = rest.empty() ? afterwards : rest;
      switch (n) {
        case 1:
          add<1>(values + first, updates.data(), next, fetched, count);
          break;
        case 2:
          add<2>(values + first, updates.data(), next, fetched, count);
          break;
        case 3:
          add<3>(values + first, updates.data(), next, fetched, count);
          break;
        default:
          add<4>(values + first, updates.data(), next, fetched, count);
      }
      updates = rest;
    }
    if constexpr (std::is_same_v<T, Acc>) {
      write(sums_, count, out, stream);
    } else {
      T rounded[capacity];
      for (int64_t i = 0; i < count; ++i) rounded[i] = static_cast<T>(sums_[i]);
      write(rounded, count, out, stream);
    }
  }

 private:
  /// Updates that are combined in one pass over the sums.
  static constexpr size_t abreast = 4;
  static constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));

  /// What is combined next lies anywhere, and is too short for the processor to find out where it goes on: it
  /// is fetched a line at a time, as lines are combined.
  template <size_t n>
  void add(const T* values, const int64_t* updates, const T* next, std::span<const int64_t> fetched,
           int64_t count) {
    const T* from[n];
    for (size_t u = 0; u < n; ++u) from[u] = values + updates[u];
    const size_t ahead = std::min(abreast, fetched.size());
    const T* soon[abreast];
    for (size_t u = 0; u < abreast; ++u)
      soon[u] = ahead == 0 ? values : next + fetched[std::min(u, ahead - 1)];
    int64_t i = 0;
    for (; i + line <= count; i += line) {
      for (size_t u = 0; u < abreast; ++u) __builtin_prefetch(soon[u] + i, 0, 2);
      add_some<n>(from, i, std::integral_constant<int64_t, line>());
    }
    for (; i < count; ++i) add_some<n>(from, i, std::integral_constant<int64_t, 1>());
  }

  /// In a copy of the sums: updates might lie where these do, for all the compiler knows, which would keep it
  /// from using vectors.
  template <size_t n, int64_t size>
  void add_some(const T* const* from, int64_t first, std::integral_constant<int64_t, size>) {
    Acc sums[size];
    for (int64_t i = 0; i < size; ++i) sums[i] = sums_[first + i];
    for (size_t u = 0; u < n; ++u) {
      for (int64_t i = 0; i < size; ++i) {
        sums[i] = combine<mode, Acc>(sums[i], static_cast<Acc>(from[u][first + i]));
      }
    }
    for (int64_t i = 0; i < size; ++i) sums_[first + i] = sums[i];
  }

  /// Past the caches if `stream`: what is written need not be read before.
  static void write(const T* from, int64_t count, T* to, bool stream) {
#if defined(__SSE2__)
    if (stream && reinterpret_cast<uintptr_t>(to) % sizeof(__m128i) == 0) {
      constexpr auto step = static_cast<int64_t>(sizeof(__m128i) / sizeof(T));
      int64_t i = 0;
      for (; i + step <= count; i += step) {
        const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
        _mm_stream_si128(reinterpret_cast<__m128i*>(to + i), bits);
      }
      std::copy(from + i, from + count, to + i);
      return;
    }
#endif
    std::copy_n(from, count, to);
  }

  Acc sums_[capacity];
};

/// out = base with all updates: rows of `size`. A uniform base is one element.
template <ScatterMode mode, typename T, typename Acc>
void combine_rows(const RowsByPlace& order, const T* base, bool is_uniform, const T* values, T* out,
                  int64_t size) {
  using Part = RowPart<mode, T, Acc>;
  const int64_t rows = order.rows();
  const int64_t work = order.work_before(rows);
  // Below this many elements one thread does it all.
  constexpr int64_t small_work = 8192;
  const int64_t shares = work * size < small_work ? 1 : 4 * num_threads();
  int64_t heaviest = 0;
  for (int64_t row = 0; row < rows; ++row) {
    heaviest = std::max(heaviest, order.work_before(row + 1) - order.work_before(row));
  }
  // Where one row is much of the work, threads share columns as well.
  const int64_t least = heaviest * shares > 2 * work ? std::max<int64_t>(64, size / shares) : size;
  const int64_t width = std::min({Part::capacity, least, size});
  const int64_t columns = least == size ? 1 : (size + width - 1) / width;
  const bool stream = work * size * static_cast<int64_t>(sizeof(T)) > templates::cache_sizes().l3 / 2;
  templates::share_out(shares * columns, [&](int64_t share) {
    // Rows whose work begins within this share of it.
    const auto first_of = [&](int64_t part) {
      int64_t low = 0;
      int64_t high = rows;
      while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (order.work_before(middle) * shares < part * work) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      return low;
    };
    Part part;
    const int64_t column = share % columns;
    const int64_t begin = columns == 1 ? 0 : column * width;
    const int64_t end = columns == 1 ? size : std::min(begin + width, size);
    const int64_t last = first_of(share / columns + 1);
    for (int64_t row = first_of(share / columns); row < last; ++row) {
      for (int64_t at = begin; at < end; at += width) {
        const bool goes_on = at + width < end;
        const int64_t next = goes_on ? row : row + 1;
        part.combine_part(is_uniform ? base : base + row * size + at, is_uniform, values, order.of(row),
                          next < last ? order.of(next) : std::span<const int64_t>{}, at,
                          goes_on ? at + width : begin, std::min(width, end - at), out + row * size + at,
                          stream);
      }
    }
#if defined(__SSE2__)
    if (stream) _mm_sfence();
#endif
  });
}

}  // namespace lazuli
