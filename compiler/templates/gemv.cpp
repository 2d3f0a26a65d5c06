#include <lazuli/compiler/templates/gemv.h>

#include <algorithm>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli::templates {

namespace {

/// Bytes of weights below which waking another thread costs more than it saves.
constexpr int64_t bytes_for_a_thread = 64 << 10;
/// Where there is enough for all threads, each gets some long tasks, so that one that is held up leaves work
/// to the others.
constexpr int64_t tasks_a_thread = 4;
constexpr int64_t least_task_bytes = 512 << 10;

/// Depths taken at a time where lanes are few: their weights fit in the L1 cache.
constexpr int64_t narrow_depths = 32;

/// Rows of weights that `DotRows` reads side by side, which the processor does not see to be one stream of
/// memory: the next ones are asked for meanwhile, unless they are so long that they would push out others.
constexpr int64_t rows_at_once = 4;
constexpr int64_t longest_rows_ahead = 64 << 10;

int64_t useful_threads(int64_t bytes) {
  return std::clamp<int64_t>(bytes / bytes_for_a_thread, 1, num_threads());
}

template <typename T>
void run_dot(const Kernels& table, Dtype dtype, const DotRows<T>& dot) {
  if constexpr (std::is_same_v<T, float>) {
    table.dot_rows[static_cast<size_t>(storage_of(dtype))](dot);
  } else {
    table.dot_rows_double(dot);
  }
}

template <typename T>
void run_axpy(const Kernels& table, Dtype dtype, const AxpyRows<T>& axpy) {
  if constexpr (std::is_same_v<T, float>) {
    table.axpy_rows[static_cast<size_t>(storage_of(dtype))](axpy);
  } else {
    table.axpy_rows_double(axpy);
  }
}

/// Each lane's weights lie side by side: a dot product for each.
template <typename T>
void gemv_dot(const GemvProblem<T>& problem) {
  const Kernels& table = kernels();
  const int64_t row_bytes = problem.k * problem.w.dtype.size();
  const int64_t bytes = row_bytes * problem.w_lanes;
  const int64_t threads = useful_threads(bytes);
  const int64_t most = threads == 1 ? 1 : tasks_a_thread * threads;
  const int64_t parts = std::min(std::clamp(bytes / least_task_bytes, threads, most), problem.w_lanes);
  const int64_t lanes = round_up(ceil_div(problem.w_lanes, parts), 4);
  share_out(ceil_div(problem.w_lanes, lanes), [&](int64_t part) {
    const int64_t first = part * lanes;
    DotRows<T> dot;
    dot.k = problem.k;
    dot.x = problem.x;
    dot.x_row_stride = problem.x_row_stride;
    dot.x_rows = problem.x_rows;
    dot.w = problem.w.data + first * problem.w.lane_stride * problem.w.dtype.size();
    dot.w_row_stride = problem.w.lane_stride;
    dot.w_rows = std::min(lanes, problem.w_lanes - first);
    dot.out = problem.out + first * problem.out_w_stride;
    dot.out_x_stride = problem.out_x_stride;
    dot.out_w_stride = problem.out_w_stride;
    if (problem.w.lane_stride == problem.k && row_bytes <= longest_rows_ahead) {
      dot.ahead = static_cast<const std::byte*>(dot.w) + rows_at_once * row_bytes;
    }
    run_dot(table, problem.w.dtype, dot);
  });
}

/// The lanes at one depth lie side by side: sums of rows. Threads share the lanes; where those are few, the
/// depths, with a sum of partial results in a fixed order.
template <typename T>
void gemv_axpy(const GemvProblem<T>& problem) {
  const Kernels& table = kernels();
  constexpr int64_t narrowest = 256;
  const int64_t threads = useful_threads(problem.k * problem.w_lanes * problem.w.dtype.size());
  // A chunk's sums stay in a part of the L1 cache.
  const int64_t widest =
      std::max(narrowest, (8 << 10) / static_cast<int64_t>(sizeof(T)) / problem.x_rows / 16 * 16);
  const int64_t lanes = std::clamp(round_up(ceil_div(problem.w_lanes, threads), 64), narrowest, widest);
  const int64_t lane_parts = ceil_div(problem.w_lanes, lanes);
  const int64_t depth_parts =
      std::clamp<int64_t>(threads / lane_parts, 1, std::max<int64_t>(problem.k / 64, 1));
  const int64_t depths = round_up(ceil_div(problem.k, depth_parts), 4);
  const int64_t stride = lane_parts * lanes;
  const Scratch memory(static_cast<size_t>(depth_parts * problem.x_rows * stride) * sizeof(T));
  T* sums = memory.as<T>();
  parallel_for(lane_parts * depth_parts, [&](int64_t part) {
    const int64_t first = part % lane_parts * lanes;
    const int64_t depth_part = part / lane_parts;
    const int64_t depth = std::min(depth_part * depths, problem.k);
    AxpyRows<T> axpy;
    axpy.x_row_stride = problem.x_row_stride;
    axpy.x_k_stride = 1;
    axpy.x_rows = problem.x_rows;
    axpy.w_row_stride = problem.w.k_stride;
    axpy.columns = std::min(lanes, problem.w_lanes - first);
    axpy.y = sums + depth_part * problem.x_rows * stride + first;
    axpy.y_row_stride = stride;
    for (int64_t r = 0; r < problem.x_rows; ++r) std::fill_n(axpy.y + r * stride, axpy.columns, T{0});
    const int64_t end = std::min(depth + depths, problem.k);
    const int64_t step = axpy.columns <= narrow_columns ? narrow_depths : std::max<int64_t>(end - depth, 1);
    for (int64_t p = depth; p < end; p += step) {
      axpy.k = std::min(step, end - p);
      axpy.x = problem.x + p;
      axpy.w = problem.w.data + (first + p * problem.w.k_stride) * problem.w.dtype.size();
      run_axpy(table, problem.w.dtype, axpy);
    }
  });
  for (int64_t r = 0; r < problem.x_rows; ++r) {
    for (int64_t j = 0; j < problem.w_lanes; ++j) {
      T sum = sums[r * stride + j];
      for (int64_t d = 1; d < depth_parts; ++d) sum += sums[(d * problem.x_rows + r) * stride + j];
      problem.out[r * problem.out_x_stride + j * problem.out_w_stride] = sum;
    }
  }
}

}  // namespace

template <typename T>
bool gemv_takes(const LanesView& w) {
  if (w.k_stride != 1 && w.lane_stride != 1) return false;
  if constexpr (std::is_same_v<T, float>) {
    return w.dtype == float32 || w.dtype == float16 || w.dtype == bfloat16;
  } else {
    return w.dtype == float64;
  }
}

template <typename T>
void gemv(const GemvProblem<T>& problem) {
  if (problem.w.k_stride == 1) {
    gemv_dot(problem);
  } else {
    gemv_axpy(problem);
  }
}

template bool gemv_takes<float>(const LanesView&);
template bool gemv_takes<double>(const LanesView&);
template void gemv<float>(const GemvProblem<float>&);
template void gemv<double>(const GemvProblem<double>&);

}  // namespace lazuli::templates
