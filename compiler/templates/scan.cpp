#include <lazuli/compiler/templates/scan.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include <lazuli/compiler/llvm/target.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/scan_generic.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli::templates {

namespace {

/// Columns that are walked down together: their carries stay in the first-level cache.
constexpr int64_t most_columns = 2048;
/// Columns of a linear recurrence that are walked down together.
constexpr int64_t recurrence_columns = 1024;
/// Bytes of a row that threads share columns of, at least, for each of them.
constexpr int64_t least_bytes_abreast = 1024;
/// Bytes of a part, where threads share one row or a few columns: two of them stay in a core's cache between
/// two readings.
constexpr int64_t part_bytes = 256 << 10;
/// Work that is not worth a second thread.
constexpr int64_t least_bytes_a_thread = 64 << 10;
/// How many rows before it is read a part of a row is fetched, where these parts do not follow each other: no
/// prefetcher sees them coming.
constexpr int64_t rows_ahead = 2;
/// How many bytes before it is read an element is fetched into the first-level cache, where all follow each
/// other in memory. (Into the second-level one before, where `Target::bytes_ahead` says so.)
constexpr int64_t bytes_ahead = 2048;

/// The work on one tensor. A `line` is one element of outer and up to `most_columns` of inner, walked along
/// the length; what was combined so far is a carry for each column.
template <typename T>
class Scan {
 public:
  using A = Accumulated<T>;

  Scan(const ScanProblem& problem, const ScanLoops<T>& loops, A identity)
      : problem_(problem), loops_(loops), identity_(identity) {
    columns_ = std::min(problem.inner, most_columns);
    if (problem.outer < num_threads() && problem.inner * size >= num_threads() * least_bytes_abreast) {
      columns_ = std::min(columns_, round_up(ceil_div(problem.inner, num_threads()), 64));
    }
    tiles_ = ceil_div(problem.inner, columns_);
    const auto bytes = problem.outer * problem.length * problem.inner * size;
    walk_.stream = bytes > cache_sizes().l3 / 2;
    walk_.reverse = problem.reverse;
    walk_.exclusive = !problem.inclusive;
    if (tiles_ > 1) {
      walk_.ahead = rows_ahead * step();
    } else if (walk_.stream) {
      walk_.ahead = rows_of(bytes_ahead) * step();
      walk_.far_ahead = rows_of(host_target().bytes_ahead) * step();
    }
  }

  void run() const {
    const int64_t lines = problem_.outer * tiles_;
    const int64_t part_length = std::max<int64_t>(1, part_bytes / (columns_ * size));
    const bool is_even = lines % num_threads() == 0;
    if (lines < 2 * num_threads() && !is_even && problem_.length >= 4 * part_length) {
      for (int64_t line = 0; line < lines; ++line) run_in_parts(line, part_length);
      return;
    }
    // Long parts, so that a thread reads on where it was, but two for each, in case one is held up.
    const int64_t lines_a_part = std::max(ceil_div(lines, 2 * num_threads()),
                                          least_bytes_a_thread / (problem_.length * columns_ * size));
    share_out(ceil_div(lines, lines_a_part), [&](int64_t part) {
      std::vector<A> carry(static_cast<size_t>(columns_));
      for (int64_t line = part * lines_a_part; line < std::min(lines, (part + 1) * lines_a_part); ++line) {
        std::fill(carry.begin(), carry.end(), identity_);
        walk(line, 0, problem_.length, carry.data(), walk_);
      }
    });
  }

 private:
  static constexpr auto size = static_cast<int64_t>(sizeof(T));

  int64_t columns_of(int64_t line) const {
    return std::min(columns_, problem_.inner - line % tiles_ * columns_);
  }
  /// The place of the i-th element, in the order in which they are combined, in a line's first column.
  int64_t place(int64_t line, int64_t i) const {
    const int64_t row = problem_.reverse ? problem_.length - 1 - i : i;
    return (line / tiles_ * problem_.length + row) * problem_.inner + line % tiles_ * columns_;
  }
  /// As many rows as so many bytes are.
  int64_t rows_of(int64_t bytes) const { return ceil_div(bytes, problem_.inner * size); }
  int64_t step() const { return problem_.reverse ? -problem_.inner : problem_.inner; }
  const T* in() const { return reinterpret_cast<const T*>(problem_.in); }
  T* out() const { return reinterpret_cast<T*>(problem_.out); }

