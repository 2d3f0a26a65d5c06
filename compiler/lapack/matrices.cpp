#include <lazuli/compiler/lapack/matrices.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <limits>
#include <mutex>

#include <lazuli/compiler/settings.h>

namespace lazuli::lapack {

namespace {

/// Gives LAPACK a number of threads, and takes it back. The number is one for the whole process, so one user
/// at a time.
class ThreadLimit {
 public:
  explicit ThreadLimit(int count) : lock_(mutex()), before_(threads()) {
    if (before_ != count) set_threads(count);
  }
  ~ThreadLimit() { set_threads(before_); }
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;

 private:
  static std::mutex& mutex() {
    static std::mutex* const made = new std::mutex;
    return *made;
  }

  std::lock_guard<std::mutex> lock_;
  int before_;
};

/// Below so many operations, LAPACK's threads are not worth waking.
constexpr double work_for_threads = 4e6;
/// From so many elements on, a copy takes several threads.
constexpr int64_t elements_for_threads = int64_t{1} << 16;

/// Whether elements are finite: their exponents are not all ones.
template <typename T>
bool all_finite(const T* data, int64_t count) {
  using Real = RealOf<T>;
  using Bits = std::conditional_t<std::is_same_v<Real, double>, uint64_t, uint32_t>;
  constexpr Bits exponent = std::bit_cast<Bits>(std::numeric_limits<Real>::infinity());
  const auto* parts = reinterpret_cast<const Real*>(data);
  const int64_t length = count * static_cast<int64_t>(sizeof(T) / sizeof(Real));
  Bits found = 0;
  for (int64_t i = 0; i < length; ++i) {
    const Bits bits = std::bit_cast<Bits>(parts[i]);
    found |= (bits & exponent) == exponent ? 1 : 0;
  }
  return found == 0;
}

}  // namespace

template <Element T>
bool copy_matrix(const Matrix<T>& from, bool by_rows, T* to) {
  // `inner` runs along what lies together in the copy.
  const int64_t outer = by_rows ? from.rows : from.columns;
  const int64_t inner = by_rows ? from.columns : from.rows;
  const int64_t outer_stride = by_rows ? from.row_stride : from.column_stride;
  const int64_t inner_stride = by_rows ? from.column_stride : from.row_stride;
  bool is_finite = true;
  if (inner_stride == 1) {
    for (int64_t o = 0; o < outer; ++o) {
      std::copy_n(from.data + o * outer_stride, inner, to + o * inner);
      is_finite &= all_finite(to + o * inner, inner);
    }
    return is_finite;
  }
  // By tiles that are put together in one place, as lines of either matrix may shut each other out of the
  // cache.
  constexpr int64_t tile = 16;
  std::atomic<bool> all_are_finite = true;
  const auto copy_rows = [&](int64_t i, int64_t i_end) {
    T block[tile * tile];
    for (int64_t j = 0; j < inner; j += tile) {
      const int64_t j_end = std::min(j + tile, inner);
      for (int64_t k = j; k < j_end; ++k) {
        const T* source = from.data + k * inner_stride;
        for (int64_t o = i; o < i_end; ++o) block[(o - i) * tile + k - j] = source[o * outer_stride];
      }
      for (int64_t o = i; o < i_end; ++o) {
        std::copy_n(block + (o - i) * tile, j_end - j, to + o * inner + j);
      }
    }
    if (!all_finite(to + i * inner, (i_end - i) * inner)) all_are_finite = false;
  };
  const int64_t strips = (outer + tile - 1) / tile;
  const int64_t parts = outer * inner < elements_for_threads ? 1 : std::min<int64_t>(strips, num_threads());
  parallel_for(parts, [&](int64_t part) {
    for (int64_t strip = strips * part / parts; strip < strips * (part + 1) / parts; ++strip) {
      copy_rows(strip * tile, std::min((strip + 1) * tile, outer));
    }
  });
  is_finite = all_are_finite;
  return is_finite;
}

template <Element T>
bool copy_triangle(const Matrix<T>& from, bool upper, T* to) {
  bool is_finite = true;
  for (int64_t i = 0; i < from.rows; ++i) {
    const int64_t begin = upper ? i : 0;
    const int64_t end = upper ? from.columns : i + 1;
    T* row = to + i * from.columns;
    std::fill(row, row + begin, T(0));
    const T* source = from.data + i * from.row_stride;
    for (int64_t j = begin; j < end; ++j) row[j] = source[j * from.column_stride];
    std::fill(row + end, row + from.columns, T(0));
    is_finite &= all_finite(row + begin, end - begin);
  }
  return is_finite;
}

template bool copy_matrix(const Matrix<float>&, bool, float*);
template bool copy_matrix(const Matrix<double>&, bool, double*);
template bool copy_matrix(const Matrix<complex64_t>&, bool, complex64_t*);
template bool copy_triangle(const Matrix<float>&, bool, float*);
template bool copy_triangle(const Matrix<double>&, bool, double*);
template bool copy_triangle(const Matrix<complex64_t>&, bool, complex64_t*);

void for_each_matrix(int64_t count, double work, FunctionRef<void(int64_t)> f) {
  if (count == 0) return;
  if (is_inside_part()) {
    // Another thread may hold the limit, and wait for this one.
    for (int64_t i = 0; i < count; ++i) f(i);
    return;
  }
  const int available = num_threads();
  if (count >= available || work < work_for_threads) {
    const ThreadLimit limit(1);
    if (static_cast<double>(count) * work < work_for_threads / 16) {
      for (int64_t i = 0; i < count; ++i) f(i);
    } else {
      parallel_for(count, f);
    }
    return;
  }
  const ThreadLimit limit(available);
  for (int64_t i = 0; i < count; ++i) f(i);
}

}  // namespace lazuli::lapack
