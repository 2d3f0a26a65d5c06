#include <lazuli/compiler/templates/gemm.h>

#include <algorithm>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>
#include <lazuli/compiler/templates/tile_tuner.h>

namespace lazuli::templates {

namespace {

/// How the loops are cut. A task computes a block of the result, `task_rows` × `task_columns`; it packs its
/// part of b for `kc` depths at a time into the L2 cache, while a is packed beforehand, once for all tasks.
/// Within a task, `mc` rows of a share the L2 cache with that part of b, and one panel of b stays in L1; with
/// wide tiles, a few panels of b are in L2 at a time, and the rows of a tile in L1.
struct Blocking {
  int64_t kc = 0;
  int64_t mc = 0;
  int64_t outer_rows = 0;  ///< rows of a that are packed at a time
  int64_t task_rows = 0;
  int64_t task_columns = 0;
};

template <typename T>
bool is_wide(const GemmKernel<T>& kernel) {
  return kernel.columns > gemm_kernel<T>().columns;
}

/// The smallest even cut of `extent` into parts of at most `limit`, rounded up to `unit`.
int64_t even_cut(int64_t extent, int64_t limit, int64_t unit) {
  limit = std::max(limit / unit * unit, unit);
  const int64_t parts = std::max<int64_t>(ceil_div(extent, limit), 1);
  return std::max(round_up(ceil_div(extent, parts), unit), unit);
}

template <typename T>
Blocking block(int64_t m, int64_t n, int64_t k, const GemmKernel<T>& kernel) {
  const CacheSizes& caches = cache_sizes();
  const int64_t size = sizeof(T);
  const int64_t threads = num_threads();
  Blocking result;
  const int64_t kc_limit = std::clamp<int64_t>(caches.l2 / 16 / (kernel.columns * size), 64, 512);
  result.kc = even_cut(k, kc_limit, gemm_depth_unit);
  result.mc = even_cut(m, caches.l2 / 4 / (result.kc * size), kernel.rows);
  const int64_t outer_limit =
      std::max(std::max<int64_t>(caches.l3 / 2, 4 << 20) / (std::max<int64_t>(k, 1) * size), result.mc);
  result.outer_rows = even_cut(m, outer_limit, kernel.rows);
  // Rows of a task are bounded so that a float32 block of results, where one is kept, stays in cache.
  result.task_rows = even_cut(result.outer_rows, 1024, kernel.rows);
  result.task_columns = even_cut(n, caches.l2 / 2 / (result.kc * size), kernel.columns);
  // Four tasks a thread even out what threads differ by; narrow tasks pack b less often than short ones.
  const int64_t wanted = threads > 1 ? 4 * threads : 1;
  const int64_t fewest_columns = round_up(4 * gemm_kernel<T>().columns, kernel.columns);
  const int64_t fewest_rows = round_up(8 * gemm_kernel<T>().rows, kernel.rows);
  int64_t row_tasks = ceil_div(result.outer_rows, result.task_rows);
  if (row_tasks * ceil_div(n, result.task_columns) < wanted) {
    result.task_columns = std::min(
        result.task_columns, std::max(even_cut(n, n * row_tasks / wanted, kernel.columns), fewest_columns));
    const int64_t column_tasks = ceil_div(n, result.task_columns);
    if (row_tasks * column_tasks < wanted) {
      result.task_rows =
          std::max(even_cut(result.outer_rows, result.outer_rows * column_tasks / wanted, kernel.rows),
                   std::min(result.outer_rows, fewest_rows));
    }
  }
  return result;
}

/// Other ways to cut the loops than the cache model's, which is way 0: how large tasks are, and how much of a
/// shares the L2 cache. The depth of blocks stays, and with it the order of sums.
constexpr int blocking_ways = 6;

template <typename T>
Blocking recut(Blocking cut, int way, const GemmKernel<T>& kernel) {
  const auto half = [](int64_t extent, int64_t unit) { return std::max(round_up(extent / 2, unit), unit); };
  switch (way) {
    case 1:
      cut.task_columns = std::max(half(cut.task_columns, kernel.columns), 4 * kernel.columns);
      break;
    case 2:
      cut.task_columns *= 2;
      break;
    case 3:
      cut.task_rows = half(cut.task_rows, kernel.rows);
      break;
    case 4:
      cut.mc = half(cut.mc, kernel.rows);
      break;
    case 5:
      cut.mc *= 2;
      break;
    default:
      break;
  }
  return cut;
}

/// How many panels of an operand one thread packs together. What is made is packed while it is in the L2
/// cache, and few lanes are shared out to all threads, since making them may take longer than packing.
template <typename T>
int64_t panels_a_part(const GemmLanes<T>& lanes, int64_t panels, int64_t k, int64_t width) {
  if (lanes.are_there()) return gemm_panels_at_once;
  const int64_t panel_bytes = std::max<int64_t>(width * k * static_cast<int64_t>(sizeof(T)), 1);
  const int64_t fitting = std::max<int64_t>(cache_sizes().l2 / 4 / panel_bytes, 1);
  return std::clamp<int64_t>(panels / num_threads(), 1, std::min(fitting, gemm_panels_at_once));
}

/// The panels of `rows` rows of a, for all depths: `kc` depths after `kc` depths.
template <typename T>
class PackedRows {
 public:
  PackedRows(int64_t rows, int64_t k, int64_t kc, int64_t width)
      : k_(k),
        kc_(kc),
        width_(width),
        panels_(ceil_div(rows, width)),
        rows_(rows),
        memory_(static_cast<size_t>(panels_ * width * k) * sizeof(T)) {}