  /// Threads take parts of a line in order. Each waits for what the parts before its own come to, says what
  /// they come to with it, and walks its part, which is in its cache by then: while it walked the one before,
  /// it fetched and combined this one.
  void run_in_parts(int64_t line, int64_t part_length) const {
    const int64_t parts = ceil_div(problem_.length, part_length);
    const auto columns = static_cast<size_t>(columns_of(line));
    std::vector<A> carries(columns, identity_);  // of the parts before `known`
    std::atomic<int64_t> next{0};
    std::atomic<int64_t> known{0};
    parallel_for(std::min<int64_t>(num_threads(), parts), [&](int64_t) {
      std::vector<A> own(columns, identity_);
      std::vector<A> carry(columns);
      int64_t part = next++;
      if (part + 1 < parts) total(line, part * part_length, (part + 1) * part_length, own.data());
      while (part < parts) {
        for (int spins = 0; known.load(std::memory_order_acquire) < part; ++spins) {
          if (spins > 1000) std::this_thread::yield();
        }
        loops_.pass_on(carries.data(), own.data(), carry.data(), columns_of(line));
        known.store(part + 1, std::memory_order_release);
        const int64_t after = next++;
        std::fill(own.begin(), own.end(), identity_);
        walk_and_total(line, part, after, part_length, carry.data(), own.data());
        part = after;
      }
    });
  }

  /// Walks a part, and meanwhile combines the one that the thread takes next with `sums`, if what it comes to
  /// is needed: memory is read while results are written.
  void walk_and_total(int64_t line, int64_t part, int64_t next, int64_t part_length, A* carry,
                      A* sums) const {
    const int64_t last = ceil_div(problem_.length, part_length) - 1;
    // Sums of exponentials lose digits where they are taken up again, as they are passed on by their
    // logarithms.
    const bool at_once = problem_.kind != ScanKind::log_sum_exp;
    const int64_t begin = part * part_length;
    const int64_t end = std::min(begin + part_length, problem_.length);
    ScanWalk walk_on = walk_;
    if (at_once && next <= last) {
      const int64_t distance = (next - part) * part_length * step();
      if (next < last) walk_on.next = distance;
      if (walk_.ahead != 0) walk_on.ahead += distance;
      if (walk_.far_ahead != 0) walk_on.far_ahead += distance;
    }
    walk(line, begin, end, carry, walk_on, sums);
    if (!at_once && next < last) total(line, next * part_length, (next + 1) * part_length, sums);
  }

  /// Combines elements [begin, end) of each column with `sums`.
  void total(int64_t line, int64_t begin, int64_t end, A* sums) const {
    if (problem_.inner > 1) {
      loops_.column_totals(in() + place(line, begin), end - begin, columns_of(line), step(), sums);
    } else {
      const A own = loops_.total(in() + lowest(line, begin, end), end - begin);
      A before;
      loops_.pass_on(sums, &own, &before, 1);
    }
  }

  void walk(int64_t line, int64_t begin, int64_t end, A* carry, const ScanWalk& how,
            A* sums = nullptr) const {
    if (problem_.inner > 1) {
      const int64_t at = place(line, begin);
      loops_.columns(in() + at, out() + at, end - begin, columns_of(line), step(), carry, how, sums);
    } else {
      const int64_t at = lowest(line, begin, end);
      loops_.row(in() + at, out() + at, end - begin, carry, how, sums);
    }
  }

  /// The place of the one of elements [begin, end) of a row that is first in memory.
  int64_t lowest(int64_t line, int64_t begin, int64_t end) const {
    return std::min(place(line, begin), place(line, end - 1));
  }

  const ScanProblem& problem_;
  ScanLoops<T> loops_;
  A identity_;
  int64_t columns_ = 1;
  int64_t tiles_ = 1;
  ScanWalk walk_;
};

template <ScanKind kind, typename T>
void scan_as(const ScanProblem& problem) {
  using A = Accumulated<T>;
  Scan<T>(problem, loops_for<kind, T>(), identity_of<kind, A>()).run();
}

template <ScanKind kind>
void scan_kind(const ScanProblem& problem) {
  constexpr bool is_ordered = kind == ScanKind::max || kind == ScanKind::min;
  dispatch_dtype(problem.dtype, [&]<typename T>(std::type_identity<T>) {
    if constexpr (kind == ScanKind::log_sum_exp) {
      if constexpr (std::is_integral_v<T>) {
        throw std::logic_error("[scan] logarithms are floating point");
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
    case ScanKind::log_sum_exp:
      return scan_kind<ScanKind::log_sum_exp>(problem);
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
      const int64_t tiles = ceil_div(inner, recurrence_columns);
      share_out(outer * tiles, [&](int64_t line) {
        const int64_t first = line % tiles * recurrence_columns;
        const int64_t columns = std::min(recurrence_columns, inner - first);
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
