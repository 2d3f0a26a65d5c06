#include <lazuli/compiler/templates/scan.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/scan_generic.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli::templates {

namespace {

/// Elements that are converted at a time.
constexpr int64_t block = 1024;
/// Columns that are walked down together.
constexpr int64_t most_columns = 1024;
/// How many rows before it is read a tile's part of a row is fetched.
constexpr int64_t rows_ahead = 3;
/// Elements of a part, where threads share one row: they stay in a core's cache between two readings.
constexpr int64_t part_elements = 131072;

/// Elements as the type in which they are combined.
template <typename T, typename A>
void widen(const T* from, int64_t step, A* to, int64_t count) {
  if constexpr (std::is_same_v<T, float16_t> || std::is_same_v<T, bfloat16_t>) {
    constexpr Storage storage = std::is_same_v<T, float16_t> ? Storage::float16 : Storage::bfloat16;
    if constexpr (std::is_same_v<A, float>) {
      if (step == 1) {
        kernels().widen[static_cast<size_t>(storage)](reinterpret_cast<const std::byte*>(from), to, count);
        return;
      }
    }
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(from[i * step]);
  } else {
    if (step == -1) {  // said where the compiler sees it, so that whole vectors are turned round
      for (int64_t i = 0; i < count; ++i) to[i] = static_cast<A>(from[-i]);
    } else {
      for (int64_t i = 0; i < count; ++i) to[i] = static_cast<A>(from[i * step]);
    }
  }
}

template <typename T, typename A>
void narrow(const A* from, T* to, int64_t step, int64_t count) {
  if constexpr (std::is_same_v<A, float> && sizeof(T) == 2) {
    constexpr Storage storage = std::is_same_v<T, float16_t> ? Storage::float16 : Storage::bfloat16;
    if (step == 1) {
      kernels().narrow[static_cast<size_t>(storage)](from, reinterpret_cast<std::byte*>(to), count);
      return;
    }
  }
  if (step == -1) {
    for (int64_t i = 0; i < count; ++i) to[-i] = static_cast<T>(from[i]);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i * step] = static_cast<T>(from[i]);
  }
}

/// The work on one tensor. A `line` is one element of outer and up to `most_columns` of inner, walked along
/// the length; what was combined so far is a carry for each column.
template <typename T, typename A>
class Scan {
 public:
  Scan(const ScanProblem& problem, const ScanLoops<A>& loops, A identity)
      : problem_(problem), loops_(loops), identity_(identity) {
    columns_ = std::min(problem.inner, most_columns);
    tiles_ = ceil_div(problem.inner, columns_);
    const auto bytes = problem.outer * problem.length * problem.inner * static_cast<int64_t>(sizeof(T));
    stream_ = bytes > cache_sizes().l3 / 2;
  }

  void run() const {
    const int64_t lines = problem_.outer * tiles_;
    const int64_t part_length = std::max<int64_t>(1, part_elements / columns_);
    if (lines < 2 * num_threads() && num_threads() > 1 && problem_.length >= 4 * part_length) {
      for (int64_t line = 0; line < lines; ++line) run_in_parts(line, part_length);
    } else {
      // Several short lines at a time, so that a thread reads on where it was.
      const int64_t lines_a_part = std::max<int64_t>(1, part_elements / (problem_.length * columns_));
      share_out(ceil_div(lines, lines_a_part), [&](int64_t part) {
        std::vector<A> carry(static_cast<size_t>(columns_));
        for (int64_t line = part * lines_a_part; line < std::min(lines, (part + 1) * lines_a_part); ++line) {
          std::fill(carry.begin(), carry.end(), identity_);
          walk(line, 0, problem_.length, carry.data());
        }
      });
    }
  }

 private:
  int64_t columns_of(int64_t line) const {
    return std::min(columns_, problem_.inner - line % tiles_ * columns_);
  }
  /// The place of the i-th element, in the order in which they are combined, in a line's first column.
  int64_t place(int64_t line, int64_t i) const {
    const int64_t row = problem_.reverse ? problem_.length - 1 - i : i;
    return (line / tiles_ * problem_.length + row) * problem_.inner + line % tiles_ * columns_;
  }
  const T* in() const { return reinterpret_cast<const T*>(problem_.in); }
  T* out() const { return reinterpret_cast<T*>(problem_.out); }