  void pack(int64_t first_row, int64_t rows, const GemmLanes<T>& lanes) {
    rows_ = rows;
    const int64_t panels = ceil_div(rows, width_);
    const int64_t panels_each = panels_a_part(lanes, panels, k_, width_);
    share_out(ceil_div(panels, panels_each), [&](int64_t part) {
      const int64_t begin = part * panels_each;
      const int64_t count = std::min(panels_each * width_, rows - begin * width_);
      lanes.with(first_row + begin * width_, count, [&](PackPanels<T> pack, GemmRows<T>) {
        // A panel's depths follow each other, as they do in the rows of a.
        for (int64_t k_first = 0; k_first < k_; k_first += kc_) {
          pack(0, count, k_first, std::min(kc_, k_ - k_first), width_, panel(begin, k_first));
        }
      });
    });
  }

  T* panel(int64_t index, int64_t k_first) const {
    const int64_t k_count = std::min(kc_, k_ - k_first);
    return memory_.template as<T>() + k_first * panels_ * width_ + index * width_ * k_count;
  }

 private:
  int64_t k_;
  int64_t kc_;
  int64_t width_;
  int64_t panels_;
  int64_t rows_;
  Scratch memory_;
};

/// One task: rows [row, row + rows), counted from the packed ones, by columns [column, column + columns).
template <typename T>
struct Task {
  int64_t row = 0;
  int64_t rows = 0;
  int64_t column = 0;
  int64_t columns = 0;
  T* c = nullptr;  ///< of the task's first element
  int64_t c_row_stride = 0;
};

/// `finish(row, rows, column, columns)` is called for parts of the task when nothing is left to be added to
/// them.
template <typename T, typename Finish>
void run_task(const Task<T>& task, int64_t k, const Blocking& cut, const GemmKernel<T>& kernel,
              const PackedRows<T>& packed_a, PackPanels<T> pack_b, T* packed_b, Finish&& finish) {
  GemmTile<T> tile;
  tile.a_row_stride = 1;
  tile.a_k_stride = kernel.rows;
  tile.b_k_stride = kernel.columns;
  tile.c_row_stride = task.c_row_stride;
  int64_t k_first = 0;
  // Panels of wide tiles stream from the L2 cache anyway: there a tile's rows meet all panels while they are
  // in the L1 cache, and pass only once.
  const bool rows_outermost = is_wide(kernel);
  const auto run_panels = [&](int64_t column, int64_t columns, const T* panels, int64_t row, int64_t rows) {
    const auto run_tile = [&](int64_t i, int64_t j) {
      tile.b = panels + j * tile.k;
      tile.columns = std::min(kernel.columns, columns - j);
      tile.a = packed_a.panel((task.row + i) / kernel.rows, k_first);
      tile.rows = std::min(kernel.rows, task.rows - i);
      tile.c = task.c + i * task.c_row_stride + column + j;
      kernel.run(tile);
    };
    if (rows_outermost) {
      for (int64_t i = row; i < row + rows; i += kernel.rows) {
        for (int64_t j = 0; j < columns; j += kernel.columns) run_tile(i, j);
      }
    } else {
      for (int64_t j = 0; j < columns; j += kernel.columns) {
        for (int64_t i = row; i < row + rows; i += kernel.rows) run_tile(i, j);
      }
    }
    if (k_first + tile.k == k) finish(row, rows, column, columns);
  };
  const int64_t columns_at_once = gemm_panels_at_once * kernel.columns;
  constexpr int64_t wide_rows_at_once = 96;
  for (; k_first < k; k_first += cut.kc) {
    tile.k = std::min(cut.kc, k - k_first);
    tile.accumulate = k_first > 0;
    const bool as_they_come = rows_outermost || task.rows <= cut.mc;
    // Panels that are used as they come are in the nearest caches then, and so is the memory that they are
    // written to.
    const int64_t columns_together = as_they_come ? columns_at_once : task.columns;
    const int64_t rows_together =
        rows_outermost ? std::max(wide_rows_at_once / kernel.rows, int64_t{1}) * kernel.rows : cut.mc;
    for (int64_t column = 0; column < task.columns; column += columns_together) {
      const int64_t columns = std::min(columns_together, task.columns - column);
      for (int64_t j = 0; j < columns; j += columns_at_once) {
        pack_b(task.column + column + j, std::min(columns_at_once, columns - j), k_first, tile.k,
               kernel.columns, packed_b + j * tile.k);
      }
      for (int64_t row = 0; row < task.rows; row += rows_together) {
        run_panels(column, columns, packed_b, row, std::min(rows_together, task.rows - row));
      }
    }
  }
}

/// Tall products with few columns: b is packed once for all, and each task packs its own rows of a, which
/// stay in the L2 cache while they are used. (Otherwise a, for all depths, would go through memory.)
template <typename T>
bool is_tall(int64_t m, int64_t n, int64_t k, const Blocking& cut) {
  constexpr int64_t tasks_a_thread = 4;
  return k > 0 && m >= 4 * n && m >= tasks_a_thread * num_threads() * cut.mc &&
         n * k * static_cast<int64_t>(sizeof(T)) <= cache_sizes().l3 / 8;
}

template <typename T>
void gemm_tall(const GemmKernel<T>& of_panels, int64_t m, int64_t n, int64_t k, const Blocking& cut,
               const GemmLanes<T>& a, PackPanels<T> pack_b, const GemmOutput<T>& out) {
  // A row that is used for a few tiles only is read as fast where it lies.
  constexpr int64_t most_columns_in_place = 256;
  const bool in_place =
      a.are_there() && a.rows().data != nullptr && a.rows().depth_stride == 1 && n <= most_columns_in_place;
  const GemmKernel<T>& kernel = in_place ? gemm_kernel_for<T>(n) : of_panels;
  // Panels of b: `kc` depths after `kc` depths, as those of a.
  PackedRows<T> packed_b(n, k, cut.kc, kernel.columns);
  packed_b.pack(0, n, GemmLanes<T>::in_memory(pack_b));
  const int64_t padded = round_up(n, kernel.columns);
  int64_t task_rows = cut.mc;
  if (in_place) {
    // Columns of a block of results are written pass by pass: few enough rows for their pages and lines to be
    // at hand in all of them.
    const int64_t fitting = cache_sizes().l2 / 4 / (n * static_cast<int64_t>(sizeof(T)));
    task_rows = std::clamp(fitting / kernel.rows * kernel.rows, kernel.rows, cut.mc);
  }
  if (!a.are_there()) {
    // All depths of what is made are there at a time.
    const int64_t fitting = cache_sizes().l2 / 4 / (k * static_cast<int64_t>(sizeof(T)));
    task_rows = std::clamp(fitting / kernel.rows * kernel.rows, kernel.rows, cut.mc);
  }
  const auto multiply = [&](int64_t first, int64_t rows, PackPanels<T> pack_a, const GemmRows<T>& rows_of_a) {
    const int64_t panel_elements =
        in_place ? 0 : round_up(round_up(rows, kernel.rows) * std::min(cut.kc, k), 64);
    const int64_t block_elements = out.c != nullptr ? 0 : rows * padded;
    const Scratch memory(static_cast<size_t>(panel_elements + block_elements) * sizeof(T));
    T* const panels = memory.as<T>();
    T* const c = out.c != nullptr ? out.c + first * out.c_row_stride : panels + panel_elements;
    GemmTile<T> tile;
    tile.a_row_stride = in_place ? rows_of_a.row_stride : 1;
    tile.a_k_stride = in_place ? 1 : kernel.rows;
    tile.b_k_stride = kernel.columns;
    tile.c_row_stride = out.c != nullptr ? out.c_row_stride : padded;
    for (int64_t k_first = 0; k_first < k; k_first += cut.kc) {
      tile.k = std::min(cut.kc, k - k_first);
      tile.accumulate = k_first > 0;
      const int64_t at_once = gemm_panels_at_once * kernel.rows;
      for (int64_t i = 0; i < rows && !in_place; i += at_once) {
        pack_a(i, std::min(at_once, rows - i), k_first, tile.k, kernel.rows, panels + i * tile.k);
      }
      for (int64_t j = 0; j < n; j += kernel.columns) {
        tile.b = packed_b.panel(j / kernel.columns, k_first);
        tile.columns = std::min(kernel.columns, n - j);
        for (int64_t i = 0; i < rows; i += kernel.rows) {
          tile.a = in_place ? rows_of_a.data + i * rows_of_a.row_stride + k_first : panels + i * tile.k;
          if (in_place && j == 0) tile.ahead = tile.a + kernel.rows * tile.a_row_stride;
          tile.rows = std::min(kernel.rows, rows - i);
          tile.c = c + i * tile.c_row_stride + j;
          kernel.run(tile);
        }
        tile.ahead = nullptr;
      }
    }
    if (out.c == nullptr) (*out.store)(c, padded, first, rows, 0, n);
  };
  share_out(ceil_div(m, task_rows), [&](int64_t part) {
    const int64_t first = part * task_rows;
    const int64_t rows = std::min(task_rows, m - first);
    a.with(first, rows, [&](PackPanels<T> pack_a, const GemmRows<T>& rows_of_a) {
      multiply(first, rows, pack_a, rows_of_a);
    });
  });
}

/// Into how many parts the depths are cut, for threads to take one each: where the result is too small to be
/// cut, and there are depths enough to make up for adding the parts.
template <typename T>
int64_t depth_parts(int64_t m, int64_t n, int64_t k, const GemmKernel<T>& kernel) {
  constexpr int64_t most_results = 1 << 17;
  constexpr int64_t fewest_depths = 1024;
  const int64_t threads = num_threads();
  if (threads == 1 || is_inside_part() || m * n > most_results) return 1;
  const Blocking cut = block(m, n, k, kernel);
  if (ceil_div(m, cut.task_rows) * ceil_div(n, cut.task_columns) >= 4 * threads) return 1;
  return std::clamp<int64_t>(k / fewest_depths, 1, threads);
}

/// Few results of many depths, from a left operand that lies in columns: those of a tile's rows are beside
/// each other at every depth, and read where they are. What is added up stays in the second-level cache.
template <typename T>
void gemm_deep(int64_t m, int64_t n, int64_t k, const T* columns_of_a, int64_t depth_stride,
               PackPanels<T> pack_b, T* c) {
  constexpr int64_t depths = 256;
  const GemmKernel<T>& kernel = gemm_kernel_for<T>(n);
  const Scratch memory(static_cast<size_t>(depths * kernel.columns) * sizeof(T));
  GemmTile<T> tile;
  tile.a_row_stride = 1;
  tile.a_k_stride = depth_stride;
  tile.b = memory.as<T>();
  tile.b_k_stride = kernel.columns;
  tile.c_row_stride = n;
  const int64_t rows = ceil_div(m, ceil_div(m, kernel.rows));
  for (int64_t k_first = 0; k_first < k; k_first += depths) {
    tile.k = std::min(depths, k - k_first);
    tile.accumulate = k_first > 0;
    for (int64_t j = 0; j < n; j += kernel.columns) {
      tile.columns = std::min(kernel.columns, n - j);
      pack_b(j, tile.columns, k_first, tile.k, kernel.columns, memory.as<T>());
      for (int64_t i = 0; i < m; i += rows) {
        tile.rows = std::min(rows, m - i);
        tile.a = columns_of_a + k_first * depth_stride + i;
        tile.c = c + i * n + j;
        kernel.run(tile);
      }
    }
  }
}

/// The products of `parts` parts of the depths, each in one thread, then their sum in order.
template <typename T>
void gemm_by_depth(const GemmKernel<T>& kernel, int64_t m, int64_t n, int64_t k, int64_t parts,
                   const GemmLanes<T>& a, PackPanels<T> pack_b, const GemmOutput<T>& out) {
  const GemmRows<T>& rows_of_a = a.rows();
  const int64_t depths = round_up(ceil_div(k, parts), gemm_depth_unit);
  parts = ceil_div(k, depths);
  const Scratch memory(static_cast<size_t>(parts * m * n) * sizeof(T));
  T* const sums = memory.as<T>();
  parallel_for(parts, [&](int64_t part) {
    const int64_t begin = part * depths;
    const auto from_begin = [begin](PackPanels<T> pack) {
      return [begin, pack](int64_t first, int64_t count, int64_t k_first, int64_t k_count, int64_t width,
                           T* panels) { pack(first, count, begin + k_first, k_count, width, panels); };
    };
    GemmOutput<T> own;
    own.c = sums + part * m * n;
    own.c_row_stride = n;
    const int64_t count = std::min(depths, k - begin);
    if (rows_of_a.data != nullptr && rows_of_a.row_stride == 1) {
      const T* const first = rows_of_a.data + begin * rows_of_a.depth_stride;
      return gemm_deep<T>(m, n, count, first, rows_of_a.depth_stride, from_begin(pack_b), own.c);
    }
    const auto pack_a = from_begin(a.pack());
    gemm<T>(kernel, m, n, count, GemmLanes<T>::in_memory(pack_a), from_begin(pack_b), own);
  });
  for (int64_t part = 1; part < parts; ++part) {
    const T* const more = sums + part * m * n;
    for (int64_t i = 0; i < m * n; ++i) sums[i] += more[i];
  }
  if (out.c == nullptr) return (*out.store)(sums, n, 0, m, 0, n);
  for (int64_t row = 0; row < m; ++row) std::copy_n(sums + row * n, n, out.c + row * out.c_row_stride);
}

}  // namespace

template <typename T>
bool gemm_cuts_depths(const GemmKernel<T>& kernel, int64_t m, int64_t n, int64_t k) {
  return depth_parts(m, n, k, kernel) > 1;
}

template <typename T>
void gemm(const GemmKernel<T>& kernel, int64_t m, int64_t n, int64_t k, const GemmLanes<T>& a,
          PackPanels<T> pack_b, const GemmOutput<T>& out) {
  if (m == 0 || n == 0) return;
  if (const int64_t parts = depth_parts(m, n, k, kernel); parts > 1 && a.are_there()) {
    return gemm_by_depth(kernel, m, n, k, parts, a, pack_b, out);
  }
  if (const Blocking cut = block(m, n, k, kernel); is_tall<T>(m, n, k, cut)) {
    return gemm_tall(kernel, m, n, k, cut, a, pack_b, out);
  }
  const TileChoice choice(sizeof(T) == sizeof(float) ? "gemm32" : "gemm64", m, n, k, blocking_ways);
  const Blocking cut = recut(block(m, n, k, kernel), choice.way(), kernel);
  PackedRows<T> packed_a(std::min(cut.outer_rows, m), k, cut.kc, kernel.rows);
  for (int64_t outer = 0; outer < m; outer += cut.outer_rows) {
    const int64_t rows = std::min(cut.outer_rows, m - outer);
    packed_a.pack(outer, rows, a);
    const int64_t row_tasks = ceil_div(rows, cut.task_rows);
    const int64_t column_tasks = ceil_div(n, cut.task_columns);
    share_out(row_tasks * column_tasks, [&](int64_t part) {
      Task<T> task;
      task.row = part % row_tasks * cut.task_rows;
      task.rows = std::min(cut.task_rows, rows - task.row);
      task.column = part / row_tasks * cut.task_columns;
      task.columns = std::min(cut.task_columns, n - task.column);
      const int64_t padded = round_up(task.columns, kernel.columns);
      const size_t panel_elements = static_cast<size_t>(padded * std::min(cut.kc, std::max<int64_t>(k, 1)));
      const size_t block_elements = out.c != nullptr ? 0 : static_cast<size_t>(task.rows * padded);
      const Scratch memory((round_up(static_cast<int64_t>(panel_elements), 64) + block_elements) * sizeof(T));
      T* packed_b = memory.as<T>();
      if (out.c != nullptr) {
        task.c = out.c + (outer + task.row) * out.c_row_stride + task.column;
        task.c_row_stride = out.c_row_stride;
      } else {
        task.c = packed_b + round_up(static_cast<int64_t>(panel_elements), 64);
        task.c_row_stride = padded;
      }
      const auto finish = [&](int64_t row, int64_t count, int64_t column, int64_t columns) {
        if (out.c != nullptr) return;
        (*out.store)(task.c + row * task.c_row_stride + column, task.c_row_stride, outer + task.row + row,
                     count, task.column + column, columns);
      };
      if (k == 0) {
        for (int64_t i = 0; i < task.rows; ++i)
          std::fill_n(task.c + i * task.c_row_stride, task.columns, T{0});
        finish(0, task.rows, 0, task.columns);
      }
      run_task(task, k, cut, kernel, packed_a, pack_b, packed_b, finish);
    });
  }
}

template bool gemm_cuts_depths<float>(const GemmKernel<float>&, int64_t, int64_t, int64_t);
template bool gemm_cuts_depths<double>(const GemmKernel<double>&, int64_t, int64_t, int64_t);
template void gemm<float>(const GemmKernel<float>&, int64_t, int64_t, int64_t, const GemmLanes<float>&,
                          PackPanels<float>, const GemmOutput<float>&);
template void gemm<double>(const GemmKernel<double>&, int64_t, int64_t, int64_t, const GemmLanes<double>&,
                           PackPanels<double>, const GemmOutput<double>&);

}  // namespace lazuli::templates
