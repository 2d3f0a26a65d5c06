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

/// Columns [first, first + count) of a row's updates, and what is combined after them: the row's next
/// columns, or the next rows, from `next_first` on.
template <typename T>
struct UpdatesOfPart {
  const RowsByPlace& order;
  const T* values;
  int64_t row;
  int64_t first;
  int64_t count;
  bool row_goes_on;
  int64_t next_first;

  int64_t begin() const { return order.begin[static_cast<size_t>(row)]; }
  int64_t end() const { return order.begin[static_cast<size_t>(row) + 1]; }
  /// Where update number `i` of all begins; from the row's end on, where those that come afterwards do.
  const T* at(int64_t i) const {
    if (i < end()) return update(i) + first;
    if (row_goes_on) return update(std::min(i - end() + begin(), end() - 1)) + next_first;
    return update(std::min(i, static_cast<int64_t>(order.updates.size()) - 1)) + next_first;
  }

 private:
  const T* update(int64_t i) const { return values + order.updates[static_cast<size_t>(i)]; }
};

/// Where a part of a row of the result comes from and goes to. A uniform base is one element.
template <typename T>
struct PlaceOfPart {
  const T* base;
  bool is_uniform;
  T* out;
  bool stream;
};

/// A part of a row of the result: combined in Acc, some updates in one pass, then written. Between passes it
/// is in the first-level cache.
template <ScatterMode mode, typename T, typename Acc>
class RowPart {
 public:
  static constexpr int64_t capacity = 4096 / static_cast<int64_t>(sizeof(Acc));

  void combine_part(const PlaceOfPart<T>& place, const UpdatesOfPart<T>& updates) {
    const int64_t begin = updates.begin();
    const int64_t end = updates.end();
    int64_t done = begin;
    do {
      const int64_t n = std::min(abreast, end - done);
      const Pass pass{place, updates, done, done == begin, done + n == end};
      switch (n) {
        case 0:
          combine_some<0>(pass);
          break;
        case 1:
          combine_some<1>(pass);
          break;
        case 2:
          combine_some<2>(pass);
          break;
        case 3:
          combine_some<3>(pass);
          break;
        default:
          combine_some<4>(pass);
      }
      done += n;
    } while (done < end);
  }

 private:
  /// Updates that are combined in one pass.
  static constexpr int64_t abreast = 4;
  static constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
  /// Elements that are combined before the next lines are asked for.
  static constexpr int64_t stretch = 4 * line;
  /// How long before it is combined a line is asked for: so far back in its own update, and at its beginning
  /// in those before. Updates lie anywhere, and are too short for the processor to find out where they go on.
  static constexpr int64_t elements_ahead = 1024 / static_cast<int64_t>(sizeof(T));

  /// The updates from number `first` on; of the part the first such, the last.
  struct Pass {
    const PlaceOfPart<T>& place;
    const UpdatesOfPart<T>& updates;
    int64_t first;
    bool is_first;
    bool is_last;
  };

  template <size_t n>
  void combine_some(const Pass& pass) {
    const int64_t count = pass.updates.count;
    // Elements ahead within an update, and updates ahead where it has no more.
    const int64_t ahead = std::min(elements_ahead, count);
    const int64_t later = abreast * std::max<int64_t>(elements_ahead / count, 1);
    const T* from[std::max<size_t>(n, 1)];
    const T* soon[std::max<size_t>(n, 1)];
    for (size_t u = 0; u < n; ++u) {
      const int64_t i = pass.first + static_cast<int64_t>(u);
      from[u] = pass.updates.at(i);
      soon[u] = pass.updates.at(i + later);
    }
    const auto ask = [&](int64_t i, int64_t size) {
      const bool goes_on = i + ahead + size <= count;
      for (size_t u = 0; u < n; ++u) {
        const T* place = goes_on ? from[u] + i + ahead : soon[u] + std::max<int64_t>(i + ahead - count, 0);
        for (int64_t at = 0; at < size; at += line) __builtin_prefetch(place + at, 0, 3);
      }
    };
    int64_t i = 0;
    for (; i + stretch <= count; i += stretch) {
      ask(i, stretch);
      combine_stretch<n>(pass, from, i, std::integral_constant<int64_t, stretch>());
    }
    if (i < count) {
      ask(i, count - i);
      combine_stretch<n>(pass, from, i, count - i);
    }
  }

  template <size_t n, typename Size>
  void combine_stretch(const Pass& pass, const T* const* from, int64_t first, Size size) {
    const PlaceOfPart<T>& place = pass.place;
    if (!pass.is_first) {
      finish(pass, combined<n>(from, first, size, [&](int64_t i) { return sums_[i]; }), first, size);
    } else if (place.is_uniform) {
      const auto base = static_cast<Acc>(*place.base);
      finish(pass, combined<n>(from, first, size, [&](int64_t) { return base; }), first, size);
    } else {
      const auto base = [&](int64_t i) { return static_cast<Acc>(place.base[i]); };
      finish(pass, combined<n>(from, first, size, base), first, size);
    }
  }

  struct Sums {
    alignas(64) Acc values[stretch];
  };

  /// What `before` gives, with n updates. (As a value of its own: updates might lie where the sums do, for
  /// all the compiler knows, which would keep it from using vectors.)
  template <size_t n, typename Size, typename Before>
  static Sums combined(const T* const* from, int64_t first, Size size, const Before& before) {
    Sums sums;
    for (int64_t i = 0; i < size; ++i) {
      Acc sum = before(first + i);
      for (size_t u = 0; u < n; ++u) sum = combine<mode, Acc>(sum, static_cast<Acc>(from[u][first + i]));
      sums.values[i] = sum;
    }
    return sums;
  }

  template <typename Size>
  void finish(const Pass& pass, const Sums& sums, int64_t first, Size size) {
    const PlaceOfPart<T>& place = pass.place;
    if (!pass.is_last) {
      std::copy_n(sums.values, int64_t{size}, sums_ + first);
    } else if constexpr (std::is_same_v<T, Acc>) {
      write(sums.values, size, place.out + first, place.stream);
    } else {
      alignas(64) T rounded[stretch];
      for (int64_t i = 0; i < size; ++i) rounded[i] = static_cast<T>(sums.values[i]);
      write(rounded, size, place.out + first, place.stream);
    }
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

  alignas(64) Acc sums_[capacity];
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
        const T* from = is_uniform ? base : base + row * size + at;
        const PlaceOfPart<T> place{from, is_uniform, out + row * size + at, stream};
        part.combine_part(place, {order, values, row, at, std::min(width, end - at), goes_on,
                                  goes_on ? at + width : begin});
      }
    }
#if defined(__SSE2__)
    if (stream) _mm_sfence();
#endif
  });
}

}  // namespace lazuli
