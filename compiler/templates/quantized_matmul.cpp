#include <lazuli/compiler/templates/quantized_matmul.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/gemm.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/made_rows.h>
#include <lazuli/compiler/templates/matmul_result.h>
#include <lazuli/compiler/templates/packing.h>
#include <lazuli/compiler/templates/quantized_bytes.h>
#include <lazuli/compiler/templates/quantized_codes.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli::templates {

namespace {

/// Columns of weights that are dequantized before they are used, so that they are still in the L1 cache.
constexpr int64_t chunk_columns = 512;
/// Rows of weights in a chunk.
constexpr int64_t chunk_rows = 4;

/// The activations as floats, where they lie or widened into `memory`.
struct FloatRows {
  const float* data = nullptr;
  int64_t row_stride = 0;
};

/// Adds bias times the sum of its group's activations, for each group of a few rows of w.
void add_biases(const QuantizedMatrix& w, int64_t first, int64_t rows, float* biases, int64_t stride,
                const float* sums, int64_t groups, int64_t m, float* products) {
  const Kernels& table = kernels();
  const auto widen = table.widen[static_cast<size_t>(storage_of(w.scale_dtype))];
  for (int64_t j = 0; j < rows; ++j) {
    const int64_t at = (first + j) * w.biases_row_stride;
    widen(w.biases + at * w.scale_dtype.size(), biases + j * stride, groups);
  }
  float shares[max_vector_rows * chunk_rows];
  DotRows<float> dot;
  dot.k = groups;
  dot.x = sums;
  dot.x_row_stride = groups;
  dot.x_rows = m;
  dot.w = biases;
  dot.w_row_stride = stride;
  dot.w_rows = rows;
  dot.out = shares;
  dot.out_x_stride = chunk_rows;
  dot.out_w_stride = 1;
  table.dot_rows[static_cast<size_t>(Storage::float32)](dot);
  for (int64_t r = 0; r < m; ++r) {
    for (int64_t j = 0; j < rows; ++j) products[r * chunk_rows + j] += shares[r * chunk_rows + j];
  }
}

/// Activations that are made: all of `problem.m` rows.
RowSource source_of(const QuantizedMatmulProblem& problem, int64_t k) {
  return {problem.holes.make, problem.dtype, problem.first_row, problem.m, k};
}

FloatRows float_rows(const QuantizedMatmulProblem& problem, int64_t k, const Scratch& memory) {
  if (problem.dtype == float32) return {reinterpret_cast<const float*>(problem.x), problem.x_row_stride};
  const auto widen = kernels().widen[static_cast<size_t>(storage_of(problem.dtype))];
  for (int64_t r = 0; r < problem.m; ++r) {
    widen(problem.x + r * problem.x_row_stride * problem.dtype.size(), memory.as<float>() + r * k, k);
  }
  return {memory.as<float>(), k};
}

/// A few rows of x against the rows of w: dot products with chunks of four rows.
void few_rows_transposed(const QuantizedMatmulProblem& problem, const FloatRows& x,
                         const MatmulResult& result) {
  const Kernels& table = kernels();
  const QuantizedMatrix& w = problem.w;
  const int64_t blocks = ceil_div(w.rows, chunk_rows);
  const int64_t parts = std::min<int64_t>(blocks, num_threads() * 4);
  parallel_for(parts, [&](int64_t part) {
    float weights[chunk_rows * chunk_columns];
    for (int64_t block = blocks * part / parts; block < blocks * (part + 1) / parts; ++block) {
      const int64_t first = block * chunk_rows;
      const int64_t rows = std::min(chunk_rows, w.rows - first);
      float sums[max_vector_rows * chunk_rows] = {};
      for (int64_t column = 0; column < w.columns; column += chunk_columns) {
        const int64_t columns = std::min(chunk_columns, w.columns - column);
        for (int64_t j = 0; j < rows; ++j) {
          dequantize_row(w, first + j, column, columns, weights + j * chunk_columns);
        }
        float products[max_vector_rows * chunk_rows];
        DotRows<float> dot;
        dot.k = columns;
        dot.x = x.data + column;
        dot.x_row_stride = x.row_stride;
        dot.x_rows = problem.m;
        dot.w = weights;
        dot.w_row_stride = chunk_columns;
        dot.w_rows = rows;
        dot.out = products;
        dot.out_x_stride = chunk_rows;
        dot.out_w_stride = 1;
        table.dot_rows[static_cast<size_t>(Storage::float32)](dot);
        for (int64_t r = 0; r < problem.m; ++r) {
          for (int64_t j = 0; j < rows; ++j) sums[r * chunk_rows + j] += products[r * chunk_rows + j];
        }
      }
      result.store(sums, chunk_rows, 0, problem.m, first, rows);
    }
  });
}

/// How far ahead of where it reads a thread asks for codes, at least: as far as its next rows are.
constexpr int64_t bytes_ahead = 8192;

/// Activations in the order in which `CodeDot` takes them.
FloatRows arranged(const FloatRows& x, int64_t rows, int64_t k, float* memory) {
  const int64_t stride = round_up(k, code_tile);
  constexpr int64_t codes_a_word = 8;
  for (int64_t r = 0; r < rows; ++r) {
    const float* src = x.data + r * x.row_stride;
    for (int64_t p = 0; p < k; p += code_tile) {
      float* tile = memory + r * stride + p;
      const int64_t words = std::min(code_tile, k - p) / codes_a_word;
      if (k - p < code_tile) std::fill(tile, tile + code_tile, 0.0f);
      kernels().transpose(src + p, codes_a_word, words, codes_a_word, tile, code_tile / codes_a_word);
    }
  }
  return {memory, stride};
}

/// Whether there are products straight with codes.
bool has_code_dot(const QuantizedMatrix& w) {
  return kernels().code_dot != nullptr && (w.bits == 4 || w.bits == 8);
}

/// A few rows of x against the rows of w, whose codes are widened in registers.
void few_rows_of_codes(const QuantizedMatmulProblem& problem, const FloatRows& given,
                       const MatmulResult& result) {
  const Kernels& table = kernels();
  const QuantizedMatrix& w = problem.w;
  const bool is_affine = w.mode == QuantizedMode::affine;
  const int64_t groups = w.columns / w.group_size;
  const int64_t stride = round_up(w.columns, code_tile);
  // The activations in order, and the sums of each of their groups.
  const Scratch memory(static_cast<size_t>(problem.m * (stride + round_up(groups, 16))) * sizeof(float));
  const FloatRows x = w.bits == 4 ? arranged(given, problem.m, w.columns, memory.as<float>()) : given;
  float* sums = memory.as<float>() + problem.m * stride;
  for (int64_t r = 0; is_affine && r < problem.m; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      sums[r * groups + g] = table.sum_of(given.data + r * given.row_stride + g * w.group_size, w.group_size);
    }
  }
  const int64_t blocks = ceil_div(w.rows, chunk_rows);
  const int64_t parts = std::min<int64_t>(blocks, num_threads() * 4);
  parallel_for(parts, [&](int64_t part) {
    constexpr int64_t beyond = 16;  // may be read
    const int64_t scales_stride = round_up(groups, 16);
    const Scratch scratch(static_cast<size_t>(2 * chunk_rows * scales_stride + beyond) * sizeof(float));
    float* scales = scratch.as<float>();
    float* biases = scales + chunk_rows * scales_stride + beyond;
    std::fill(scales, biases, 0.0f);
    for (int64_t block = blocks * part / parts; block < blocks * (part + 1) / parts; ++block) {
      const int64_t first = block * chunk_rows;
      const int64_t rows = std::min(chunk_rows, w.rows - first);
      for (int64_t j = 0; j < rows; ++j) widen_scales(w, first + j, 0, groups, scales + j * scales_stride);
      float products[max_vector_rows * chunk_rows];
      CodeDot dot;
      dot.bits = w.bits;
      dot.is_float = !is_affine;
      dot.group_size = w.group_size;
      dot.k = w.columns;
      dot.x_row_stride = x.row_stride;
      dot.codes = reinterpret_cast<const uint8_t*>(w.codes + first * w.codes_row_stride);
      dot.codes_row_stride = w.codes_row_stride * 4;
      dot.scales = scales;
      dot.scales_row_stride = scales_stride;
      dot.w_rows = rows;
      dot.out_x_stride = chunk_rows;
      dot.out_w_stride = 1;
      dot.ahead = std::max(bytes_ahead, chunk_rows * dot.codes_row_stride);
      for (int64_t r = 0; r < problem.m; r += max_code_rows) {
        dot.x = x.data + r * x.row_stride;
        dot.x_rows = std::min(max_code_rows, problem.m - r);
        dot.out = products + r * chunk_rows;
        table.code_dot(dot);
      }
      if (is_affine) add_biases(w, first, rows, biases, scales_stride, sums, groups, problem.m, products);
      result.store(products, chunk_rows, 0, problem.m, first, rows);
    }
  });
}