  /// Threads take parts of a line in order. Each adds up its part, waits for what the parts before it come
  /// to, says what they come to with its own, and goes over its part again, which is in its cache by then.
  void run_in_parts(int64_t line, int64_t part_length) const {
    const int64_t parts = ceil_div(problem_.length, part_length);
    const int64_t columns = columns_of(line);
    std::vector<A> carries(static_cast<size_t>((parts + 1) * columns), identity_);
    std::atomic<int64_t> next{0};
    std::atomic<int64_t> known{0};  // carries[0], ..., carries[known] are final
    parallel_for(std::min<int64_t>(num_threads(), parts), [&](int64_t) {
      A own[most_columns];
      A ignored[most_columns];
      for (int64_t part = next++; part < parts; part = next++) {
        const int64_t begin = part * part_length;
        const int64_t end = std::min(begin + part_length, problem_.length);
        std::fill_n(own, columns, identity_);
        if (part + 1 < parts) total(line, begin, end, own);
        for (int spins = 0; known.load(std::memory_order_acquire) < part; ++spins) {
          if (spins > 1000) std::this_thread::yield();
        }
        A* const carry = carries.data() + part * columns;
        A* const after = carry + columns;
        std::copy_n(carry, columns, after);
        loops_.step(own, ignored, after, columns, false, false);
        known.store(part + 1, std::memory_order_release);
        std::copy_n(carry, columns, own);
        walk(line, begin, end, own);
      }
    });
  }

  /// Combines elements [begin, end) of each column.
  void total(int64_t line, int64_t begin, int64_t end, A* sums) const {
    A buffer[most_columns];
    if (problem_.inner > 1) {
      for (int64_t i = begin; i < end; ++i) {
        loops_.step(as_accumulated(in() + place(line, i), columns_of(line), buffer), buffer, sums,
                    columns_of(line), false, false);
      }
      return;
    }
    const T* from = in() + std::min(place(line, begin), place(line, end - 1));
    for (int64_t i = 0; i < end - begin; i += block) {
      const int64_t count = std::min(block, end - begin - i);
      A sum = loops_.total(as_accumulated(from + i, count, buffer), count);
      loops_.step(&sum, buffer, sums, 1, false, false);
    }
  }

  /// The elements themselves, or converted in a buffer.
  static const A* as_accumulated(const T* from, int64_t count, A* buffer) {
    if constexpr (std::is_same_v<T, A>) {
      return from;
    } else {
      widen(from, 1, buffer, count);
      return buffer;
    }
  }

  void walk(int64_t line, int64_t begin, int64_t end, A* carry) const {
    problem_.inner > 1 ? walk_columns(line, begin, end, carry) : walk_row(line, begin, end, carry);
  }

  void walk_columns(int64_t line, int64_t begin, int64_t end, A* carry) const {
    const int64_t columns = columns_of(line);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = place(line, i);
      if (tiles_ > 1 && i + rows_ahead < end) fetch(in() + place(line, i + rows_ahead), columns);
      if constexpr (std::is_same_v<T, A>) {
        loops_.step(in() + at, out() + at, carry, columns, !problem_.inclusive, stream_);
      } else {
        A buffer[most_columns];
        widen(in() + at, 1, buffer, columns);
        loops_.step(buffer, buffer, carry, columns, !problem_.inclusive, false);
        narrow(buffer, out() + at, 1, columns);
      }
    }
  }

  /// The parts of rows that are next lie far apart: no prefetcher sees them coming.
  static void fetch(const T* from, int64_t count) {
    constexpr int64_t line_elements = 64 / static_cast<int64_t>(sizeof(T));
    for (int64_t j = 0; j < count; j += line_elements) __builtin_prefetch(from + j);
  }

  void walk_row(int64_t line, int64_t begin, int64_t end, A* carry) const {
    if constexpr (std::is_same_v<T, A>) {
      if (!problem_.reverse && problem_.inclusive) {
        const int64_t at = place(line, begin);
        return loops_.scan(in() + at, out() + at, end - begin, carry, stream_);
      }
    }
    const int64_t step = problem_.reverse ? -1 : 1;
    A buffer[block + 1];
    for (int64_t i = begin; i < end; i += block) {
      const int64_t count = std::min(block, end - i);
      const int64_t at = place(line, i);
      buffer[0] = *carry;
      widen(in() + at, step, buffer + 1, count);
      loops_.scan(buffer + 1, buffer + 1, count, carry, false);
      narrow(buffer + (problem_.inclusive ? 1 : 0), out() + at, step, count);
    }
  }

  const ScanProblem& problem_;
  ScanLoops<A> loops_;
  A identity_;
  int64_t columns_ = 1;
  int64_t tiles_ = 1;
  bool stream_ = false;
};

