#include <algorithm>
#include <stdexcept>
#include <string>

#include <lazuli/compiler/llvm/target.h>
#include <lazuli/compiler/settings.h>
#include <lazuli/compiler/templates/gemm.h>
#include <lazuli/compiler/templates/kernels.h>
#include <lazuli/compiler/templates/made_rows.h>
#include <lazuli/compiler/templates/matmul_result.h>
#include <lazuli/compiler/templates/packing.h>
#include <lazuli/compiler/templates/quantized_layout.h>
#include <lazuli/compiler/templates/quantized_matmul.h>
#include <lazuli/compiler/templates/scratch.h>
#include <lazuli/compiler/templates/share_out.h>
#include <lazuli/compiler/templates/stretches.h>
#include <lazuli/compiler/templates/tile_tuner.h>
#include <lazuli/compiler/thread_pool.h>

namespace lazuli::templates {

namespace {

/// From this many rows on, float activations go through the packed product: dequantizing a panel once for
/// all rows is then cheaper than converting codes again for every few rows.
constexpr int64_t gemm_rows = 12;

/// The packed weights of one call.
struct Weights {
  PackedQuantizedInfo info;
  PanelFormat format;
  const std::byte* panels = nullptr;
  int64_t groups = 0;
  int64_t panel_bytes = 0;

  explicit Weights(const std::byte* packed)
      : info(packed_quantized_info(packed)),
        format{info.bits, info.group_size, info.scale_dtype},
        panels(packed + packed_header_bytes),
        groups(info.columns / info.group_size),
        panel_bytes(groups * group_bytes(info.bits, info.group_size, info.scale_dtype)) {}

  int64_t panel_count() const { return ceil_div(info.rows, panel_lanes); }
  const std::byte* panel(int64_t i) const { return panels + i * panel_bytes; }
};

/// The activations of a call.
struct Input {
  const std::byte* x = nullptr;
  Dtype dtype = float32;
  int64_t rows = 0;
  int64_t row_stride = 0;
  RowSource source;  ///< where it makes rows, they are these, and `x` is null

  /// One row as floats: where it lies, or widened into `buffer`.
  const float* row(int64_t r, int64_t columns, float* buffer) const {
    const std::byte* src = x + r * row_stride * dtype.size();
    if (dtype == float32) return reinterpret_cast<const float*>(src);
    kernels().widen[static_cast<size_t>(storage_of(dtype))](src, buffer, columns);
    return buffer;
  }
};

/// Activations made ready for the panel kernels.
struct Prepared {
  const void* x = nullptr;
  int64_t x_row_stride = 0;
  const float* steps = nullptr;
  const float* sums = nullptr;
};

/// What a task of many rows computes: a few panels by a few rows, so that both stay in the L2 cache while
/// they are used again.
struct PanelTasks {
  int64_t block_rows = 0;
  int64_t block_panels = 0;

  /// Way 0 is the cache model's; the others have fewer or more rows or panels in a block.
  static constexpr int ways = 5;