/// A few rows of x against the columns of w: sums of rows of w, each thread with its columns.
void few_rows_straight(const QuantizedMatmulProblem& problem, const FloatRows& x,
                       const MatmulResult& result) {
  const Kernels& table = kernels();
  const QuantizedMatrix& w = problem.w;
  const int64_t columns_a_part = std::min(chunk_columns, round_up(ceil_div(w.columns, num_threads()), 32));
  parallel_for(ceil_div(w.columns, columns_a_part), [&](int64_t part) {
    const int64_t first = part * columns_a_part;
    float weights[chunk_rows * chunk_columns];
    float sums[max_vector_rows * chunk_columns] = {};
    AxpyRows<float> axpy;
    axpy.x_row_stride = x.row_stride;
    axpy.x_k_stride = 1;
    axpy.x_rows = problem.m;
    axpy.w = weights;
    axpy.w_row_stride = chunk_columns;
    axpy.columns = std::min(columns_a_part, w.columns - first);
    axpy.y = sums;
    axpy.y_row_stride = chunk_columns;
    for (int64_t row = 0; row < w.rows; row += chunk_rows) {
      axpy.k = std::min(chunk_rows, w.rows - row);
      for (int64_t p = 0; p < axpy.k; ++p) {
        dequantize_row(w, row + p, first, axpy.columns, weights + p * chunk_columns);
      }
      axpy.x = x.data + row;
      table.axpy_rows[static_cast<size_t>(Storage::float32)](axpy);
    }
    result.store(sums, chunk_columns, 0, problem.m, first, axpy.columns);
  });
}