template <ScanKind kind, typename T, typename A = T>
void scan_as(const ScanProblem& problem) {
  Scan<T, A>(problem, loops_for<kind, A>(), identity_of<kind, A>()).run();
}

template <ScanKind kind>
void scan_kind(const ScanProblem& problem) {
  constexpr bool is_ordered = kind == ScanKind::max || kind == ScanKind::min;
  dispatch_dtype(problem.dtype, [&]<typename T>(std::type_identity<T>) {
    constexpr bool is_half = std::is_same_v<T, float16_t> || std::is_same_v<T, bfloat16_t>;
    if constexpr (is_half) {
      scan_as<kind, T, float>(problem);
    } else if constexpr (std::is_same_v<T, complex64_t>) {
      if constexpr (is_ordered) {
        throw std::logic_error("[scan] complex numbers have no order");
      } else {
        scan_as<kind, T>(problem);
      }
    } else if constexpr (std::is_same_v<T, bool>) {
      scan_as<kind, uint8_t>(problem);
    } else if constexpr (std::is_unsigned_v<T> && sizeof(T) >= 4 && !is_ordered) {
      scan_as<kind, std::make_signed_t<T>>(problem);  // the same bits
    } else {
      scan_as<kind, T>(problem);
    }
  });
}

}  // namespace

void scan(const ScanProblem& problem) {
  if (problem.outer == 0 || problem.length == 0 || problem.inner == 0) return;
  switch (problem.kind) {
    case ScanKind::sum:
      return scan_kind<ScanKind::sum>(problem);
    case ScanKind::prod:
      return scan_kind<ScanKind::prod>(problem);
    case ScanKind::max:
      return scan_kind<ScanKind::max>(problem);
    case ScanKind::min:
      return scan_kind<ScanKind::min>(problem);
  }
}

void linear_recurrence(Dtype dtype, bool reverse, int64_t outer, int64_t length, int64_t inner,
                       const std::byte* a, const std::byte* b, std::byte* out) {
  if (length == 0) return;
  dispatch_dtype(dtype, [&]<typename T>(std::type_identity<T>) {
    constexpr bool is_half = std::is_same_v<T, float16_t> || std::is_same_v<T, bfloat16_t>;
    using A = std::conditional_t<is_half, float, T>;
    if constexpr (std::is_integral_v<T>) {
      throw std::logic_error("[linear_recurrence] integers are not supported");
    } else {
      const int64_t tiles = ceil_div(inner, most_columns);
      share_out(outer * tiles, [&](int64_t line) {
        const int64_t first = line % tiles * most_columns;
        const int64_t columns = std::min(most_columns, inner - first);
        std::vector<A> carry(static_cast<size_t>(columns), A(0));
        for (int64_t i = 0; i < length; ++i) {
          const int64_t row = line / tiles * length + (reverse ? length - 1 - i : i);
          const T* factors = reinterpret_cast<const T*>(a) + row * inner + first;
          const T* terms = reinterpret_cast<const T*>(b) + row * inner + first;
          T* results = reinterpret_cast<T*>(out) + row * inner + first;
          for (int64_t j = 0; j < columns; ++j) {
            A& last = carry[static_cast<size_t>(j)];
            // What is before the first is 0, whatever its factor is.
            last = i == 0 ? static_cast<A>(terms[j])
                          : static_cast<A>(factors[j]) * last + static_cast<A>(terms[j]);
            results[j] = static_cast<T>(last);
          }
        }
      });
    }
  });
}

}  // namespace lazuli::templates
