#include <lazuli/compiler/lapack/matrices.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <mutex>
#include <type_traits>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/kernels.h>

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

/// Rows and columns that are turned round together.
constexpr int64_t tile = 16;

/// Below so many operations, LAPACK's threads are not worth waking.
constexpr double work_for_threads = 4e6;
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

/// to[c * to_stride + r] = from[r * from_stride + c], by tiles that are put together in one place, as lines
/// of either matrix may shut each other out of the cache.
template <Element T>
void copy_transposed(const T* from, int64_t from_stride, int64_t rows, int64_t columns, T* to,
                     int64_t to_stride) {
  if constexpr (std::is_same_v<T, float>) {
    templates::kernels().transpose(from, from_stride, rows, columns, to, to_stride);
  } else {
    T block[tile * tile];
    for (int64_t r = 0; r < rows; r += tile) {
      const int64_t r_end = std::min(r + tile, rows);
      for (int64_t c = 0; c < columns; c += tile) {
        const int64_t c_end = std::min(c + tile, columns);
        for (int64_t i = r; i < r_end; ++i) {
          for (int64_t j = c; j < c_end; ++j) block[(j - c) * tile + i - r] = from[i * from_stride + j];
        }
        for (int64_t j = c; j < c_end; ++j) {
          std::copy_n(block + (j - c) * tile, r_end - r, to + j * to_stride + r);
        }
      }
    }
  }
}

}  // namespace

// In one thread: others would still look for work while those of LAPACK begin.
template <Element T>
bool copy_matrix(const Matrix<T>& from, bool by_rows, T* to) {
  // `inner` runs along what lies together in the copy.
  const int64_t outer = by_rows ? from.rows : from.columns;
  const int64_t inner = by_rows ? from.columns : from.rows;
  const int64_t outer_stride = by_rows ? from.row_stride : from.column_stride;
  const int64_t inner_stride = by_rows ? from.column_stride : from.row_stride;
  bool is_finite = true;
  if (outer_stride == 1 && inner_stride != 1) {
    // A strip is looked through while it is in the cache.
    for (int64_t o = 0; o < outer; o += tile) {
      const int64_t count = std::min(tile, outer - o);
      copy_transposed(from.data + o, inner_stride, inner, count, to + o * inner, inner);
      is_finite &= all_finite(to + o * inner, count * inner);
    }
    return is_finite;
  }
  for (int64_t o = 0; o < outer; ++o) {
    const T* const source = from.data + o * outer_stride;
    if (inner_stride == 1) {
      std::copy_n(source, inner, to + o * inner);
    } else {
      for (int64_t i = 0; i < inner; ++i) to[o * inner + i] = source[i * inner_stride];
    }
    is_finite &= all_finite(to + o * inner, inner);
  }
  return is_finite;
}

template <Element T>
bool copy_triangle(const Matrix<T>& from, bool upper, T* to) {
  bool is_finite = true;
  for (int64_t first = 0; first < from.rows; first += tile) {
    const int64_t last = std::min<int64_t>(first + tile, from.rows);
    // Columns that are at least in part in the triangle.
    const int64_t left = upper ? first : 0;
    const int64_t right = upper ? from.columns : std::min<int64_t>(last, from.columns);
    const T* const source = from.data + first * from.row_stride + left * from.column_stride;
    T* const rows = to + first * from.columns;
    if (from.row_stride == 1 && from.column_stride != 1) {
      copy_transposed(source, from.column_stride, right - left, last - first, rows + left, from.columns);
    } else {
      for (int64_t i = 0; i < last - first; ++i) {
        const T* const row = source + i * from.row_stride;
        for (int64_t j = left; j < right; ++j) {
          rows[i * from.columns + j] = row[(j - left) * from.column_stride];
        }
      }
    }
    for (int64_t i = first; i < last; ++i) {
      T* const row = to + i * from.columns;
      const int64_t begin = upper ? i : 0;
      const int64_t end = upper ? from.columns : std::min<int64_t>(i + 1, from.columns);
      std::fill(row, row + begin, T(0));
      std::fill(row + end, row + from.columns, T(0));
      is_finite &= all_finite(row + begin, end - begin);
    }
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