/// Many rows: the packed product, with b dequantized on its way into panels.
void many_rows(const QuantizedMatmulProblem& problem, int64_t n, int64_t k, const MatmulResult& result) {
  const QuantizedMatrix& w = problem.w;
  const auto pack_panel = [&](int64_t first, int64_t count, int64_t k_first, int64_t k_count, int64_t width,
                              float* panel) {
    if (!problem.transpose) {
      for (int64_t p = 0; p < k_count; ++p) {
        dequantize_row(w, k_first + p, first, count, panel + p * width);
        std::fill(panel + p * width + count, panel + (p + 1) * width, 0.0f);
      }
      return;
    }
    constexpr int64_t depths = 64;
    constexpr int64_t most_lanes = 64;
    float rows[most_lanes * depths];
    std::fill(panel, panel + (count < width ? k_count * width : 0), 0.0f);
    for (int64_t p = 0; p < k_count; p += depths) {
      const int64_t now = std::min(depths, k_count - p);
      for (int64_t i = 0; i < count; ++i) dequantize_row(w, first + i, k_first + p, now, rows + i * depths);
      kernels().transpose(rows, depths, count, now, panel + p * width, width);
    }
  };
  const auto pack_b = [&](int64_t first, int64_t count, int64_t k_first, int64_t k_count, int64_t width,
                          float* panels) {
    for_each_panel(first, count, k_count, width, panels, [&](int64_t lane, int64_t lanes, float* panel) {
      pack_panel(lane, lanes, k_first, k_count, width, panel);
    });
  };
  const auto store = [&](const float* block, int64_t stride, int64_t row, int64_t rows, int64_t column,
                         int64_t columns) { result.store(block, stride, row, rows, column, columns); };
  const StoreBlock<float> store_block(store);
  const GemmOutput<float> out{result.in_place<float>(), result.in_place_row_stride(), &store_block};
  const LanesView x{problem.x, problem.dtype, problem.x_row_stride, 1};
  with_float_lanes(x, source_of(problem, k), [&](const GemmLanes<float>& lanes) {
    gemm<float>(gemm_kernel_for<float>(n), problem.m, n, k, lanes, pack_b, out);
  });
}

}  // namespace

void quantized_matmul(const QuantizedMatmulProblem& problem) {
  const QuantizedMatrix& w = problem.w;
  check_quantized("quantized_matmul", w.bits, w.group_size, w.scale_dtype, w.columns, w.mode);
  if (problem.dtype != float32 && problem.dtype != float16 && problem.dtype != bfloat16) {
    throw std::invalid_argument("[quantized_matmul] x has dtype " + std::string(dtype_name(problem.dtype)) +
                                "; expected float16, bfloat16 or float32.");
  }
  const int64_t n = problem.transpose ? w.rows : w.columns;
  const int64_t k = problem.transpose ? w.columns : w.rows;
  if (problem.m == 0 || n == 0) return;
  MatmulResult result;
  result.out = problem.out;
  result.dtype = problem.dtype;
  result.row_stride = problem.out_row_stride;
  if (problem.m > max_vector_rows || k == 0) {
    result.take = problem.holes.take;
    result.first_row = problem.first_row;
    return many_rows(problem, n, k, result);
  }
  if (problem.holes.make != nullptr) {
    const MadeRows made(source_of(problem, k));
    QuantizedMatmulProblem there = problem;
    there.holes.make = nullptr;
    there.x = made.data();
    there.x_row_stride = made.row_stride();
    return quantized_matmul(there);
  }
  const bool widened = problem.dtype != float32;
  const int64_t x_elements = widened ? round_up(problem.m * k, 16) : 0;
  const TakeBlock* const take = problem.holes.take;
  const int64_t out_elements = take != nullptr ? problem.m * n : 0;
  const Scratch memory(static_cast<size_t>(x_elements + out_elements) * sizeof(float));
  if (take != nullptr) {
    // A few columns of a few rows are too little to be handed on alone.
    result.out = reinterpret_cast<std::byte*>(memory.as<float>() + x_elements);
    result.dtype = float32;
    result.row_stride = n;
  }
  const FloatRows x = float_rows(problem, k, memory);
  if (problem.transpose && multiply_code_bytes(problem, x.data, x.row_stride, result)) {
    // done
  } else if (problem.transpose && has_code_dot(w)) {
    few_rows_of_codes(problem, x, result);
  } else if (problem.transpose) {
    few_rows_transposed(problem, x, result);
  } else {
    few_rows_straight(problem, x, result);
  }
  if (take != nullptr) (*take)({result.out, n, problem.first_row, problem.m, 0, n});
}

}  // namespace lazuli::templates