  PanelTasks(int64_t rows, int64_t panels, int64_t most_rows, int way) {
    const int64_t rows_wanted = way == 1 ? 32 : way == 2 ? 128 : 64;
    const int64_t panels_wanted = way == 3 ? 4 : way == 4 ? 16 : 8;
    block_rows = std::min(round_up(rows, most_rows), round_up(rows_wanted, most_rows));
    block_panels = std::min<int64_t>(panels_wanted, panels);
  }
};

/// With few rows the weights stream by: threads go over long stretches of them, so many panels at a time, and
/// in the end as few as hold so many bytes.
constexpr int64_t most_panels = 16;
constexpr int64_t least_stretch_bytes = 16 << 10;

/// Whether there is something to be found out about one row (`PanelDot::few_lines`): which of the two is
/// faster depends on the processor, where there is little to compute between two lines. One that fetches late
/// wants to be asked for every line.
bool may_ask_for_few_lines(const PanelFormat& format) {
  return (format.bits == 4 || format.bits == 8) && format.group_size >= 64 && host_target().bytes_ahead == 0;
}

/// Panels [first_panel, end_panel) against rows [row, end_row).
void run_block(const Weights& weights, const Prepared& prepared, PanelDotFunction kernel,
               int64_t element_bytes, int64_t first_panel, int64_t end_panel, int64_t first_row,
               int64_t end_row, bool few_lines, float* block, int64_t block_stride) {
  const int64_t most_rows = kernels().panel_rows;
  PanelDot dot;
  dot.format = weights.format;
  dot.groups = weights.groups;
  dot.x_row_stride = prepared.x_row_stride;
  dot.groups_stride = weights.groups;
  dot.out_row_stride = block_stride;
  dot.few_lines = few_lines;
  for (int64_t panel = first_panel; panel < end_panel; ++panel) {
    dot.panel = weights.panel(panel);
    for (int64_t row = first_row; row < end_row; row += most_rows) {
      dot.rows = std::min(most_rows, end_row - row);
      dot.x = static_cast<const std::byte*>(prepared.x) + row * prepared.x_row_stride * element_bytes;
      dot.steps = prepared.steps == nullptr ? nullptr : prepared.steps + row * weights.groups;
      dot.sums = prepared.sums + row * weights.groups;
      dot.out = block + (row - first_row) * block_stride + (panel - first_panel) * panel_lanes;
      kernel(dot);
    }
  }
}

/// All panels against all rows. Results are gathered in a block, and stored when its rows are complete.
void run_panels(const Weights& weights, const Prepared& prepared, PanelDotFunction kernel,
                int64_t element_bytes, int64_t rows, const MatmulResult& result) {
  const int64_t panels = weights.panel_count();
  const int64_t most_rows = kernels().panel_rows;
  const bool one_row = rows == 1 && element_bytes == 1 && may_ask_for_few_lines(weights.format);
  const bool many = rows > most_rows;
  const TileChoice choice(element_bytes == 1 ? "panels8" : "panels32", rows, weights.info.rows,
                          weights.info.columns,
                          many      ? PanelTasks::ways
                          : one_row ? 2
                                    : 1);
  const bool few_lines = one_row && choice.way() == 1;
  const auto block = [&](int64_t first_panel, int64_t end_panel, int64_t first_row, int64_t end_row) {
    const int64_t stride = (end_panel - first_panel) * panel_lanes;
    const Scratch memory(static_cast<size_t>((end_row - first_row) * stride) * sizeof(float));
    run_block(weights, prepared, kernel, element_bytes, first_panel, end_panel, first_row, end_row, few_lines,
              memory.as<float>(), stride);
    const int64_t column = first_panel * panel_lanes;
    result.store(memory.as<float>(), stride, first_row, end_row - first_row, column,
                 std::min(end_panel * panel_lanes, weights.info.rows) - column);
  };
  if (!many) {
    const int64_t unit = std::clamp<int64_t>(least_stretch_bytes / weights.panel_bytes, 1, most_panels);
    return share_out_stretches(
        ceil_div(panels, unit), most_panels / unit,
        [&](int64_t begin, int64_t end) { block(begin * unit, std::min(end * unit, panels), 0, rows); },
        [&](int64_t begin) { fetch_start(weights.panel(begin * unit), panels * weights.panel_bytes); });
  }
  const PanelTasks tasks(rows, panels, most_rows, choice.way());
  const int64_t row_blocks = ceil_div(rows, tasks.block_rows);
  share_out(ceil_div(panels, tasks.block_panels) * row_blocks, [&](int64_t part) {
    const int64_t panel = part / row_blocks * tasks.block_panels;
    const int64_t row = part % row_blocks * tasks.block_rows;
    block(panel, std::min(panel + tasks.block_panels, panels), row, std::min(row + tasks.block_rows, rows));
  });
}

void float_activations(const Weights& weights, const Input& input, const MatmulResult& result) {
  const Kernels& table = kernels();
  const int64_t k = weights.info.columns;
  const bool widened = input.dtype != float32;
  const int64_t x_elements = widened ? round_up(input.rows * k, 16) : 0;
  const Scratch memory(static_cast<size_t>(x_elements + input.rows * weights.groups) * sizeof(float));
  float* sums = memory.as<float>() + x_elements;
  for (int64_t r = 0; r < input.rows; ++r) {
    const float* x = input.row(r, k, memory.as<float>() + (widened ? r * k : 0));
    for (int64_t g = 0; g < weights.groups; ++g) {
      sums[r * weights.groups + g] = table.sum_of(x + g * weights.info.group_size, weights.info.group_size);
    }
  }
  Prepared prepared;
  prepared.x = widened ? memory.data() : input.x;
  prepared.x_row_stride = widened ? k : input.row_stride;
  prepared.sums = sums;
  run_panels(weights, prepared, table.panel_dot_float(weights.format), sizeof(float), input.rows, result);
}

void int8_activations(const Weights& weights, const Input& input, const MatmulResult& result) {
  const Kernels& table = kernels();
  const int64_t k = weights.info.columns;
  const int64_t group_size = weights.info.group_size;
  const int64_t groups = weights.groups;
  const int64_t code_bytes = round_up(input.rows * k, 64);
  const Scratch memory(static_cast<size_t>(code_bytes) +
                       static_cast<size_t>(2 * input.rows * groups) * sizeof(float));
  int8_t* codes = memory.as<int8_t>();
  float* steps = reinterpret_cast<float*>(memory.data() + code_bytes);
  float* sums = steps + input.rows * groups;
  const auto quantize_row = [&](const float* x, int64_t r) {
    for (int64_t g = 0; g < groups; ++g) {
      int32_t sum = 0;
      const float step =
          table.quantize_group(x + g * group_size, group_size, codes + r * k + g * group_size, &sum);
      steps[r * groups + g] = step;
      sums[r * groups + g] = step * static_cast<float>(sum);
    }
  };
  // Few at a time, so that what is made of them is quantized while it is in the nearest caches. Making rows
  // takes longer than quantizing them: fewer are worth another thread.
  constexpr int64_t most_rows_a_part = 4;
  constexpr int64_t made_for_a_thread = 8 << 10;
  const int64_t useful = input.source.make == nullptr ? 1 : input.rows * k / made_for_a_thread;
  const int64_t parts = std::clamp<int64_t>(useful, 1, num_threads());
  const int64_t rows_a_part = std::min(ceil_div(input.rows, parts), most_rows_a_part);
  parallel_for(ceil_div(input.rows, rows_a_part), [&](int64_t part) {
    const Scratch row_memory(static_cast<size_t>(k) * sizeof(float));
    const int64_t first = part * rows_a_part;
    const int64_t count = std::min(rows_a_part, input.rows - first);
    if (input.source.make != nullptr) {
      const MadeRows made(input.source, first, count);
      const Input there{made.data(), input.dtype, count, made.row_stride(), {}};
      for (int64_t r = 0; r < count; ++r) quantize_row(there.row(r, k, row_memory.as<float>()), first + r);
    } else {
      for (int64_t r = first; r < first + count; ++r) {
        quantize_row(input.row(r, k, row_memory.as<float>()), r);
      }
    }
  });
  run_panels(weights, {codes, k, steps, sums}, table.panel_dot_int8(weights.format), 1, input.rows, result);
}

/// Float activations in many rows: the packed product, whose panels of b are made from ours.
void float_gemm(const Weights& weights, const Input& input, const MatmulResult& result) {
  const Kernels& table = kernels();
  const auto pack_panel = [&](int64_t first, int64_t k_first, int64_t k_count, int64_t width, float* panel) {
    // Widths are multiples of 16 lanes; where the weights end within one, it is filled with zeros.
    for (int64_t lane = 0; lane < width; lane += panel_lanes) {
      if (first + lane < weights.info.rows) {
        table.panel_dequantize(weights.format, weights.panel((first + lane) / panel_lanes), k_first, k_count,
                               panel + lane, width);
      } else {
        for (int64_t p = 0; p < k_count; ++p) std::fill_n(panel + p * width + lane, panel_lanes, 0.0f);
      }
    }
  };
  const auto pack_b = [&](int64_t first, int64_t count, int64_t k_first, int64_t k_count, int64_t width,
                          float* panels) {
    for_each_panel(first, count, k_count, width, panels, [&](int64_t lane, int64_t, float* panel) {
      pack_panel(lane, k_first, k_count, width, panel);
    });
  };
  const auto store = [&](const float* block, int64_t stride, int64_t row, int64_t rows, int64_t column,
                         int64_t columns) { result.store(block, stride, row, rows, column, columns); };
  const StoreBlock<float> store_block(store);
  const GemmOutput<float> out{result.in_place<float>(), result.in_place_row_stride(), &store_block};
  const LanesView x{input.x, input.dtype, input.row_stride, 1};
  with_float_lanes(x, input.source, [&](const GemmLanes<float>& lanes) {
    gemm<float>(gemm_kernel_for<float>(weights.info.rows), input.rows, weights.info.rows,
                weights.info.columns, lanes, pack_b, out);
  });
}

}  // namespace

void packed_quantized_matmul(const std::byte* x, Dtype dtype, int64_t m, int64_t x_row_stride,
                             const std::byte* packed, std::byte* out, int64_t out_row_stride,
                             Activations activations, const Holes& holes) {
  if (dtype != float32 && dtype != float16 && dtype != bfloat16) {
    throw std::invalid_argument("[packed_quantized_matmul] x has dtype " + std::string(dtype_name(dtype)) +
                                "; expected float16, bfloat16 or float32.");
  }
  const Weights weights(packed);
  if (m == 0 || weights.info.rows == 0) return;
  MatmulResult result;
  result.out = out;
  result.dtype = dtype;
  result.row_stride = out_row_stride;
  result.take = holes.take;
  const Input input{x, dtype, m, x_row_stride, {holes.make, dtype, 0, m, weights.info.columns}};
  if (activations == Activations::int8) {
    int8_activations(weights, input, result);
  } else if (m >= gemm_rows) {
    float_gemm(weights, input, result);
  } else if (holes.make != nullptr) {
    const MadeRows made(input.source);
    float_activations(weights, {made.data(), dtype, m, made.row_stride(), {}}, result);
  } else {
    float_activations(weights, input, result);
  }
}

}  // namespace lazuli::templates
