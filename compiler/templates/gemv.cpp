#include <lazuli/compiler/templates/gemv.h>

#include <algorithm>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>
#include <lazuli/compiler/templates/stretches.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli::templates {

namespace {

/// Bytes of weights below which waking another thread costs more than it saves.
constexpr int64_t bytes_for_a_thread = 64 << 10;
/// Threads go over long stretches of weights, so many bytes at a time, and fewer in the end.
constexpr int64_t most_piece_bytes = 512 << 10;
constexpr int64_t least_piece_bytes = 64 << 10;
/// Tasks of a thread where weights meet several groups of rows of x.
constexpr int64_t tasks_a_thread = 4;

/// Depths taken at a time where lanes are few: their weights fit in the L1 cache.
constexpr int64_t narrow_depths = 32;

/// Rows of weights that `DotRows` reads side by side, which the processor does not see to be one stream of
/// memory: the next ones are asked for meanwhile, unless they are so long that they would push out others.
constexpr int64_t rows_at_once = 4;
constexpr int64_t longest_rows_ahead = 64 << 10;

int64_t useful_threads(int64_t bytes) {
  return std::clamp<int64_t>(bytes / bytes_for_a_thread, 1, num_threads());
}

/// Of rows of x that stay in the L1 cache beside the weights they meet.
constexpr int64_t x_bytes_at_once = 24 << 10;

/// Of weights that several groups of rows of x meet one after another.
int64_t cached_weight_bytes() {
  return cache_sizes().l2 / 4;
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
  // Kernels take four lanes at a time.
  const int64_t unit = round_up(std::max<int64_t>(least_piece_bytes / std::max<int64_t>(row_bytes, 1), 1), 4);
  const int64_t most = std::max<int64_t>(most_piece_bytes / (unit * std::max<int64_t>(row_bytes, 1)), 1);
  const auto lanes_of = [&](int64_t first) {
    return problem.w.data + first * problem.w.lane_stride * problem.w.dtype.size();
  };
  const auto some = [&](int64_t begin, int64_t end) {
    const int64_t first = begin * unit;
    DotRows<T> dot;
    dot.k = problem.k;
    dot.x = problem.x;
    dot.x_row_stride = problem.x_row_stride;
    dot.x_rows = problem.x_rows;
    dot.w = lanes_of(first);
    dot.w_row_stride = problem.w.lane_stride;
    dot.w_rows = std::min(end * unit, problem.w_lanes) - first;
    dot.out = problem.out + first * problem.out_w_stride;
    dot.out_x_stride = problem.out_x_stride;
    dot.out_w_stride = problem.out_w_stride;
    if (problem.w.lane_stride == problem.k && row_bytes <= longest_rows_ahead) {
      dot.ahead = static_cast<const std::byte*>(dot.w) + rows_at_once * row_bytes;
    }
    run_dot(table, problem.w.dtype, dot);
  };
  share_out_stretches(ceil_div(problem.w_lanes, unit), most, some, [&](int64_t begin) {
    fetch_start(lanes_of(begin * unit), row_bytes * problem.w_lanes);
  });
}

/// As `gemv_dot`, by more rows of x than are taken at once. Some lanes' weights stay in the L2 cache for all
/// of them, and of x as many depths as the L1 cache holds; what is read next from memory is asked for
/// meanwhile.
template <typename T>
void gemv_dot_groups(const GemvProblem<T>& problem) {
  const Kernels& table = kernels();
  const int64_t size = problem.w.dtype.size();
  const int64_t row_bytes = problem.k * size;
  const int64_t x_depths = x_bytes_at_once / (max_vector_rows * static_cast<int64_t>(sizeof(T)));
  const int64_t depth_parts = ceil_div(problem.k, x_depths);
  const int64_t depths = round_up(ceil_div(problem.k, depth_parts), 64);
  // Kernels take three or four lanes at a time.
  const int64_t lanes = round_up(std::max<int64_t>(cached_weight_bytes() / row_bytes, 1), 12);
  const bool in_one_piece = problem.w.lane_stride == problem.k;
  const int64_t blocks = ceil_div(problem.w_lanes, lanes);
  const int64_t parts = std::min(blocks, tasks_a_thread * num_threads());
  const auto block = [&](int64_t first, bool asks, T* sums) {
    const int64_t count = std::min(lanes, problem.w_lanes - first);
    DotRows<T> dot;
    dot.x_row_stride = problem.x_row_stride;
    dot.w_row_stride = problem.w.lane_stride;
    dot.w_rows = count;
    dot.out_x_stride = lanes;
    dot.out_w_stride = 1;
    const std::byte* const weights = problem.w.data + first * problem.w.lane_stride * size;
    for (int64_t depth = 0; depth < problem.k; depth += depths) {
      dot.k = std::min(depths, problem.k - depth);
      dot.w = weights + depth * size;
      dot.ahead = asks ? weights + lanes * (row_bytes + depth * size) : nullptr;
      T* const out = depth == 0 ? sums : sums + problem.x_rows * lanes;
      for (int64_t row = 0; row < problem.x_rows; row += max_vector_rows) {
        dot.x = problem.x + row * problem.x_row_stride + depth;
        dot.x_rows = std::min(max_vector_rows, problem.x_rows - row);
        dot.out = out + row * lanes;
        run_dot(table, problem.w.dtype, dot);
        dot.ahead = nullptr;
      }
      if (depth == 0) continue;
      for (int64_t i = 0; i < problem.x_rows * lanes; ++i) sums[i] += out[i];
    }
    for (int64_t row = 0; row < problem.x_rows; ++row) {
      for (int64_t j = 0; j < count; ++j) {
        problem.out[row * problem.out_x_stride + (first + j) * problem.out_w_stride] = sums[row * lanes + j];
      }
    }
  };
  share_out(parts, [&](int64_t part) {
    const int64_t end = (part + 1) * blocks / parts;
    const Scratch memory(static_cast<size_t>(2 * problem.x_rows * lanes) * sizeof(T));
    std::fill_n(memory.as<T>(), 2 * problem.x_rows * lanes, T{0});  // the last block has fewer lanes
    for (int64_t i = part * blocks / parts; i < end; ++i) {
      block(i * lanes, in_one_piece && i + 1 < end && (i + 2) * lanes <= problem.w_lanes, memory.as<T>());
    }
  });
}

/// The result as the sum of what `parts` parts of the depths gave, in their order: each [x_rows, stride].
template <typename T>
void add_parts(const GemvProblem<T>& problem, const T* sums, int64_t parts, int64_t stride) {
  for (int64_t r = 0; r < problem.x_rows; ++r) {
    for (int64_t j = 0; j < problem.w_lanes; ++j) {
      T sum = sums[r * stride + j];
      for (int64_t part = 1; part < parts; ++part) sum += sums[(part * problem.x_rows + r) * stride + j];
      problem.out[r * problem.out_x_stride + j * problem.out_w_stride] = sum;
    }
  }
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
  add_parts(problem, sums, depth_parts, stride);
}

/// Whether weights lie in one piece and are read once: large, with so many lanes at each depth that a few
/// depths are a block. By so few rows of x, a thread is done with some depths before others have come from
/// memory.
template <typename T>
bool streams_depths(const GemvProblem<T>& problem) {
  constexpr int64_t fewest_rows = 4;
  constexpr int64_t least_lanes = 1024, most_lanes = 16384;
  constexpr int64_t depths_a_thread = 64;
  const int64_t bytes = problem.k * problem.w_lanes * problem.w.dtype.size();
  return problem.x_rows >= fewest_rows && problem.w.lane_stride == 1 &&
         problem.w.k_stride == problem.w_lanes && problem.w_lanes >= least_lanes &&
         problem.w_lanes <= most_lanes && problem.k >= depths_a_thread * num_threads() &&
         bytes >= 2 * cache_sizes().l2 * num_threads();
}

/// As `gemv_axpy`, for weights that go through the caches once: threads share the depths, and go over blocks
/// of them in the order of memory. While one block, which is in the second-level cache, is added up a few
/// columns at a time, so that these stay in registers, the next block is asked for.
template <typename T>
void gemv_streamed(const GemvProblem<T>& problem) {
  const Kernels& table = kernels();
  const int64_t lanes = problem.w_lanes;
  const int64_t size = problem.w.dtype.size();
  const int64_t block = std::max<int64_t>(cached_weight_bytes() / 2 / (lanes * size), 4);
  const int64_t threads = num_threads();
  const int64_t depths = round_up(ceil_div(problem.k, threads), block);
  const int64_t parts = ceil_div(problem.k, depths);
  const Scratch memory(static_cast<size_t>(parts * problem.x_rows * lanes) * sizeof(T));
  T* const sums = memory.as<T>();
  parallel_for(parts, [&](int64_t part) {
    T* const own = sums + part * problem.x_rows * lanes;
    std::fill_n(own, problem.x_rows * lanes, T{0});
    const int64_t end = std::min((part + 1) * depths, problem.k);
    AxpyRows<T> axpy;
    axpy.x_row_stride = problem.x_row_stride;
    axpy.x_k_stride = 1;
    axpy.w_row_stride = lanes;
    axpy.y_row_stride = lanes;
    for (int64_t depth = part * depths; depth < end; depth += block) {
      axpy.k = std::min(block, end - depth);
      const std::byte* const weights = problem.w.data + depth * lanes * size;
      const std::byte* const next = depth + 2 * block <= end ? weights + block * lanes * size : nullptr;
      for (int64_t j = 0; j < lanes; j += narrow_columns) {
        axpy.columns = std::min(narrow_columns, lanes - j);
        axpy.w = weights + j * size;
        axpy.ahead = next != nullptr ? next + j * block * size : nullptr;
        for (int64_t row = 0; row < problem.x_rows; row += max_vector_rows) {
          axpy.x = problem.x + row * problem.x_row_stride + depth;
          axpy.x_rows = std::min(max_vector_rows, problem.x_rows - row);
          axpy.y = own + row * lanes + j;
          run_axpy(table, problem.w.dtype, axpy);
          axpy.ahead = nullptr;
        }
      }
    }
  });
  add_parts(problem, sums, parts, lanes);
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
    return problem.x_rows <= max_vector_rows ? gemv_dot(problem) : gemv_dot_groups(problem);
  }
  if (streams_depths(problem)) return gemv_streamed(problem);
  gemv_axpy(problem);
}

template <typename T>
int64_t most_gemv_rows(const LanesView& w, int64_t w_lanes, int64_t k) {
  GemvProblem<T> problem;
  problem.k = k;
  problem.x_rows = max_vector_rows + 1;
  problem.w = w;
  problem.w_lanes = w_lanes;
  const bool large = k * w_lanes * w.dtype.size() >= 2 * cache_sizes().l2 * num_threads();
  const bool many = w.k_stride == 1 ? large : streams_depths(problem);
  return many ? 2 * max_vector_rows : max_vector_rows;
}

template bool gemv_takes<float>(const LanesView&);
template bool gemv_takes<double>(const LanesView&);
template int64_t most_gemv_rows<float>(const LanesView&, int64_t, int64_t);
template int64_t most_gemv_rows<double>(const LanesView&, int64_t, int64_t);
template void gemv<float>(const GemvProblem<float>&);
template void gemv<double>(const GemvProblem<double>&);

}  // namespace lazuli::templates
